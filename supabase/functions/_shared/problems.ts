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
  /** What one occurrence says: `detail`, and further members that the code has. */
  example: { detail: string; [member: string]: unknown };
}

/** Machine code -> status, title, explanation. */
export const problemTable = {
  malformed_json: {
    status: 400,
    title: "Malformed JSON",
    explanation:
      "The body is missing or could not be parsed: a syntax error, bytes that are not UTF-8, or two members of one name. Send one JSON value in UTF-8.",
    example: { detail: "The body is not JSON: Unexpected end of JSON input" },
  },
  malformed_request: {
    status: 400,
    title: "Malformed request",
    explanation:
      "A header, the URL or the form of the body is wrong: an Idempotency-Key or If-Match that is not one, percent-encoding that is not UTF-8, or JSON nested more than 32 levels deep. `detail` says which.",
    example: { detail: `If-Match "abc" is not a list of ETags such as "3"` },
  },
  integrity_error: {
    status: 400,
    title: "Data rule broken",
    explanation:
      "The values refer to something that does not exist (an unknown user, say) or break a constraint. Nothing was changed.",
    example: { detail: "A value refers to something that does not exist, or breaks a rule of the database" },
  },
  unauthenticated: {
    status: 401,
    title: "Authentication required",
    explanation:
      "There is no credential, or it is not valid: expired, of another project, of an anonymous user, or not a user's access token; `detail` says which. Send `Authorization: Bearer <access token>` of a signed-in user, or `apikey: sb_secret_...` from a server. Refresh the session and try again.",
    example: {
      detail: "Send the access token of a signed-in user as Authorization: Bearer, or the secret key as apikey",
    },
  },
  forbidden: {
    status: 403,
    title: "Insufficient rights",
    explanation:
      "You can see the resource, but your role or your workplaces do not allow this. `required_role` or `changeable_fields` may say what would. With `required_aal`, your role needs a session with a second factor: verify one, then use the new access token.",
    example: { detail: "Your role may not CANCEL operation 403860-001/1/0010", required_role: "supervisor" },
  },
  not_found: {
    status: 404,
    title: "Resource not found",
    explanation: "It does not exist, or you may not see it: the answer is the same for both.",
    example: { detail: "There is no such resource, or it is not yours to see" },
  },
  unknown_route: {
    status: 404,
    title: "Unknown URL",
    explanation: "The path is not one of the API's. The OpenAPI document lists them all.",
    example: { detail: "There is no /operations/v1/403860-001" },
  },
  method_not_allowed: {
    status: 405,
    title: "Method not allowed",
    explanation: "The `Allow` header lists the methods of this URL.",
    example: { detail: "PUT is not a method of /operations/v1" },
  },
  not_acceptable: {
    status: 406,
    title: "Unsupported response type",
    explanation: "The `Accept` header rules application/json out. Leave it away or include application/json.",
    example: { detail: `The API answers application/json, which "text/csv" does not accept` },
  },
  already_running: {
    status: 409,
    title: "Operation already running",
    explanation:
      "Another report has started it: `running_since`, `phase`, `user_id` and `user_email` say when and who. You need not do anything.",
    example: {
      detail: "Cannot START operation 403860-001/1/0010: it has been running since 2026-11-23T08:15:00.000Z",
      running_since: "2026-11-23T08:15:00.000Z",
      phase: "PROCESSING",
      user_id: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01",
      user_email: "operator@example.com",
    },
  },
  operation_blocked: {
    status: 409,
    title: "Operation blocked",
    explanation: "A supervisor holds it (`hold_reason_code`). You can start it after a supervisor has released it.",
    example: {
      detail:
        'Cannot START operation 403860-001/1/0010: it is blocked with reason "QUALITY" until a supervisor releases it',
      current_status: "ON_HOLD",
      hold_reason_code: "QUALITY",
      allowed_actions: [{ action: "START", allowed: false, blocked_by: "operation_blocked" }],
    },
  },
  workplace_busy: {
    status: 409,
    title: "Workplace at capacity",
    explanation:
      "As many operations run there as it has capacity for: `capacity` and `running_operations` name them. Stop or finish one first.",
    example: {
      detail:
        'Cannot start operation 403860-001/1/0010: workplace "TruLaser 5060 (L76)" runs 1 of at most 1 operations',
      capacity: 1,
      running_operations: [
        { order_no: "403861-001", asset_id: 1, operation_no: "0010", running_since: "2026-11-23T07:30:00.000Z" },
      ],
    },
  },
  ambiguous_operation: {
    status: 409,
    title: "Ambiguous operation",
    explanation:
      "The order has this operation on several assets at this workplace: send the report again with one of `asset_ids` as asset_id.",
    example: {
      detail: 'Operation 403860-001/0010 exists on 2 assets at workplace "TruLaser 5060 (L76)": send asset_id',
      asset_ids: [1, 2],
    },
  },
  out_of_order: {
    status: 409,
    title: "Event out of order",
    explanation:
      "The time lies before something that was reported already (`last_occurred_at`). Correct the time, or report the events in the order in which they happened.",
    example: {
      detail:
        "Cannot STOP operation 403860-001/1/0010 at 2026-11-23T08:00:00.000Z: its last event occurred at 2026-11-23T08:15:00.000Z",
      last_occurred_at: "2026-11-23T08:15:00.000Z",
    },
  },
  duplicate_operation: {
    status: 409,
    title: "Duplicate operation",
    explanation: "An operation with this order_no, asset_id and operation_no exists. Change it with PATCH.",
    example: { detail: "Operation 403860-001/1/0010 exists already" },
  },
  duplicate_profile: {
    status: 409,
    title: "Duplicate profile",
    explanation: "This user has a profile: sign-up makes one. Change it with PATCH.",
    example: { detail: 'Profile "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01" exists already' },
  },
  duplicate_workplace: {
    status: 409,
    title: "Duplicate workplace",
    explanation: "A workplace with this name exists. Change it with PATCH.",
    example: { detail: 'Workplace "Trommelen-1" exists already' },
  },
  duplicate_reason_code: {
    status: 409,
    title: "Duplicate reason code",
    explanation: "A reason code of this kind and code exists. Change it with PATCH.",
    example: { detail: "Reason code STOP/BREAK exists already" },
  },
  idempotency_conflict: {
    status: 409,
    title: "Key or id conflict",
    explanation:
      "A request with this Idempotency-Key is still being processed (try again shortly), or an event with this id but another content exists (use a new id).",
    example: {
      detail:
        'A request with Idempotency-Key "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11" is still being processed: try again',
    },
  },
  in_use: {
    status: 409,
    title: "Resource in use",
    explanation: "Other resources refer to it. Deactivate it instead of deleting it.",
    example: { detail: 'Workplace "TruLaser 5060 (L76)" has operations' },
  },
  limit_reached: {
    status: 409,
    title: "Limit reached",
    explanation: "As many exist as may (`limit`). Delete or disable one first.",
    example: { detail: "There are 100 enabled webhook endpoints already: disable or delete one first", limit: 100 },
  },
  endpoint_disabled: {
    status: 409,
    title: "Webhook endpoint disabled",
    explanation:
      "Nothing is sent to it: it was switched off, answered 410, or failed for 5 days (`disabled_reason` of the endpoint). Set `enabled` to true first.",
    example: {
      detail: 'Endpoint "7a3f0c52-9d1e-4b8f-a6c4-2e5d8b1f7c90" is disabled: nothing is sent to it. Enable it first',
    },
  },
  feed_reset: {
    status: 410,
    title: "Feed reset",
    explanation:
      "The database was restored since this cursor was made, or the feed is no longer kept that far back. What you have read may differ from what the database holds: read the operations again, then the feed without a cursor.",
    example: { detail: "The feed is no longer kept that far back. Begin again without a cursor" },
  },
  secret_gone: {
    status: 410,
    title: "Secret no longer available",
    explanation:
      "The first request with this Idempotency-Key made a webhook secret that signs no more: the endpoint was deleted, or its secret rotated. The answer is not repeated. Rotate the secret under a new key.",
    example: {
      detail: "The secret that this request made signs no more: the endpoint was deleted, or its secret rotated",
    },
  },
  stale_version: {
    status: 412,
    title: "Version conflict",
    explanation:
      "The version in If-Match is not the current one (`current_version`). Read the resource again, decide again, send again.",
    example: { detail: "The resource has changed: its version is 4 now", current_version: 4 },
  },
  body_too_large: {
    status: 413,
    title: "Body too large",
    explanation: "Bodies are limited to 1 MiB (`limit`, in bytes). Send less at once.",
    example: { detail: "The body is larger than 1048576 bytes", limit: 1_048_576 },
  },
  unsupported_media_type: {
    status: 415,
    title: "Unsupported media type",
    explanation: "Send `Content-Type: application/json`.",
    example: { detail: "Send the body with Content-Type: application/json" },
  },
  validation_failed: {
    status: 422,
    title: "Invalid values",
    explanation:
      "`errors` names each value by a JSON Pointer (and by `in`: body, query, path or header), with a message and a code; at most 100 of them. An array or object of a body has at most 10,000 elements. Nothing was changed.",
    example: {
      detail: "Not valid in the body: /qty_desired",
      errors: [{
        in: "body",
        pointer: "/qty_desired",
        message: "Too small: expected number to be >=0",
        code: "too_small",
      }],
    },
  },
  invalid_quantity: {
    status: 422,
    title: "Invalid quantity",
    explanation:
      "Scrap is more than processed, or good pieces are more than desired within the tolerance (`limit`). Check the count, or correct the plan first.",
    example: {
      detail: "Operation 403860-001/1/0010 cannot have 60 good pieces: 50 are desired, with 0 % tolerance",
      qty_desired: 50,
      qty_good: 60,
      limit: 50,
    },
  },
  invalid_state_transition: {
    status: 422,
    title: "Invalid state transition",
    explanation:
      "`current_status` is the status now, `allowed_actions` what you may do instead. Read the operation again: somebody else may have moved it.",
    example: {
      detail: 'Cannot START operation 403860-001/1/0010: status is "FINISHED"',
      current_status: "FINISHED",
      allowed_actions: [
        { action: "START", allowed: false, blocked_by: "invalid_state_transition" },
        { action: "REVERSE", allowed: true, blocked_by: null },
      ],
    },
  },
  reason_required: {
    status: 422,
    title: "Reason required",
    explanation: "This step needs a reason_code of the given `kind`.",
    example: {
      detail: "Cannot FINISH operation 403860-001/1/0010: a reason code of kind SHORTFALL is required",
      kind: "SHORTFALL",
    },
  },
  too_old: {
    status: 422,
    title: "Report too old",
    explanation:
      "A machine or an operator reports what happened longer ago than the plant allows (31 days, unless set otherwise): the clock of the device is wrong. `server_time` is the server's time, `limit` the oldest time that is taken, `limit_days` the limit itself. Set the device's clock and report again; supervisors may report what is older.",
    example: {
      detail:
        "Cannot START operation 403860-001/1/0010 at 1970-01-01T00:00:12.000Z: that is 20781 days behind the server's clock, 2026-11-24T08:15:00.000Z; a supervisor may report it",
      server_time: "2026-11-24T08:15:00.000Z",
      limit: "2026-10-24T08:15:00.000Z",
      limit_days: 31,
    },
  },
  idempotency_key_reused: {
    status: 422,
    title: "Idempotency key reused",
    explanation:
      "This Idempotency-Key was used with another path or body. Make a new key for each new request; repeat a key only with the same request.",
    example: {
      detail: 'Idempotency-Key "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11" was used with another request',
    },
  },
  upgrade_required: {
    status: 426,
    title: "WebSocket upgrade required",
    explanation:
      "The request is not the opening of a WebSocket. Connect with a WebSocket client, or follow `GET /stream/v1/events` over plain HTTP.",
    example: { detail: "GET /stream/v1/ws opens a WebSocket: send Upgrade: websocket" },
  },
  rate_limited: {
    status: 429,
    title: "Too many requests",
    explanation:
      "You have as many of these at once as a caller may have (`limit`): streams, or tickets that nobody has used yet. Wait for as many seconds as `Retry-After` and `retry_after_s` say, or close one.",
    example: { detail: "Cannot open a stream: you have 10 of at most 10", limit: 10, retry_after_s: 5 },
  },
  internal_error: {
    status: 500,
    title: "Internal error",
    explanation:
      "The log has the rest under the request id in `instance`. Whether the change was made is not known: repeat it with the same Idempotency-Key.",
    example: { detail: "The request could not be carried out" },
  },
  unavailable: {
    status: 503,
    title: "Service unavailable",
    explanation:
      "It is away, overloaded, was waiting for a lock, or carries out as many large batches as it takes at once; or the server's clock is behind the time at which the access token was issued. Safe to repeat with the same Idempotency-Key after `Retry-After` seconds.",
    example: { detail: "The database cannot answer now: try again with the same Idempotency-Key" },
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
  upgrade_required: { Upgrade: "websocket" },
  rate_limited: { "Retry-After": "5" },
  idempotency_conflict: { "Retry-After": "1" },
};

/** `Retry-After` of a problem that knows how long, by its member `retry_after_s`. */
function retryAfter({ more: { retry_after_s } }: Problem): Record<string, string> {
  return typeof retry_after_s === "number" ? { "Retry-After": String(retry_after_s) } : {};
}

/** A problem as it is sent. */
export type ProblemBody = {
  type: string;
  title: string;
  status: ContentfulStatusCode;
  detail: string;
  instance: string;
  code: ProblemCode;
  [member: string]: unknown;
};

/**
 * The body that tells a problem.
 *
 * @param instance The request id.
 */
export function problemBody({ code, detail, more }: Problem, instance: string): ProblemBody {
  const { status, title } = problemTable[code];
  return { type: problemType(code), title, status, detail, instance, code, ...more };
}

/** The answer that a problem is: `application/problem+json` with the request id as `instance`. */
export function problemResponse(c: Context, problem: Problem, headers: Record<string, string> = {}): Response {
  const body = problemBody(problem, c.get("requestId"));
  return c.json(
    body,
    body.status,
    { "Content-Type": "application/problem+json", ...headersOf[problem.code], ...retryAfter(problem), ...headers },
  );
}
