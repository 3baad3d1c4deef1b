import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/endpoint.ts";
import { problems, security } from "../_shared/contract.ts";
import { exampleCursor, maxCursorLength } from "../_shared/cursors.ts";
import { feedPosition, isFeedReset } from "../_shared/feed.ts";
import { hub } from "./hub.ts";
import { heartbeat, Message } from "./messages.ts";
import { StreamMessage, StreamQuery } from "./schemas.ts";
import { settings } from "./settings.ts";
import type { Sink } from "./subscription.ts";
import { filterOf } from "./tickets.ts";

/** Time for a client to take the rest of a stream that has ended. */
const graceMs = 10_000;
const pollMs = 50;

export const events = endpoint({
  method: "get",
  path: "/stream/v1/events",
  operationId: "streamEvents",
  tags: ["Stream"],
  summary: "Follow events as they happen",
  description:
    "Server-Sent Events. Each has the cursor as its `id`, the type of the message as its `event` and the message as its `data`: " +
    "first `ready`, then one `event` for each event of the feed, in its order, and `close` at the end. A comment every 15 seconds " +
    "is the heartbeat. Streams end after about two minutes, as functions do: reconnect with the last `id`, as browsers do by " +
    "themselves, and no event is missed or repeated.",
  security: [...security, { streamTicket: [] }],
  request: {
    query: StreamQuery,
    headers: z.object({
      "last-event-id": z.string().max(maxCursorLength).optional().openapi({
        description: "Cursor to resume from, as browsers send it. It takes precedence over `after`.",
        example: exampleCursor,
      }),
    }),
  },
  responses: {
    200: {
      description: "The stream. The schema describes one `data`.",
      content: { "text/event-stream": { schema: StreamMessage } },
    },
    ...problems(["forbidden", "rate_limited", "feed_reset"]),
  },
}, async (c) => {
  const { after, ticket, ...filter } = c.req.valid("query");
  const { "last-event-id": lastId } = c.req.valid("header");
  const followed = filterOf(c, filter);
  const place = await hub.enter(c.var.session);
  const { body, sink, left, closed } = serverSentEvents();
  closed.then(() => hub.vacate(place));
  try {
    const position = lastId ? feedPosition(lastId, "/last-event-id", "header") : after && feedPosition(after);
    const subscription = await hub.follow({ sink, place, filter: followed, after: await position || undefined });
    left.then(() => hub.leave(subscription));
    // an answer to HEAD has no body
    if (c.req.method === "HEAD") {
      hub.leave(subscription);
      hub.vacate(place);
    }
  } catch (error) {
    // an EventSource cannot see a status: a message tells the client to start again
    if (ticket === undefined || !isFeedReset(error)) {
      hub.vacate(place);
      throw error;
    }
    sink.close(new Message({ type: "close", cursor: "", reason: "feed_reset" }), "feed_reset");
  }
  return c.body(body, 200, {
    "Content-Type": "text/event-stream",
    // a compressor would delay events and use 256 KiB for each stream
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
  });
});

/** The body of a response, and the sink that writes to it. */
interface ServerSentEvents {
  body: ReadableStream<Uint8Array>;
  sink: Sink;
  /** Resolves when the client has left. */
  left: Promise<void>;
  /** Resolves when the connection is closed: the client has left, or has taken everything. */
  closed: Promise<void>;
}

function serverSentEvents(): ServerSentEvents {
  const { promise: left, resolve: leave } = Promise.withResolvers<void>();
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  let reader!: ReadableStreamDefaultController<Uint8Array>;
  let hasLeft = false;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      reader = controller;
    },
    cancel() {
      hasLeft = true;
      leave();
      close();
    },
  }, new ByteLengthQueuingStrategy({ highWaterMark: 0 }));
  const retryMs = Math.round(settings.retryMs * (0.5 + Math.random()));
  reader.enqueue(new TextEncoder().encode(`retry: ${retryMs}\n\n`));
  const backlog = () => -(reader.desiredSize ?? 0);
  // a stream that was cancelled throws, and the runtime can cancel it while it takes the bytes
  const write = (bytes: Uint8Array) => hasLeft || reader.enqueue(bytes);

  const sink: Sink = {
    send: (message) => write(message.serverSent),
    beat: (cursor) => write(heartbeat(cursor)),
    backlog,
    close(message) {
      write(message.serverSent);
      if (hasLeft) return;
      reader.close();
      drained().then(close);
    },
  };
  /** Resolves when the client has taken everything, at the latest after {@link graceMs}. */
  async function drained(): Promise<void> {
    for (const endMs = performance.now() + graceMs; backlog() > 0 && performance.now() < endMs;) {
      await new Promise<void>((resume) => setTimeout(resume, pollMs));
    }
    // has no effect when the client has taken everything
    reader.error(new Error("The reader did not take the end of the stream"));
  }
  return { body, sink, left, closed };
}
