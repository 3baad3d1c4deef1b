/**
 * What POST and PATCH have in common: Idempotency-Key, replays and Location. The database keeps the keys.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { routePath } from "hono/route";
import type { ApiContext } from "./app.ts";
import type { Answer } from "./database.ts";
import { Problem } from "./problems.ts";

/** Request header of POST and PATCH. */
export const idempotencyHeader = z.object({
  "idempotency-key": z.string().optional().openapi({
    description:
      "1 to 255 visible characters, new for each new request: repeating the request with the same key within 24 hours repeats the answer, not the effect.",
    minLength: 1,
    maxLength: 255,
    pattern: "^[!-~]+$",
    example: "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11",
  }),
});

/** Response header of replays, for the contract. */
export const replayedHeader = z.object({
  "Idempotency-Replayed": z.literal("true").optional().openapi({
    description: "Present when this is the stored answer of an earlier request.",
    example: "true",
  }),
});

/** `Location` of an answer, for the contract. */
export const locationHeader = z.object({
  Location: z.string().openapi({
    description: "URL of what was made, relative to the API's origin.",
    example: "/functions/v1/operations/v1/403860-001/1/0010",
  }),
});

/** What the SQL functions need to know of a request with a key. */
export type Idempotency = { key: string; method: string; route: string; fingerprint: string; request_id: string };

/**
 * The key of a request, with what it belongs to; undefined without a key.
 *
 * @param body The validated body: equal values are the same request, however they were written.
 * @throws {Problem} `malformed_request` when the header is not 1 to 255 visible characters.
 */
export function idempotency(c: ApiContext, body: unknown): Idempotency | undefined {
  const key = c.req.header("Idempotency-Key");
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new Problem("malformed_request", "Idempotency-Key must be 1 to 255 visible ASCII characters");
  }
  // keys of other endpoints are independent
  return {
    key,
    method: c.req.method,
    route: routePath(c),
    fingerprint: createHash("sha256").update(`${c.req.path}\n${JSON.stringify(body)}`).digest("hex"),
    request_id: c.get("requestId"),
  };
}

/** Sets the header of a replay and returns the body to answer with. */
export function answerBody<Body>(c: ApiContext, answer: Answer<Body>): Body {
  if (answer.replayed) c.header("Idempotency-Replayed", "true");
  return answer.body;
}
