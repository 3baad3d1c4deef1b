/**
 * Messages as they are sent: made once for all who get them.
 *
 * @module
 */
import type { OperationEvent } from "../_shared/event.ts";
import { feedCursor, type FeedPage, type FeedPosition } from "../_shared/feed.ts";
import type { Operation } from "../_shared/operation.ts";
import type { StreamMessage } from "./schemas.ts";

const encoder = new TextEncoder();

/** A message in the forms in which it travels; many streams share the bytes. */
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

/** A sign of life that carries the cursor: a browser remembers it, though no event is dispatched. */
export const heartbeat = (cursor: string) => encoder.encode(`: still here\nid: ${cursor}\n\n`);

/** An event of the feed on its way to the streams. */
export class Item {
  #full: Message | undefined;
  #bare: Message | undefined;

  constructor(
    /** Where a reader stands who has it. */
    readonly position: FeedPosition,
    readonly cursor: string,
    readonly event: OperationEvent,
    readonly operation: Operation | null,
  ) {}

  /** The message for a reader who sees the operation where it is planned now, or for one who does not. */
  message(withOperation: boolean): Message {
    const { cursor, event, operation } = this;
    if (withOperation && operation !== null) {
      return this.#full ??= new Message({ type: "event", cursor, event, operation });
    }
    return this.#bare ??= new Message({ type: "event", cursor, event, operation: null });
  }
}

/** The events of a page, each with the cursor behind it. */
export function itemsOf({ events, generation }: FeedPage): Promise<Item[]> {
  return Promise.all(events.map(async ({ operation = null, mark = null, ...read }) => {
    // the server reads for all: what receivers answered is for managers, who ask for it
    const event = { ...read, webhook_response: null, error_message: null };
    const position = { generation, pos: event.pos ?? 0, mark };
    return new Item(position, await feedCursor(position), event, operation);
  }));
}
