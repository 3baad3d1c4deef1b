/**
 * Messages of the stream, each serialized once for all streams that send it.
 *
 * @module
 */
import type { OperationEvent } from "../_shared/event.ts";
import { feedCursor, type FeedPage, type FeedPosition } from "../_shared/feed.ts";
import type { Operation } from "../_shared/operation.ts";
import type { StreamMessage } from "./schemas.ts";

const encoder = new TextEncoder();

/** A message in its two encodings, which many streams share. */
export class Message {
  /** As JSON, for WebSockets. */
  readonly text: string;
  readonly #message: StreamMessage;
  #serverSent: Uint8Array | undefined;

  constructor(message: StreamMessage) {
    this.#message = message;
    this.text = JSON.stringify(message);
  }

  /** As a Server-Sent Event. */
  get serverSent(): Uint8Array {
    const { type, cursor } = this.#message;
    return this.#serverSent ??= encoder.encode(`id: ${cursor}\nevent: ${type}\ndata: ${this.text}\n\n`);
  }
}

/** Returns a heartbeat with the cursor, which a browser stores although it dispatches no event. */
export const heartbeat = (cursor: string) => encoder.encode(`: still here\nid: ${cursor}\n\n`);

/** An event of the feed, to be sent to the streams. */
export class Item {
  #full: Message | undefined;
  #bare: Message | undefined;

  constructor(
    /** Position of the event. */
    readonly position: FeedPosition,
    readonly cursor: string,
    readonly event: OperationEvent,
    readonly operation: Operation | null,
  ) {}

  /** Returns the message with the operation, for callers who see its current workplace, or without it. */
  message(withOperation: boolean): Message {
    const { cursor, event, operation } = this;
    if (withOperation && operation !== null) {
      return this.#full ??= new Message({ type: "event", cursor, event, operation });
    }
    return this.#bare ??= new Message({ type: "event", cursor, event, operation: null });
  }
}

/** Returns the events of a page, each with its cursor. */
export function itemsOf({ events, generation }: FeedPage): Promise<Item[]> {
  return Promise.all(events.map(async ({ operation = null, mark = null, ...read }) => {
    // the page was read as the service role: only managers may see the answers of webhook receivers, and not here
    const event = { ...read, webhook_response: null, error_message: null };
    const position = { generation, pos: event.pos ?? 0, mark };
    return new Item(position, await feedCursor(position), event, operation);
  }));
}
