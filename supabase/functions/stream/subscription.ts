/**
 * The server's side of one stream: its filter, the access of its caller, and its position in the feed.
 *
 * @module
 */
import type { Session } from "../_shared/auth.ts";
import type { FeedPosition } from "../_shared/feed.ts";
import { DowntimeItem, type FeedItem, Message } from "./messages.ts";
import type { CloseReason, StreamFilter } from "./schemas.ts";
import { settings } from "./settings.ts";

/** The events that a caller sees: all, or those of some workplaces. */
export interface Access {
  seesAll: boolean;
  workplaces: ReadonlySet<string>;
  /** Whether the caller sees what happened, and not who said what. */
  isNameless: boolean;
}

/** The connection to the client. */
export interface Sink {
  send(message: Message): void;
  /** Sends a heartbeat. */
  beat(cursor: string): void;
  /** Returns the bytes that the client has not taken yet. */
  backlog(): number;
  /** Sends the last message, then ends the connection. */
  close(message: Message, reason: CloseReason): void;
}

/**
 * One stream, from the first message to the last.
 *
 * A subscription has three states:
 * - current: the backlog is at most {@link settings.maxBacklogBytes}; more can be sent.
 * - behind: the backlog is larger. The subscription is current again when the client has taken enough, and over with
 *   `slow_reader` when the client takes nothing for {@link settings.stallMs}.
 * - over: nothing is sent any more. `close` ends the stream from the server's side, `leave` after the client
 *   closed it. Nothing leads out of this state.
 *
 * `tick` closes the stream when its lifetime or the caller's token ends, `change` when access was revoked.
 */
export class Subscription {
  readonly #sink: Sink;
  readonly #workplaces: ReadonlySet<string> | undefined;
  readonly #actions: ReadonlySet<string> | undefined;
  readonly #openedAtMs = performance.now();
  // streams that opened together end apart, so that their clients do not reconnect together
  readonly #closesAtMs = this.#openedAtMs + settings.lifetimeMs * (0.9 + Math.random() / 10);
  #sentAtMs = this.#openedAtMs;
  /** Smallest backlog since the subscription was current, and when the client last took something. */
  #leastBacklogBytes = Infinity;
  #tookAtMs = this.#openedAtMs;
  #sent = 0;
  #end: CloseReason | "left" | undefined;
  access: Access;

  constructor(
    sink: Sink,
    readonly session: Session,
    readonly filter: StreamFilter,
    access: Access,
    /** Position of the last event that was sent or skipped. */
    public position: FeedPosition,
    public cursor: string,
  ) {
    this.#sink = sink;
    this.access = access;
    this.#workplaces = filter.workplace_name && new Set(filter.workplace_name);
    this.#actions = filter.action_type && new Set<string>(filter.action_type);
  }

  /** Whether the stream has ended. */
  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** Whether more can be sent now. */
  get isCurrent(): boolean {
    return this.#sink.backlog() <= settings.maxBacklogBytes;
  }

  /** Resolves when more can be sent, or with false when the stream has ended. */
  async hasRoom(): Promise<boolean> {
    for (let waitMs = 5; !this.isOver && !this.isCurrent; waitMs = Math.min(2 * waitMs, 100)) {
      this.#judgePace(performance.now());
      await new Promise<void>((resume) => setTimeout(resume, waitMs));
    }
    return !this.isOver;
  }

  /** Ends the stream of a client that takes nothing for too long; any progress starts the time again. */
  #judgePace(nowMs: number): void {
    const backlog = this.#sink.backlog();
    if (backlog < this.#leastBacklogBytes) this.#notePace(backlog, nowMs);
    else if (nowMs - this.#tookAtMs >= settings.stallMs) this.close("slow_reader");
  }

  /** Workplaces for a read of this stream alone; undefined = all. */
  get visibleWorkplaces(): string[] | undefined {
    const { seesAll, workplaces } = this.access;
    if (seesAll) return this.filter.workplace_name;
    return [...workplaces].filter((name) => this.#workplaces?.has(name) ?? true);
  }

  #notePace(backlogBytes: number, nowMs: number): void {
    this.#leastBacklogBytes = backlogBytes;
    this.#tookAtMs = nowMs;
  }

  /** Sends the first message. */
  ready(): void {
    this.#send(new Message({ type: "ready", cursor: this.cursor }));
  }

  /** Sends the next event, or skips it when it does not match; ignores an event at or before the position. */
  take(item: FeedItem): void {
    if (this.isOver || item.position.pos <= this.position.pos) return;
    this.passTo(item.position, item.cursor);
    if (!this.#follows(item)) return;
    if (this.access.isNameless) this.#send(item.nameless);
    else if (item instanceof DowntimeItem) this.#send(item.message());
    else this.#send(item.message(this.#sees(item.operation?.workplace_name)));
  }

  /** Moves the position forward. */
  passTo(position: FeedPosition, cursor: string): void {
    if (position.pos <= this.position.pos) return;
    this.position = position;
    this.cursor = cursor;
  }

  /** Ends a stream whose time is up, or sends a heartbeat when one is due. */
  tick(nowMs: number): void {
    if (nowMs >= this.#closesAtMs) this.close("lifetime");
    else if (Date.now() >= (this.session.ends_at ?? Infinity)) this.close("token_expired");
    else if (!this.isCurrent) this.#judgePace(nowMs);
    else if (nowMs - this.#sentAtMs >= settings.heartbeatMs) {
      this.#sentAtMs = nowMs;
      this.#sink.beat(this.cursor);
    }
  }

  /** Applies new access. Access that was revoked ends the stream, so that the client notices. */
  change(access: Access): void {
    const { seesAll, workplaces } = this.access;
    const isLess = !access.seesAll && (seesAll || [...workplaces].some((name) => !access.workplaces.has(name)));
    if (isLess || access.isNameless && !this.access.isNameless) this.close("access_changed");
    else this.access = access;
  }

  /** Ends the stream from the server's side. */
  close(reason: CloseReason): void {
    if (this.isOver) return;
    this.#sink.close(new Message({ type: "close", cursor: this.cursor, reason }), reason);
    this.leave(reason);
  }

  /** Ends the stream without a message, after the client closed the connection. */
  leave(reason: CloseReason | "left" = "left"): void {
    if (this.isOver) return;
    this.#end = reason;
    const seconds = Math.round((performance.now() - this.#openedAtMs) / 100) / 10;
    console.log(JSON.stringify({ stream: reason, s: seconds, sent: this.#sent }));
  }

  #send(message: Message): void {
    this.#sentAtMs = performance.now();
    if (this.isCurrent) this.#notePace(Infinity, this.#sentAtMs);
    this.#sink.send(message);
    this.#sent++;
  }

  /** Whether the stream has events of downtimes, which belong to no order. */
  get hasDowntimes(): boolean {
    return this.filter.include !== undefined && this.filter.order_no === undefined;
  }

  #follows(item: FeedItem): boolean {
    const { workplace_name } = item.event;
    const isThere = this.#sees(workplace_name) && (this.#workplaces?.has(workplace_name ?? "") ?? true);
    if (item instanceof DowntimeItem) return isThere && this.hasDowntimes;
    const { event } = item;
    return isThere &&
      (this.#actions?.has(event.action_type) ?? true) &&
      (this.filter.order_no === undefined || this.filter.order_no === event.order_no);
  }

  #sees(workplace: string | null | undefined): boolean {
    return this.access.seesAll || this.access.workplaces.has(workplace ?? "");
  }
}
