/**
 * Pieces of route contracts that all endpoints share.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { type ProblemCode, problemTable } from "./problems.ts";

const ProblemCodeSchema = z.enum(Object.keys(problemTable) as [ProblemCode, ...ProblemCode[]]).openapi("ProblemCode", {
  description: "Machine code of a problem; docs/errors.md explains each.",
  example: "not_found",
});

const FieldErrorSchema = z.object({
  in: z.enum(["body", "query", "path", "header"]).optional().openapi({
    description: "Part of the request.",
    example: "body",
  }),
  pointer: z.string().openapi({ description: "JSON Pointer to the value.", example: "/qty_desired" }),
  message: z.string().openapi({ description: "What is wrong with it.", example: "must not be negative" }),
  code: z.string().openapi({ description: "Machine code of the rule.", example: "too_small" }),
}).openapi("FieldError", { description: "One wrong value of a request." });

/** A problem (RFC 9457) in the contract. */
export const ProblemSchema = z.looseObject({
  type: z.string().openapi({
    description: "Page that explains the code.",
    example: "/functions/v1/docs/errors/not_found",
  }),
  title: z.string().openapi({
    description: "The code in words, always the same.",
    example: "There is no such resource",
  }),
  status: z.int().openapi({ description: "HTTP status.", example: 404 }),
  detail: z.string().openapi({
    description: "What was wrong this time.",
    example: "There is no such resource, or it is not yours to see",
  }),
  instance: z.string().openapi({
    description: "Request id, as in X-Request-Id and in the log.",
    example: "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11",
  }),
  code: ProblemCodeSchema,
  errors: z.array(FieldErrorSchema).optional().openapi({ description: "Each wrong value, for validation_failed." }),
}).openapi("Problem", { description: "What went wrong (RFC 9457). Further members depend on the code." });

/** Codes that any endpoint can answer. */
const always: ProblemCode[] = ["not_acceptable", "internal_error"];

/** Codes that any endpoint with a credential can answer. */
const withCredential: ProblemCode[] = ["malformed_request", "unauthenticated", "validation_failed", "unavailable"];

/** Codes that any endpoint with a body can answer. */
const withBody: ProblemCode[] = [
  "malformed_json",
  "integrity_error",
  "body_too_large",
  "unsupported_media_type",
];

/** Codes of endpoints that take an Idempotency-Key. */
const withKey: ProblemCode[] = ["idempotency_conflict", "idempotency_key_reused"];

/** Which groups of codes apply beside the endpoint's own. */
interface Groups {
  /** True unless everybody may call it. */
  credential?: boolean;
  body?: boolean;
  idempotent?: boolean;
}

/**
 * The error responses of an endpoint: one per status, its codes in the description.
 *
 * @param codes The endpoint's own codes.
 */
export function problems(
  codes: ProblemCode[],
  { credential = true, body = false, idempotent = false }: Groups = {},
): Record<never, never> {
  const all = [
    ...new Set([
      ...always,
      ...(credential ? withCredential : []),
      ...(body ? withBody : []),
      ...(idempotent ? withKey : []),
      ...codes,
    ]),
  ];
  const byStatus = Map.groupBy(all, (code) => problemTable[code].status);
  return Object.fromEntries(
    [...byStatus].sort(([a], [b]) => a - b).map(([status, codes]) => [status, {
      description: codes.map((code) => `\`${code}\`: ${problemTable[code].title}`).join("; "),
      content: {
        "application/problem+json": {
          schema: ProblemSchema,
          examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
        },
      },
    }]),
  );
}

/** Security of every endpoint: a user's token or the secret key. */
export const security: Record<string, string[]>[] = [{ userToken: [] }, { secretKey: [] }];
