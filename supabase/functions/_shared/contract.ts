/**
 * Parts of contracts that all endpoints share.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { exampleRequestId, type ProblemCode, problemTable } from "./problems.ts";

/** Describes an answer of JSON. */
export const json = <Schema extends z.ZodType, Headers extends z.ZodObject>(
  schema: Schema,
  description: string,
  headers?: Headers,
) => ({ description, headers, content: { "application/json": { schema } } });

/** Describes a JSON body, which the endpoint requires. */
export const jsonBody = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true,
  content: { "application/json": { schema } },
});

const ProblemCodeSchema = z.enum(Object.keys(problemTable) as [ProblemCode, ...ProblemCode[]]).openapi("ProblemCode", {
  description: "Machine code of a problem. docs/errors.md explains each one.",
  example: "not_found",
});

const RequestPart = z.enum(["body", "query", "path", "header"]).openapi("RequestPart", {
  description: "Part of the request that holds the value.",
  example: "body",
});

const FieldErrorSchema = z.object({
  in: RequestPart.optional(),
  pointer: z.string().openapi({ description: "JSON Pointer to the value.", example: "/qty_desired" }),
  message: z.string().openapi({ description: "Rule that the value breaks.", example: "must not be negative" }),
  code: z.string().openapi({ description: "Machine code of the rule.", example: "too_small" }),
}).openapi("FieldError", { description: "One invalid value of a request." });

/** Schema of a problem (RFC 9457). */
export const ProblemSchema = z.looseObject({
  type: z.string().openapi({
    description: "URL of the page that explains the code.",
    example: "/functions/v1/docs/errors/not_found",
  }),
  title: z.string().openapi({
    description: "Title of the code. It is the same in each occurrence.",
    example: "Resource not found",
  }),
  status: z.int().openapi({ description: "HTTP status.", example: 404 }),
  detail: z.string().openapi({
    description: "Explanation of this occurrence.",
    example: problemTable.not_found.example.detail,
  }),
  instance: z.string().openapi({
    description: "Request id, as in X-Request-Id and in the log.",
    example: exampleRequestId,
  }),
  code: ProblemCodeSchema,
  errors: z.array(FieldErrorSchema).optional().openapi({ description: "All invalid values, for validation_failed." }),
}).openapi("Problem", { description: "A problem (RFC 9457). Further members depend on the code." });

/** Codes that any endpoint can answer. */
const commonCodes: ProblemCode[] = ["not_acceptable", "rate_limited", "internal_error"];

/** Codes that any endpoint with a credential can answer. */
const credentialCodes: ProblemCode[] = [
  "malformed_request",
  "unauthenticated",
  // an API key needs a scope for each endpoint
  "forbidden",
  "validation_failed",
  "unavailable",
];

/** Codes that any endpoint with a body can answer. */
const bodyCodes: ProblemCode[] = [
  "malformed_json",
  "integrity_error",
  "body_too_large",
  "unsupported_media_type",
];

/** Codes that any endpoint with an Idempotency-Key can answer. */
const keyCodes: ProblemCode[] = ["idempotency_conflict", "idempotency_key_reused"];

/** Codes of the rules of the lifecycle: for reports, transitions and changes of operations. */
export const lifecycleCodes: ProblemCode[] = [
  "forbidden",
  "not_found",
  "already_running",
  "operation_blocked",
  "workplace_busy",
  "out_of_order",
  "too_old",
  "invalid_quantity",
  "invalid_state_transition",
  "reason_required",
];

/** Groups of codes that apply beside the endpoint's own. */
interface Groups {
  /** False when the endpoint needs no credential. */
  credential?: boolean;
  body?: boolean;
  idempotent?: boolean;
}

/**
 * Describes the error responses of an endpoint: one per status, its codes in the description.
 *
 * @param codes The endpoint's own codes.
 */
export function problems(
  codes: ProblemCode[],
  { credential = true, body = false, idempotent = false }: Groups = {},
): Record<never, never> {
  const all = [
    ...new Set([
      ...commonCodes,
      ...(credential ? credentialCodes : []),
      ...(body ? bodyCodes : []),
      ...(idempotent ? keyCodes : []),
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

/** Describes the error responses of a command: an endpoint with a body and an Idempotency-Key. */
export const commandProblems = (codes: ProblemCode[]) => problems(codes, { body: true, idempotent: true });

/** Security of every endpoint: a user's token, an API key, or the secret key. */
export const security: Record<string, string[]>[] = [{ userToken: [] }, { apiKey: [] }, { secretKey: [] }];

/** Security of endpoints for signed-in users only. */
export const userSecurity: Record<string, string[]>[] = [{ userToken: [] }];
