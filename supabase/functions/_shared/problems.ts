/**
 * What can go wrong, said once: every machine code with its status, title and explanation (RFC 9457).
 *
 * The answers, the OpenAPI document and docs/errors.md are all made from {@link problemTable}.
 *
 * @module
 */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

interface ProblemKind {
  /** HTTP status of the answer. */
  status: ContentfulStatusCode;
  /** Short, the same for every occurrence. */
  title: string;
  /** For docs/errors.md: when it occurs, what the problem carries, what the client should do. */
  explanation: string;
}

/** Machine code -> status, title, explanation. */
export const problemTable = {
  malformed_json: {
    status: 400,
    title: "The body is not JSON",
    explanation:
      "The body could not be parsed: a syntax error, bytes that are not UTF-8, or two members of one name. Send one JSON value in UTF-8.",
  },
  malformed_request: {
    status: 400,
    title: "The request cannot be understood",
    explanation:
      "A header or the form of the body is wrong: an Idempotency-Key or If-Match that is not one, or JSON nested more than 32 levels deep. `detail` says which.",
  },
  integrity_error: {
    status: 400,
    title: "A rule of the database forbids this",
    explanation:
      "The values refer to something that does not exist (an unknown user, say) or break a constraint. Nothing was changed.",
  },
  unauthenticated: {
    status: 401,
    title: "Who are you?",
    explanation:
      "There is no credential, or it is not valid: expired, of another project, or not a user's access token. Send `Authorization: Bearer <access token>` of a signed-in user, or `apikey: sb_secret_...` from a server. Refresh the session and try again.",
  },
  forbidden: {
    status: 403,
    title: "Your role may not do this",
    explanation:
      "You can see the resource, but your role or your workplaces do not allow this. `required_role` or `changeable_fields` may say what would.",
  },
  not_found: {
    status: 404,
    title: "There is no such resource",
    explanation: "It does not exist, or you may not see it: the answer is the same for both.",
  },
  unknown_route: {
    status: 404,
    title: "There is no such URL",
    explanation: "The path is not one of the API's. The OpenAPI document lists them all.",
  },
  method_not_allowed: {
    status: 405,
    title: "This URL has no such method",
    explanation: "The `Allow` header lists the methods of this URL.",
  },
  not_acceptable: {
    status: 406,
    title: "The API speaks JSON only",
    explanation: "The `Accept` header rules application/json out. Leave it away or include application/json.",
  },
  already_running: {
    status: 409,
    title: "The operation is running already",
    explanation:
      "Somebody has started it before: `running_since`, `phase`, `user_id` and `user_email` say when and who. There is nothing to do.",
  },
  operation_blocked: {
    status: 409,
    title: "The operation is blocked",
    explanation: "A supervisor holds it (`hold_reason_code`). It can be started after he has released it.",
  },
  workplace_busy: {
    status: 409,
    title: "The workplace has no room",
    explanation:
      "As many operations run there as it has capacity for: `capacity` and `running_operations` name them. Stop or finish one first.",
  },
  ambiguous_operation: {
    status: 409,
    title: "Several operations are meant",
    explanation:
      "The order has this operation on several assets at this workplace: send the report again with one of `asset_ids` as asset_id.",
  },
  out_of_order: {
    status: 409,
    title: "It cannot have happened then",
    explanation:
      "The time lies before something that was reported already (`last_occurred_at`). Correct the time, or report the events in the order in which they happened.",
  },
  duplicate_operation: {
    status: 409,
    title: "The operation exists already",
    explanation: "An operation with this order_no, asset_id and operation_no exists. Change it with PATCH.",
  },
  duplicate_profile: {
    status: 409,
    title: "The profile exists already",
    explanation: "This user has a profile: sign-up makes one. Change it with PATCH.",
  },
  idempotency_conflict: {
    status: 409,
    title: "The key or id is taken",
    explanation:
      "A request with this Idempotency-Key is still being processed (try again shortly), or an event with this id but another content exists (use a new id).",
  },
  in_use: {
    status: 409,
    title: "It is in use",
    explanation: "Other resources refer to it. Deactivate it instead of deleting it.",
  },
  stale_version: {
    status: 412,
    title: "It has changed meanwhile",
    explanation:
      "The version in If-Match is not the current one (`current_version`). Read the resource again, decide again, send again.",
  },
  body_too_large: {
    status: 413,
    title: "The body is too large",
    explanation: "Bodies are limited to 1 MiB (`limit`, in bytes). Send less at once.",
  },
  unsupported_media_type: {
    status: 415,
    title: "The body must be JSON",
    explanation: "Send `Content-Type: application/json`.",
  },
  validation_failed: {
    status: 422,
    title: "Some values are not valid",
    explanation:
      "`errors` names each value by a JSON Pointer (and by `in`: body, query, path or header), with a message and a code. Nothing was changed.",
  },
  invalid_quantity: {
    status: 422,
    title: "These quantities cannot be",
    explanation:
      "Scrap is more than processed, or good pieces are more than desired within the tolerance (`limit`). Check the count, or correct the plan first.",
  },
  invalid_state_transition: {
    status: 422,
    title: "The lifecycle has no such step",
    explanation:
      "`current_status` is the status now, `allowed_actions` what you may do instead. Read the operation again: somebody else may have moved it.",
  },
  reason_required: {
    status: 422,
    title: "Say why",
    explanation: "This step needs a reason_code of the given `kind`.",
  },
  idempotency_key_reused: {
    status: 422,
    title: "The key belongs to another request",
    explanation:
      "This Idempotency-Key was used with another path or body. Make a new key for each new request; repeat a key only with the same request.",
  },
  rate_limited: {
    status: 429,
    title: "Too many requests",
    explanation: "Wait for as many seconds as `Retry-After` says.",
  },
  internal_error: {
    status: 500,
    title: "Something went wrong on our side",
    explanation:
      "The log has the rest under the request id in `instance`. Whether the change was made is not known: repeat it with the same Idempotency-Key.",
  },
  unavailable: {
    status: 503,
    title: "The database cannot answer now",
    explanation:
      "It is away, overloaded or was waiting for a lock. Safe to repeat with the same Idempotency-Key after `Retry-After` seconds.",
  },
} as const satisfies Record<string, ProblemKind>;

