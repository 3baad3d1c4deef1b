/**
 * Problems (RFC 9457): every machine code with its status, title and explanation.
 *
 * The answers, the OpenAPI document and docs/errors.md are generated from {@link problemTable}.
 *
 * @module
 */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

interface ProblemKind {
  /** HTTP status of the answer. */
  status: ContentfulStatusCode;
  /** Noun phrase of at most four words. */
  title: string;
  /** For docs/errors.md: when the problem occurs, its further members, and what the client should do. */
  explanation: string;
  /** Example of an occurrence: `detail`, and the further members of the code. */
  example: { detail: string; [member: string]: unknown };
}

/** Request id of the examples. */
export const exampleRequestId = "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11";

/** All problems by their machine codes. */
export const problemTable = {
  malformed_json: {
    status: 400,
    title: "Malformed JSON",
    explanation:
      "The body is missing or is not valid JSON: a syntax error, bytes that are not UTF-8, or duplicate names in an object. Send one JSON value in UTF-8.",
    example: { detail: "The body is not JSON: Unexpected end of JSON input" },
  },
  malformed_request: {
    status: 400,
    title: "Malformed request",
    explanation:
      "A header, the URL or the form of the body is invalid: a malformed Idempotency-Key or If-Match, percent-encoding that is not UTF-8, or JSON nested more than 32 levels deep. `detail` says which.",
    example: { detail: `If-Match "abc" is not a list of ETags such as "3"` },
  },
  integrity_error: {
    status: 400,
    title: "Data rule broken",
    explanation:
      "The values refer to a resource that does not exist (for example an unknown user) or break a constraint. Nothing has changed.",
    example: { detail: "A value refers to something that does not exist, or breaks a rule of the database" },
  },
  unauthenticated: {
    status: 401,
    title: "Authentication required",
    explanation:
      "The request has no credential, or an invalid one: expired, revoked, of another project, of an anonymous user, or not a user's access token. `detail` says which. Send `Authorization: Bearer <access token>` of a signed-in user, `Authorization: Bearer mes_...` with an API key, or `apikey: sb_secret_...` from a server. A user refreshes the session and retries. With `credential` X-Acting-For, the credential of the terminal is valid and the acting token is not: let the person sign in again.",
    example: {
      detail:
        "Send the access token of a signed-in user or an API key as Authorization: Bearer, or the secret key as apikey",
    },
  },
  forbidden: {
    status: 403,
    title: "Insufficient rights",
    explanation:
      "You can see the resource, but your role or your workplaces do not allow the request. `required_role` or `changeable_fields` may name what is allowed. `required_scope` or `required_scopes` names what an API key lacks; null means that API keys may not do this at all. With `required_aal`, your role needs a session with a second factor: verify one, then use the new access token.",
    example: { detail: "Your role may not CANCEL operation 403860-001/1/0010", required_role: "supervisor" },
  },
  sign_in_failed: {
    status: 403,
    title: "Sign-in failed",
    explanation:
      "Nobody signs in with this badge or number and this PIN: one of them is wrong, or the person is not active. The answer does not say which. The failure is counted: five within 15 minutes lock the person and the terminal. The terminal's own credential is valid, so do not refresh it.",
    example: { detail: "Nobody signs in with this badge or number and this PIN" },
  },
  not_found: {
    status: 404,
    title: "Resource not found",
    explanation: "The resource does not exist, or you may not see it. The answer is the same in both cases.",
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
    explanation: "The `Accept` header excludes application/json. Omit the header or include application/json.",
    example: { detail: `The API answers application/json, which "text/csv" does not accept` },
  },
  already_running: {
    status: 409,
    title: "Operation already running",
    explanation:
      "An earlier report started the operation: see `running_since`, `phase`, `user_id`, `user_email` and, at a shared terminal, `person`. You do not need to do anything.",
    example: {
      detail: "Cannot START operation 403860-001/1/0010: it has been running since 2026-11-23T08:15:00.000Z",
      running_since: "2026-11-23T08:15:00.000Z",
      phase: "PROCESSING",
      user_id: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01",
      user_email: "operator@example.com",
      person: null,
    },
  },
  operation_blocked: {
    status: 409,
    title: "Operation blocked",
    explanation:
      "A supervisor blocked the operation (`hold_reason_code`). You can start it after a supervisor has released it.",
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
      "The workplace already runs as many operations as its `capacity` allows (`running_operations`). Stop or finish one first.",
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
      "The order has this operation on several assets at this workplace. Send the report again with one of `asset_ids` as asset_id.",
    example: {
      detail: 'Operation 403860-001/0010 exists on 2 assets at workplace "TruLaser 5060 (L76)": send asset_id',
      asset_ids: [1, 2],
    },
  },
  planned_elsewhere: {
    status: 409,
    title: "Planned elsewhere",
    explanation:
      "The operation was worked on at this workplace and is planned elsewhere by now: `workplace_name` and `asset_id` say where. Report it there. Work that was started here is ended here: STOP, COMPLETE, FINISH, HOLD and CANCEL are accepted at the workplace at which the open run was started.",
    example: {
      detail:
        'Operation 403860-001/1/0010 is not planned at workplace "TruLaser 5060 (L76)" any more but at "TruLaser 3030 (L30)": report it there',
      workplace_name: "TruLaser 3030 (L30)",
      asset_id: 1,
    },
  },
  out_of_order: {
    status: 409,
    title: "Event out of order",
    explanation:
      "The time is earlier than that of an event that was already reported (`last_occurred_at`). Correct the time, or report the events in the order in which they happened.",
    example: {
      detail:
        "Cannot STOP operation 403860-001/1/0010 at 2026-11-23T08:00:00.000Z: its last event occurred at 2026-11-23T08:15:00.000Z",
      last_occurred_at: "2026-11-23T08:15:00.000Z",
    },
  },
  duplicate_operation: {
    status: 409,
    title: "Duplicate operation",
    explanation: "An operation with this order_no, asset_id and operation_no already exists. Change it with PATCH.",
    example: { detail: "Operation 403860-001/1/0010 exists already" },
  },
  duplicate_profile: {
    status: 409,
    title: "Duplicate profile",
    explanation: "The user already has a profile: sign-up creates one. Change it with PATCH.",
    example: { detail: 'Profile "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01" exists already' },
  },
  duplicate_person: {
    status: 409,
    title: "Duplicate person",
    explanation:
      "Another person has this number, badge or profile; `detail` says which. Find the person, or send another value.",
    example: { detail: "Another person has this badge" },
  },
  pseudonymised: {
    status: 409,
    title: "Person pseudonymised",
    explanation: "The person was pseudonymised, which cannot be undone. Create a new person instead.",
    example: { detail: "The person is pseudonymised: create a new person instead" },
  },
  duplicate_workplace: {
    status: 409,
    title: "Duplicate workplace",
    explanation: "A workplace with this name already exists. Change it with PATCH.",
    example: { detail: 'Workplace "Trommelen-1" exists already' },
  },
  duplicate_reason_code: {
    status: 409,
    title: "Duplicate reason code",
    explanation: "A reason code with this kind and code already exists. Change it with PATCH.",
    example: { detail: "Reason code STOP/BREAK exists already" },
  },
  duplicate_calendar: {
    status: 409,
    title: "Duplicate calendar",
    explanation: "A calendar with this name already exists. Change it with PATCH.",
    example: { detail: 'Calendar "Two shifts" exists already' },
  },
  shift_overlap: {
    status: 409,
    title: "Overlapping shifts",
    explanation:
      "Two shifts of the calendar would take place at once, or one twice on a date: `shift_code` and `shift_date` name the later one. In the nights when clocks change, shifts that only touch on the clock can overlap. Nothing has changed.",
    example: {
      detail:
        'Shift "LATE" of 2026-11-24 begins at 2026-11-24T12:30:00.000Z, before shift "EARLY" of 2026-11-24 ends at 2026-11-24T13:00:00.000Z',
      shift_code: "LATE",
      shift_date: "2026-11-24",
    },
  },
  idempotency_conflict: {
    status: 409,
    title: "Key or id conflict",
    explanation:
      "The server still processes a request with this Idempotency-Key (retry shortly), or an event with this id and other content already exists (use a new id).",
    example: {
      detail:
        'A request with Idempotency-Key "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11" is still being processed: try again',
    },
  },
  downtime_overlap: {
    status: 409,
    title: "Downtime overlap",
    explanation:
      "Another downtime of the workplace overlaps this one: `downtime_id`, `started_at` and `ended_at` (null while it is open) are its. End, classify or split that one, or report a span that leaves it out.",
    example: {
      detail:
        'Workplace "TruLaser 5060 (L76)" has downtime "c0a8f3d1-4b52-4e0f-9d57-6f1f0f8a2b11" from 2026-11-23T08:15:00.000Z to now already',
      downtime_id: "c0a8f3d1-4b52-4e0f-9d57-6f1f0f8a2b11",
      started_at: "2026-11-23T08:15:00.000Z",
      ended_at: null,
    },
  },
  in_use: {
    status: 409,
    title: "Resource in use",
    explanation: "Other resources refer to this one. Deactivate it instead of deleting it.",
    example: { detail: 'Workplace "TruLaser 5060 (L76)" has operations' },
  },
  limit_reached: {
    status: 409,
    title: "Limit reached",
    explanation: "The largest allowed number of these resources exists (`limit`). Delete or disable one first.",
    example: { detail: "There are 100 enabled webhook endpoints already: disable or delete one first", limit: 100 },
  },
  key_revoked: {
    status: 409,
    title: "API key revoked",
    explanation: "A revoked API key cannot be changed, rotated or restored. Create another key.",
    example: { detail: "The API key was revoked at 2026-11-23T08:15:00.000Z: create another one" },
  },
  endpoint_disabled: {
    status: 409,
    title: "Webhook endpoint disabled",
    explanation:
      "The server sends nothing to a disabled endpoint. It was switched off, answered 410, or failed for 5 days: see `disabled_reason` of the endpoint. Set `enabled` to true first.",
    example: {
      detail: 'Endpoint "7a3f0c52-9d1e-4b8f-a6c4-2e5d8b1f7c90" is disabled: nothing is sent to it. Enable it first',
    },
  },
  feed_reset: {
    status: 410,
    title: "Feed reset",
    explanation:
      "The database was restored after this cursor was issued, or the events after it are no longer stored. Your copy may differ from the database: read the operations again, then the feed without a cursor.",
    example: { detail: "The feed is no longer kept that far back. Begin again without a cursor" },
  },
  secret_gone: {
    status: 410,
    title: "Secret no longer available",
    explanation:
      "The first request with this Idempotency-Key created a webhook secret that is no longer valid: the endpoint was deleted, or its secret was rotated. The server does not repeat the answer. Rotate the secret with a new key.",
    example: {
      detail: "The secret that this request made signs no more: the endpoint was deleted, or its secret rotated",
    },
  },
  version_gone: {
    status: 410,
    title: "Version ended",
    explanation:
      "This version of the resource has ended (`sunset_at`). Its answers carried the headers `Deprecation` and `Sunset` before. Move to `successor`; `GET /{function}` lists the versions that are served.",
    example: {
      detail: "Version v1 of operations has ended: use /functions/v1/operations/v2",
      sunset_at: "2030-01-01T00:00:00.000Z",
      successor: "/functions/v1/operations/v2",
    },
  },
  stale_version: {
    status: 412,
    title: "Version conflict",
    explanation:
      "The version in If-Match is stale; `current_version` is the current one. Read the resource again, then decide whether to repeat the change.",
    example: { detail: "The resource has changed: its version is 4 now", current_version: 4 },
  },
  body_too_large: {
    status: 413,
    title: "Body too large",
    explanation: "A body may have at most 1 MiB (`limit`, in bytes). Split the request.",
    example: { detail: "The body is larger than 1048576 bytes", limit: 1_048_576 },
  },
  confirmation_invalid: {
    status: 422,
    title: "Confirmation refused",
    explanation:
      "The confirm_token of a language model's write is expired, or is not the one of this call: it was altered, or comes from another caller, another tool or other arguments. Nothing has changed. Call the tool again without confirm_token, show what it would do, and confirm that. `reason` is expired or other_call.",
    example: {
      detail: "The confirm_token has expired: call the tool again without it",
      reason: "expired",
    },
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
      "`errors` lists up to 100 invalid values. Each has a JSON Pointer, the part of the request (`in`: body, query, path or header), a message and a code. `detail` begins with the code of the first one, such as `in_future` or `too_small`, then says where it is and what is wrong. An array or object in a body may have at most 10,000 elements, and a body at most 50,000 arrays and objects. Nothing has changed.",
    example: {
      detail: "too_small at /qty_desired: must be at least 0, not -5",
      errors: [{
        in: "body",
        pointer: "/qty_desired",
        message: "must be at least 0, not -5",
        code: "too_small",
      }],
    },
  },
  invalid_quantity: {
    status: 422,
    title: "Invalid quantity",
    explanation:
      "More pieces are scrapped than processed, or the good pieces exceed the desired quantity and its tolerance (`limit`). Check the count, or correct the plan first. A counter reports with `overrun` park: what fits is booked and the rest is kept.",
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
      "The status of the operation, or of the downtime, does not allow the action. `current_status` is the current status, `allowed_actions` lists what you may do instead. Read the operation again: another caller may have changed its status.",
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
    explanation: "The action needs a reason_code of the given `kind`.",
    example: {
      detail: "Cannot FINISH operation 403860-001/1/0010: a reason code of kind SHORTFALL is required",
      kind: "SHORTFALL",
    },
  },
  too_old: {
    status: 422,
    title: "Report too old",
    explanation:
      "The report of a machine or an operator is older than the plant allows (31 days by default), probably because the clock of the device is wrong. `server_time` is the server's time, `limit` the oldest time that is accepted, `limit_days` the limit in days. Set the device's clock and report again. Supervisors may report older events.",
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
      "An earlier request with another path or body used this Idempotency-Key. Generate a new key for each new request; repeat a key only with the same request.",
    example: {
      detail: 'Idempotency-Key "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11" was used with another request',
    },
  },
  upgrade_required: {
    status: 426,
    title: "WebSocket upgrade required",
    explanation:
      "The request is not the opening handshake of a WebSocket. Connect with a WebSocket client, or read `GET /stream/v1/events` over plain HTTP.",
    example: { detail: "GET /stream/v1/ws opens a WebSocket: send Upgrade: websocket" },
  },
  rate_limited: {
    status: 429,
    title: "Too many requests",
    explanation:
      "You have sent more requests of a class (`policy`) than you may, or have the largest allowed number (`limit`) of open streams, unused tickets, waiting requests or sign-ins under way. Wait for the seconds that `Retry-After` and `retry_after_s` give, or close a stream. Nothing has changed: the same request, with the same Idempotency-Key, succeeds later. docs/limits.md describes the classes and their limits.",
    example: {
      detail: `Too many requests of class "reads": at most 600 at once and 3000 per minute`,
      policy: "reads",
      limit: 600,
      retry_after_s: 1,
    },
  },
  sign_in_locked: {
    status: 429,
    title: "Sign-in locked",
    explanation:
      "Five sign-ins of this person or at this terminal have failed within 15 minutes. Wait for the seconds that `Retry-After` and `retry_after_s` give. A supervisor ends the lock of a person with a new PIN.",
    example: {
      detail: "Five sign-ins have failed: this terminal or this person is locked for 15 minutes",
      retry_after_s: 871,
    },
  },
  internal_error: {
    status: 500,
    title: "Internal error",
    explanation:
      "The server's log explains the error under the request id in `instance`. The change may or may not have happened: repeat the request with the same Idempotency-Key.",
    example: { detail: "The server could not process the request" },
  },
  unavailable: {
    status: 503,
    title: "Service unavailable",
    explanation:
      "The database does not answer, is overloaded, waited too long for a lock, or already processes the largest allowed number of large batches; or the server's clock is behind the time at which the access token was issued; or the functions are newer than the database and need the migration `needs_migration`; or the database does not judge API keys, because its request hook is not active. It is safe to repeat the request with the same Idempotency-Key after `Retry-After` seconds.",
    example: { detail: "The database cannot answer now: try again with the same Idempotency-Key" },
  },
} as const satisfies Record<string, ProblemKind>;

