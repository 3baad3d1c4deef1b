/**
 * Messages of the stream, and requests that open it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { DowntimeAction, DowntimeEvent } from "../_shared/downtime.ts";
import { OperationEvent } from "../_shared/event.ts";
import { exampleCursor, maxCursorLength } from "../_shared/cursors.ts";
import { feedFilter } from "../_shared/feed.ts";
import { instantOut } from "../_shared/fields.ts";
import { Action, Operation } from "../_shared/operation.ts";

/** Access of a user, as the database answers it. */
export interface AccessRow {
  user_id: string;
  sees_all: boolean;
  workplaces: string[];
  /** Whether the user sees events only with a second factor. */
  needs_aal2: boolean;
}

/** Access of an API key. */
export interface KeyAccessRow extends AccessRow {
  /** Whether the key follows the stream by `board:read` alone, which shows no names. */
  is_nameless: boolean;
}

declare module "../_shared/database.ts" {
  interface Answers {
    take_stream_place: AccessRow[];
    hold_stream_places: AccessRow[];
    admit_key_stream: KeyAccessRow;
    create_stream_ticket: { expires_at: string };
    use_stream_ticket: { user_id: string | null; filter: unknown; session_ends_at: string | null } | null;
  }
}

const cursor = () =>
  z.string().openapi({
    description: "Cursor to resume from: send it as `after` to a stream or to the feed.",
    example: exampleCursor,
  });

const message = <Type extends string>(type: Type, description: string) =>
  z.literal(type).openapi({ description, example: type });

export const ReadyMessage = z.object({
  type: message("ready", "The stream is open: all later events follow."),
  cursor: cursor(),
}).openapi("ReadyMessage", { description: "The first message of a stream." });

export const EventMessage = z.object({
  type: message("event", "An event."),
  cursor: cursor(),
  event: OperationEvent,
  operation: z.union([Operation, z.null()]).openapi({
    description:
      "The operation when the stream read the event: after this event, and possibly after later ones, whose messages follow " +
      "(compare `version`). Null when the operation was deleted, or moved to a workplace that the reader does not see.",
  }),
}).openapi("EventMessage", { description: "A message with an event." });

export const DowntimeMessage = z.object({
  type: message("downtime", "An event of a downtime."),
  cursor: cursor(),
  event: DowntimeEvent,
}).openapi("DowntimeMessage", {
  description: "A message with an event of a downtime, for streams with `include=downtimes`.",
});

/** All that a stream without names tells: what somebody typed about an event may name a person. */
const BoardEvent = z.object({
  id: OperationEvent.shape.id,
  // one list of values: of two, generators of Go cannot tell which one a value is of
  action_type: z.enum([...Action.options, ...DowntimeAction.options]).openapi("BoardAction", {
    description: "What happened, to an operation or to a downtime.",
    example: "START",
  }),
  workplace_name: OperationEvent.shape.workplace_name,
  order_no: OperationEvent.shape.order_no.nullable().openapi({ description: "Order; null for a downtime." }),
  asset_id: OperationEvent.shape.asset_id.nullable().openapi({ description: "Machine; null for a downtime." }),
  operation_no: OperationEvent.shape.operation_no.nullable().openapi({
    description: "Operation; null for a downtime.",
  }),
  occurred_at: OperationEvent.shape.occurred_at,
}).openapi("BoardEvent", { description: "An event without anything that names a person: who, notes, free data." });

export const BoardMessage = z.object({
  type: message("board", "An event, for readers who see no names."),
  cursor: cursor(),
  event: BoardEvent,
}).openapi("BoardMessage", {
  description:
    "A message with an event, in place of `event` and `downtime`, for keys with `board:read` alone and board tickets.",
});

export const CloseReason = z.enum([
  "lifetime",
  "slow_reader",
  "access_changed",
  "token_expired",
  "feed_reset",
  "unavailable",
]).openapi("CloseReason", {
  description:
    "`lifetime`: the stream has reached its longest duration, reconnect. `slow_reader`: the reader took nothing for too long, " +
    "reconnect. `access_changed`: a workplace or a role was revoked, reconnect for the rest. `token_expired`: reconnect with a new " +
    "token. `unavailable`: the database does not answer, reconnect later. `feed_reset`: the database was restored, start again " +
    "without `after`.",
  example: "lifetime",
});

export const CloseMessage = z.object({
  type: message("close", "The stream ends."),
  cursor: cursor(),
  reason: CloseReason,
}).openapi("CloseMessage", { description: "The last message of a stream that the server ends." });

export const StreamMessage = z.discriminatedUnion("type", [
  ReadyMessage,
  EventMessage,
  DowntimeMessage,
  BoardMessage,
  CloseMessage,
])
  .openapi(
    "StreamMessage",
    {
      description: "One message of the stream: the `data` of a Server-Sent Event, or a message of the WebSocket.",
      example: { type: "close", cursor: exampleCursor, reason: "lifetime" },
    },
  );

export type CloseReason = z.infer<typeof CloseReason>;
export type StreamMessage = z.infer<typeof StreamMessage>;

/** Filters of a stream. */
export const StreamFilter = z.strictObject(feedFilter);
export type StreamFilter = z.infer<typeof StreamFilter>;

export const StreamQuery = StreamFilter.extend({
  after: z.string().min(1).max(maxCursorLength).optional().openapi({
    description: "Cursor of a stream or of the feed to resume from. Without it, the stream begins with the next event.",
    example: exampleCursor,
  }),
  ticket: z.string().min(1).max(200).optional().openapi({
    description: "Ticket, for clients that cannot send a credential. The ticket contains the filters.",
    example: "7hX0a3n2bq9yR5cT1vKmWzL8sDfGjPQe4uNoIiYxA6E",
  }),
});

export const TicketRequest = StreamFilter.openapi("TicketRequest", {
  description: "Filters of the stream, at most 4 KiB. Without filters, the stream has all events that the caller sees.",
  example: { workplace_name: ["TruLaser 5060 (L76)"] },
});

export const Ticket = z.object({
  ticket: z.string().openapi({
    description:
      "Ticket that opens one stream as the caller, with these filters: send it as the query parameter `ticket`.",
    example: "7hX0a3n2bq9yR5cT1vKmWzL8sDfGjPQe4uNoIiYxA6E",
  }),
  expires_at: instantOut().openapi({
    description: "When the ticket expires: 30 seconds after it was issued.",
    example: "2026-11-23T08:15:30.000Z",
  }),
}).openapi("Ticket", { description: "A credential for one stream." });
