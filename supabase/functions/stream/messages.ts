/**
 * Messages of the stream, each serialized once for all streams that send it.
 *
 * @module
 */
import type { DowntimeEvent } from "../_shared/downtime.ts";
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
  #nameless: Message | undefined;

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

  /** Returns the message for callers who see no names. */
  get nameless(): Message {
    const { id, action_type, workplace_name, order_no, asset_id, operation_no, occurred_at } = this.event;
    const event = { id, action_type, workplace_name, order_no, asset_id, operation_no, occurred_at };
    return this.#nameless ??= new Message({ type: "board", cursor: this.cursor, event });
  }
}

/** An event of a downtime, to be sent to the streams that ask for them. */
export class DowntimeItem {
  #message: Message | undefined;
  #nameless: Message | undefined;

  constructor(
    readonly position: FeedPosition,
    readonly cursor: string,
    readonly event: DowntimeEvent,
  ) {}

  message(): Message {
    const { cursor, event } = this;
    return this.#message ??= new Message({ type: "downtime", cursor, event });
  }

  /** Returns the message for callers who see no names. */
  get nameless(): Message {
    const { id, action_type, workplace_name, occurred_at } = this.event;
    const event = { id, action_type, workplace_name, occurred_at, order_no: null, asset_id: null, operation_no: null };
    return this.#nameless ??= new Message({ type: "board", cursor: this.cursor, event });
  }
}

/** An event of the feed, of either kind. */
export type FeedItem = Item | DowntimeItem;

/** Returns the events of a page in the order of the feed, each with its cursor. */
export async function itemsOf(page: FeedPage): Promise<FeedItem[]> {
  const items = await Promise.all([operationItems(page), downtimeItems(page)]);
  return items.flat().toSorted((a, b) => a.position.pos - b.position.pos);
}

function downtimeItems({ downtime_events, generation }: FeedPage): Promise<FeedItem[]> {
  return Promise.all(downtime_events.map(async ({ mark, ...event }) => {
    const position = { generation, pos: event.pos ?? 0, mark };
    return new DowntimeItem(position, await feedCursor(position), event);
  }));
}

function operationItems({ events, generation }: FeedPage): Promise<FeedItem[]> {
  return Promise.all(events.map(async ({ operation = null, mark = null, ...read }) => {
    // the page was read as the service role: only managers may see the answers of webhook receivers, and not here
    const event = { ...read, webhook_response: null, error_message: null };
    const position = { generation, pos: event.pos ?? 0, mark };
    return new Item(position, await feedCursor(position), event, operation);
  }));
}