/** Machine code of a problem. */
export type ProblemCode = keyof typeof problemTable;

/** Returns whether the text is one of the machine codes. */
export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(problemTable, code);
}

/** One invalid value of a request. */
export interface FieldError {
  /** Part of the request that holds the value. */
  in: "body" | "query" | "path" | "header";
  /** JSON Pointer (RFC 6901) to the value. */
  pointer: string;
  message: string;
  code: string;
}

/** The only error that code throws on purpose; every other error is an `internal_error`. */
export class Problem extends Error {
  /**
   * @param code Machine code of {@link problemTable}.
   * @param detail One sentence: what the caller tried, and what is wrong with it.
   * @param more Further members of the answer, as the code's explanation names them.
   * @param options `cause`: what the log says beside it when the code is `unavailable`; never a value of a request.
   */
  constructor(
    readonly code: ProblemCode,
    readonly detail: string,
    readonly more: Record<string, unknown> = {},
    options?: ErrorOptions,
  ) {
    super(detail, options);
    this.name = "Problem";
  }
}

/** Returns the URL of the page that explains a code, relative to the origin, so that it is right on every deployment. */
export const problemType = (code: ProblemCode) => `/functions/v1/docs/errors/${code}`;

/** Headers of a code's answers. */
const headersOf: Partial<Record<ProblemCode, Record<string, string>>> = {
  unauthenticated: { "WWW-Authenticate": "Bearer" },
  unavailable: { "Retry-After": "1" },
  upgrade_required: { Upgrade: "websocket" },
  rate_limited: { "Retry-After": "5" },
  sign_in_locked: { "Retry-After": "900" },
  idempotency_conflict: { "Retry-After": "1" },
};

