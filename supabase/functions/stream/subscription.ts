/**
 * One reader of the stream: what it follows, what it may see, how far it is.
 *
 * @module
 */
import type { Session } from "../_shared/auth.ts";
import type { FeedPosition } from "../_shared/feed.ts";
import { type Item, Message } from "./messages.ts";
import type { CloseReason, StreamFilter } from "./schemas.ts";
import { settings } from "./settings.ts";

/** What a reader may see. */
export interface Access {
  sees_all: boolean;
  workplaces: ReadonlySet<string>;
}

/** The way to a reader. */
export interface Sink {
  send(message: Message): void;
  /** Gives a sign of life. */
  beat(cursor: string): void;
  /** Bytes that the reader has not taken yet. */
  backlog(): number;
  /** Sends the last message, then ends. */
  close(message: Message, reason: CloseReason): void;
}

export class Subscription {
  readonly #sink: Sink;
  readonly #workplaces: ReadonlySet<string> | undefined;
  readonly #actions: ReadonlySet<string> | undefined;
  readonly #opened = performance.now();
  // not all at the same time, or all would come again at the same time
  readonly #closes = this.#opened + settings.lifetime_ms * (0.9 + Math.random() / 10);
  #lastSent = this.#opened;
  #leastBacklog = Infinity;
  #tookLast = this.#opened;
  #sent = 0;
  #end: CloseReason | "left" | undefined;
  access: Access;

  constructor(
    sink: Sink,
    readonly session: Session,
    readonly filter: StreamFilter,
    access: Access,
    /** What the reader has passed. */
    public position: FeedPosition,
    public cursor: string,
  ) {
    this.#sink = sink;
    this.access = access;
    this.#workplaces = filter.workplace_name && new Set(filter.workplace_name);
    this.#actions = filter.action_type && new Set<string>(filter.action_type);
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** Whether the reader may be sent more at once. */
  get isCurrent(): boolean {
    return this.#sink.backlog() <= settings.maxBacklog_bytes;
  }

  /** Waits until the reader may be sent more; false when the stream is over by then. */
  async hasRoom(): Promise<boolean> {
    for (let wait_ms = 5; !this.isOver && !this.isCurrent; wait_ms = Math.min(2 * wait_ms, 100)) {
      this.#judgePace(performance.now());
      await new Promise<void>((resume) => setTimeout(resume, wait_ms));
    }
    return !this.isOver;
  }

  /** A reader who takes nothing is slow; the stream waits for one who takes something. */
  #judgePace(now: number): void {
    const backlog = this.#sink.backlog();
    if (backlog < this.#leastBacklog) this.#takesFrom(backlog, now);
    else if (now - this.#tookLast >= settings.stall_ms) this.close("slow_reader");
  }

  /** Workplaces to read when the reader reads alone; undefined = all. */
  get visibleWorkplaces(): string[] | undefined {
    const { sees_all, workplaces } = this.access;
    if (sees_all) return this.filter.workplace_name;
    return [...workplaces].filter((name) => this.#workplaces?.has(name) ?? true);
  }

  #takesFrom(backlog: number, now: number): void {
    this.#leastBacklog = backlog;
    this.#tookLast = now;
  }

  ready(): void {
    this.#send(new Message({ type: "ready", cursor: this.cursor }));
  }

  /** Takes the next event, or passes over it; what the reader has passed already is not sent again. */
  take(item: Item): void {
    if (this.isOver || item.position.pos <= this.position.pos) return;
    this.passTo(item.position, item.cursor);
    if (!this.#follows(item)) return;
    this.#send(item.message(this.#sees(item.operation?.workplace_name)));
  }

  /** There is nothing for the reader up to here. */
  passTo(position: FeedPosition, cursor: string): void {
    if (position.pos <= this.position.pos) return;
    this.position = position;
    this.cursor = cursor;
  }

  /** What is due by the clock. */
  tick(now: number): void {
    if (now >= this.#closes) this.close("lifetime");
    else if (Date.now() >= (this.session.ends_at ?? Infinity)) this.close("token_expired");
    else if (!this.isCurrent) this.#judgePace(now);
    else if (now - this.#lastSent >= settings.heartbeat_ms) {
      this.#lastSent = now;
      this.#sink.beat(this.cursor);
    }
  }

  /** More to see is seen from now on; less ends the stream, so that the reader learns of it. */
  change(access: Access): void {
    const { sees_all, workplaces } = this.access;
    const isLess = !access.sees_all && (sees_all || [...workplaces].some((name) => !access.workplaces.has(name)));
    if (isLess) this.close("access_changed");
    else this.access = access;
  }

  close(reason: CloseReason): void {
    if (this.isOver) return;
    this.#sink.close(new Message({ type: "close", cursor: this.cursor, reason }), reason);
    this.leave(reason);
  }

  /** The reader is gone. */
  leave(reason: CloseReason | "left" = "left"): void {
    if (this.isOver) return;
    this.#end = reason;
    const seconds = Math.round((performance.now() - this.#opened) / 100) / 10;
    console.log(JSON.stringify({ stream: reason, s: seconds, sent: this.#sent }));
  }

  #send(message: Message): void {
    this.#lastSent = performance.now();
    if (this.isCurrent) this.#takesFrom(Infinity, this.#lastSent);
    this.#sink.send(message);
    this.#sent++;
  }

  #follows({ event }: Item): boolean {
    return this.#sees(event.workplace_name) &&
      (this.#workplaces === undefined || this.#workplaces.has(event.workplace_name ?? "")) &&
      (this.#actions?.has(event.action_type) ?? true) &&
      (this.filter.order_no === undefined || this.filter.order_no === event.order_no);
  }

  #sees(workplace: string | null | undefined): boolean {
    return this.access.sees_all || this.access.workplaces.has(workplace ?? "");
  }
}