/** Machine code of a problem. */
export type ProblemCode = keyof typeof problemTable;

/** True when the text is one of the machine codes. */
export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(problemTable, code);
}

/** One wrong value of a request. */
export interface FieldError {
  /** Where in the request the value stands. */
  in: "body" | "query" | "path" | "header";
  /** JSON Pointer (RFC 6901) to the value. */
  pointer: string;
  message: string;
  code: string;
}

/** The one error that is thrown on purpose; everything else is an `internal_error`. */
export class Problem extends Error {
  /**
   * @param code Machine code of {@link problemTable}.
   * @param detail One sentence: what was tried, what was wrong with it.
   * @param more Further members of the answer, as the code's explanation names them.
   */
  constructor(readonly code: ProblemCode, readonly detail: string, readonly more: Record<string, unknown> = {}) {
    super(detail);
    this.name = "Problem";
  }
}

/** URL of the page that explains a code, relative to the project's, so that it is right on every deployment. */
export const problemType = (code: ProblemCode) => `/functions/v1/docs/errors/${code}`;

const headersOf: Partial<Record<ProblemCode, Record<string, string>>> = {
  unauthenticated: { "WWW-Authenticate": "Bearer" },
  unavailable: { "Retry-After": "1" },
  idempotency_conflict: { "Retry-After": "1" },
};

/** The answer that a problem is: `application/problem+json` with the request id as `instance`. */
export function problemResponse(c: Context, problem: Problem, headers: Record<string, string> = {}): Response {
  const { status, title } = problemTable[problem.code];
  return c.json(
    {
      type: problemType(problem.code),
      title,
      status,
      detail: problem.detail,
      instance: c.get("requestId"),
      code: problem.code,
      ...problem.more,
    },
    status,
    { "Content-Type": "application/problem+json", ...headersOf[problem.code], ...headers },
  );
}
