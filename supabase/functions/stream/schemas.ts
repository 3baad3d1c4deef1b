/**
 * What the stream sends, and what opens it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { OperationEvent } from "../_shared/event.ts";
import { feedFilter } from "../_shared/feed.ts";
import { instantOut } from "../_shared/fields.ts";
import { Operation } from "../_shared/operation.ts";

/** What a user sees, as the database says it. */
export interface AccessRow {
  user_id: string;
  sees_all: boolean;
  workplaces: string[];
  /** Whether the user sees nothing without a second factor. */
  needs_aal2: boolean;
}

declare module "../_shared/database.ts" {
  interface Answers {
    take_stream_place: AccessRow[];
    hold_stream_places: AccessRow[];
    create_stream_ticket: { expires_at: string };
    use_stream_ticket: { user_id: string | null; filter: unknown; session_ends_at: string | null } | null;
  }
}

const exampleCursor = "eyJhbGciOiJIUzI1NiJ9.eyJwb3MiOjQ3MTF9.c2lnbmF0dXJl";

const cursor = () =>
  z.string().openapi({
    description: "Where the stream stands: send it as `after`, to this stream or to the feed, to go on from here.",
    example: exampleCursor,
  });

const message = <Type extends string>(type: Type, description: string) =>
  z.literal(type).openapi({ description, example: type });

export const ReadyMessage = z.object({
  type: message("ready", "The stream is open: what happens from here on will be told."),
  cursor: cursor(),
}).openapi("ReadyMessage", { description: "The first message of a stream." });

export const EventMessage = z.object({
  type: message("event", "An event."),
  cursor: cursor(),
  event: OperationEvent,
  operation: z.union([Operation, z.null()]).openapi({
    description:
      "The operation as it was when the stream read the event: with this event, and perhaps already with later ones, whose " +
      "messages follow (`version` tells). Null when it is deleted, or planned elsewhere by now where the reader sees nothing.",
  }),
}).openapi("EventMessage", { description: "Something happened." });

export const CloseReason = z.enum([
  "lifetime",
  "slow_reader",
  "access_changed",
  "token_expired",
  "feed_reset",
  "unavailable",
]).openapi("CloseReason", {
  description:
    "`lifetime`: streams end now and then, come again. `slow_reader`: nothing was taken for a while, come again. `access_changed`: " +
    "a workplace or a role was taken away, come again for what is left. `token_expired`: come again with a fresh one. " +
    "`unavailable`: the database does not answer, come again later. `feed_reset`: the database was restored, begin afresh without `after`.",
  example: "lifetime",
});

export const CloseMessage = z.object({
  type: message("close", "The stream ends."),
  cursor: cursor(),
  reason: CloseReason,
}).openapi("CloseMessage", { description: "The last message of a stream that the server ends." });

export const StreamMessage = z.discriminatedUnion("type", [ReadyMessage, EventMessage, CloseMessage]).openapi(
  "StreamMessage",
  {
    description: "One message of the stream: the `data` of a Server-Sent Event, or a message of the WebSocket.",
    example: { type: "close", cursor: exampleCursor, reason: "lifetime" },
  },
);

export type CloseReason = z.infer<typeof CloseReason>;
export type StreamMessage = z.infer<typeof StreamMessage>;

/** What a stream follows. */
export const StreamFilter = z.strictObject(feedFilter);
export type StreamFilter = z.infer<typeof StreamFilter>;

export const StreamQuery = StreamFilter.extend({
  after: z.string().min(1).max(2_000).optional().openapi({
    description: "Cursor to go on from, of this stream or of the feed; left out: only what happens from now on.",
    example: exampleCursor,
  }),
  ticket: z.string().min(1).max(200).optional().openapi({
    description: "Instead of a credential, where none can be sent. It has its own filter.",
    example: "7hX0a3n2bq9yR5cT1vKmWzL8sDfGjPQe4uNoIiYxA6E",
  }),
});

export const TicketRequest = StreamFilter.openapi("TicketRequest", {
  description: "What the stream shall follow, in at most 4 KiB; all of what the caller sees when nothing is said.",
  example: { workplace_name: ["TruLaser 5060 (L76)"] },
});

export const Ticket = z.object({
  ticket: z.string().openapi({
    description: "Opens one stream, as the caller, with this filter: send it as the query parameter `ticket`.",
    example: "7hX0a3n2bq9yR5cT1vKmWzL8sDfGjPQe4uNoIiYxA6E",
  }),
  expires_at: instantOut().openapi({
    description: "Until when it can be used: 30 seconds from now.",
    example: "2026-11-23T08:15:30.000Z",
  }),
}).openapi("Ticket", { description: "A credential for one stream." });
