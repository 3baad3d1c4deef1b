/**
 * Commands (POST and PATCH): the Idempotency-Key, and the headers of their answers. The database stores the answers.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { routePath } from "hono/route";
import { etagHeader, ifMatchHeader, setEtag } from "./conditional.ts";
import { json } from "./contract.ts";
import type { Answer } from "./database.ts";
import type { ApiContext } from "./endpoint.ts";
import { exampleRequestId, Problem } from "./problems.ts";

/** Request header of commands. */
export const idempotencyHeader = z.object({
  "idempotency-key": z.string().optional().openapi({
    description:
      "1 to 255 visible characters, new for each new request. The server keeps the answer for at least 24 hours: the " +
      "same request with the same key gets the stored answer and has no second effect.",
    minLength: 1,
    maxLength: 255,
    pattern: "^[!-~]+$",
    example: exampleRequestId,
  }),
});

/** Request headers of a change of one resource. */
export const changeHeaders = ifMatchHeader.extend(idempotencyHeader.shape);

const storedAnswerHeader = z.object({
  "Idempotency-Replayed": z.literal("true").optional().openapi({
    description: "Present when this is the stored answer of an earlier request.",
    example: "true",
  }),
});

/** Header of answers that hold a new resource. */
export const locationHeader = z.object({
  Location: z.string().openapi({
    description: "URL of the new resource, relative to the API's origin.",
    example: "/functions/v1/operations/v1/403860-001/1/0010",
  }),
});

/** Describes the answer of a command. */
export const commandJson = <Schema extends z.ZodType>(schema: Schema, description: string) =>
  json(schema, description, storedAnswerHeader);

/** Describes the answer of a command that records an event. */
export const recordedJson = <Schema extends z.ZodType>(schema: Schema, description: string) =>
  json(schema, description, locationHeader.extend(storedAnswerHeader.shape));

/** Describes the answer of a command that changes a resource. */
export const changedJson = <Schema extends z.ZodType>(schema: Schema, description: string) =>
  json(schema, description, etagHeader.extend(storedAnswerHeader.shape));

/** Describes the answer of a command that creates a resource. */
export const createdJson = <Schema extends z.ZodType>(schema: Schema, description: string) =>
  json(schema, description, locationHeader.extend(etagHeader.shape).extend(storedAnswerHeader.shape));

/** Describes the answer of a command that deletes a resource. */
export const deleted = { description: "The resource is deleted." };

/** The request of an Idempotency-Key, as the SQL functions take it. */
export type Idempotency = { key: string; method: string; route: string; fingerprint: string; request_id: string };

/**
 * Reads the key of a request, with what it belongs to; undefined without a key.
 *
 * @param body The validated body: equal values are the same request, in whatever form they were written.
 * @throws {Problem} `malformed_request` when the header is not 1 to 255 visible characters.
 */
export function readIdempotency(c: ApiContext, body: unknown): Idempotency | undefined {
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

/** Sets the header of a stored answer and returns the body to answer with. */
export function answerCommand<Body>(c: ApiContext, answer: Answer<Body>): Body {
  if (answer.replayed) c.header("Idempotency-Replayed", "true");
  return answer.body;
}

/** Sets the headers of a changed resource and returns it. */
export function answerChange<Resource extends { version: number }>(c: ApiContext, answer: Answer<Resource>): Resource {
  setEtag(c, answer.body.version);
  return answerCommand(c, answer);
}

/**
 * Sets the headers of a new resource and returns it.
 *
 * @param pathOf Returns the segments of the resource's path.
 */
export function answerCreation<Resource extends { version: number }>(
  c: ApiContext,
  answer: Answer<Resource>,
  pathOf: (resource: Resource) => (string | number)[],
): Resource {
  setLocation(c, pathOf(answer.body));
  return answerChange(c, answer);
}

/** Sets the Location of a new resource by the segments of its path. */
export function setLocation(c: ApiContext, path: (string | number)[]): void {
  c.header("Location", `/functions/v1/${path.map(encodeURIComponent).join("/")}`);
}