/** Returns the `Retry-After` of a problem with the member `retry_after_s`. */
function retryAfter({ more: { retry_after_s } }: Problem): Record<string, string> {
  return typeof retry_after_s === "number" ? { "Retry-After": String(retry_after_s) } : {};
}

/** Body of a problem's answer. */
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
 * Returns the body of a problem.
 *
 * @param instance The request id.
 */
export function problemBody(
  { code, detail, more = {} }: Pick<Problem, "code" | "detail"> & Partial<Problem>,
  instance: string,
): ProblemBody {
  const { status, title } = problemTable[code];
  return { type: problemType(code), title, status, detail: firstError(more.errors) ?? detail, instance, code, ...more };
}

/** Describes the first invalid value, its code first, so that `detail` alone is enough to correct a request. */
function firstError(errors: unknown): string | undefined {
  if (!Array.isArray(errors)) return undefined;
  const [first]: FieldError[] = errors;
  if (first === undefined) return undefined;
  const { in: part, pointer, message, code } = first;
  const place = [...part === "body" ? [] : [part], ...pointer === "" ? [] : [pointer]].join(" ");
  const others = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  return `${code}${place === "" ? "" : ` at ${place}`}: ${message}${others}`;
}

/** Returns the answer of a problem: `application/problem+json` with the request id as `instance`. */
export function problemResponse(c: Context, problem: Problem, headers: Record<string, string> = {}): Response {
  const body = problemBody(problem, c.get("requestId"));
  return c.json(
    body,
    body.status,
    { "Content-Type": "application/problem+json", ...headersOf[problem.code], ...retryAfter(problem), ...headers },
  );
}
