/**
 * The last events of the feed, for clients that reconnect soon.
 *
 * @module
 */
import type { FeedPosition } from "../_shared/feed.ts";
import type { FeedItem } from "./messages.ts";

const maxEvents = 1_000;
const maxCharacters = 4 * 1024 * 1024;

/** Buffer of the last events; complete after the position at which it begins. */
export class RecentEvents {
  #items: FeedItem[] = [];
  #characters = 0;
  #from = 0;

  /** Empties the buffer, which begins at this position from now on. */
  restart(pos: number): void {
    this.#items = [];
    this.#characters = 0;
    this.#from = pos;
  }

  add(item: FeedItem): void {
    this.#items.push(item);
    this.#characters += item.message(true).text.length;
  }

  /** Removes the oldest events until the buffer is within its limits. */
  trim(): void {
    while (this.#items.length > maxEvents || this.#characters > maxCharacters) {
      const item = this.#items.shift();
      if (item === undefined) break;
      this.#from = item.position.pos;
      this.#characters -= item.message(true).text.length;
    }
  }

  /** Returns whether an event of the buffer has exactly this position. */
  has({ pos, mark }: FeedPosition): boolean {
    return this.#items.some(({ position }) => position.pos === pos && position.mark === mark);
  }

  /** Returns the events after a position; undefined when the buffer begins after it. */
  after(pos: number): FeedItem[] | undefined {
    return pos < this.#from ? undefined : this.#items.filter(({ position }) => position.pos > pos);
  }
}
