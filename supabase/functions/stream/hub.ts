/**
 * Distributes the feed to all streams of this isolate. One reader of the database serves any number of clients.
 *
 * @module
 */
import { outliveAnswer } from "../_shared/background.ts";
import { rpcAsServer } from "../_shared/database.ts";
import { feedCursor, type FeedPage, type FeedPosition } from "../_shared/feed.ts";
import { feedHead, feedMoves } from "../_shared/feed_watch.ts";
import { Problem } from "../_shared/problems.ts";
import type { Session } from "../_shared/auth.ts";
import { type FeedItem, itemsOf } from "./messages.ts";
import { type Place, Places, type TakenPlace } from "./places.ts";
import { RecentEvents } from "./recent_events.ts";
import type { CloseReason, StreamFilter } from "./schemas.ts";
import { settings } from "./settings.ts";
import { type Sink, Subscription } from "./subscription.ts";

/**
 * Events per read of a stream that catches up. Later pages are as large as the client's backlog allows, because the
 * events of a page wait in memory until the client takes them.
 */
const firstPage = 10;
const maxPage = 200;

/** Time until the common reader reads again after it has found events. */
const pauseMovingMs = 15;

/** Streams that read the database on their own at the same time. */
const maxReaders = 4;

const tickMs = Math.min(1_000, settings.heartbeatMs / 2, settings.accessCheckMs / 2, settings.lifetimeMs / 2);

const delay = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));

/** Returns how many events of this size fit into a client's backlog. */
function nextPage(items: FeedItem[]): number {
  const characters = items.reduce((sum, item) => sum + item.message(true).text.length, 0);
  const fitting = Math.floor(settings.maxBacklogBytes * items.length / Math.max(1, characters));
  return items.length === 0 ? firstPage : Math.min(Math.max(fitting, 1), maxPage);
}

/** A stream to open. */
export interface Opening {
  sink: Sink;
  place: TakenPlace;
  filter: StreamFilter;
  /** Position to resume from; undefined = the end of the feed. */
  after?: FeedPosition;
}

/**
 * The streams of this isolate and the common reader of the feed.
 *
 * The hub is idle or running. The first `follow` makes it run: the common reader follows the feed, and a timer
 * checks the clock and the access of all streams. The hub is idle again when the last place is vacated.
 *
 * A stream has three states:
 * - catching up: `follow` begins here. The stream gets events from the buffer or by reads of its own, as fast as
 *   its client takes them.
 * - live: the stream has all events that the common reader has read, and gets the next ones from it. A live stream
 *   whose client has more than {@link settings.maxBacklogBytes} to take catches up again.
 * - over: the hub closed the stream or the client left. The hub forgets the stream. Its place stays taken until the
 *   connection is closed and `vacate` is called.
 */
export class Hub {
  readonly #places = new Places();
  /** Streams that catch up or are live. */
  readonly #open = new Set<Subscription>();
  readonly #live = new Set<Subscription>();
  /** Position of the common reader; undefined while the hub is idle and until the first read. */
  #head: FeedPosition | undefined;
  #beginning: Promise<FeedPosition> | undefined;
  readonly #recent = new RecentEvents();
  #isRunning = false;
  #idle = new AbortController();
  #accessCheckedAtMs = 0;
  #isChecking = false;
  #readers = 0;
  #waitingReaders: (() => void)[] = [];

  /**
   * Takes a place for a stream before the function answers the request. Call `vacate` when the connection is
   * closed.
   *
   * @throws {Problem} `forbidden`, `rate_limited`, or `unavailable` when this isolate is full.
   */
  enter(session: Session): Promise<TakenPlace> {
    return this.#places.take(session);
  }

  /** Gives up the place of a stream whose connection is closed. */
  vacate(place: Place): void {
    this.#places.giveUp(place);
    if (this.#places.size > 0) return;
    this.#idle.abort();
    this.#idle = new AbortController();
  }

  /**
   * Opens a stream. Its sink gets each event after `after` once, until the hub or the client ends the stream.
   *
   * @throws {Problem} `feed_reset` when the feed does not have the position.
   */
  async follow({ sink, place: { session, access }, filter, after }: Opening): Promise<Subscription> {
    if (!this.#isRunning) outliveAnswer(this.#run());
    // the common reader can be behind the end of the feed: a stream without `after` begins at the end
    const [{ generation, pos, mark }] = await Promise.all([after ?? feedHead(), this.#begin()]);
    const from = { generation, pos, mark };
    const subscription = new Subscription(sink, session, filter, access, from, await feedCursor(from));
    // a buffered position is valid: no read has to check it
    const page = after === undefined || this.#covers(after) ? undefined : await this.#read(subscription, firstPage);
    this.#open.add(subscription);
    subscription.ready();
    this.#catchUp(subscription, page);
    return subscription;
  }

  /** Ends a stream whose client left. */
  leave(subscription: Subscription): void {
    subscription.leave();
    this.#forget(subscription);
  }

  /** Closes all streams, or those that `isMeant` selects. */
  closeAll(reason: CloseReason, isMeant = (_: Subscription) => true): void {
    for (const subscription of this.#open) if (isMeant(subscription)) subscription.close(reason);
    this.#sweep();
  }

  /** Whether the common reader follows the feed. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Number of streams that catch up or are live. */
  get size(): number {
    return this.#open.size;
  }

  /** Reads the feed for all streams until the last place is vacated. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    this.#accessCheckedAtMs = performance.now();
    const timer = setInterval(() => this.#tick(), tickMs);
    while (this.#places.size > 0) {
      try {
        const page = await this.#readPage(await this.#begin(), 500);
        this.#advance(page, await itemsOf(page));
        if (page.has_more) continue;
        // events seldom come alone: read again soon instead of asking for the end of the feed first
        if (page.events.length + page.downtime_events.length > 0) await delay(pauseMovingMs);
        else await feedMoves(page, 5_000, this.#idle.signal);
      } catch (error) {
        this.#fail(error, this.#open);
        await delay(1_000);
      }
    }
    clearInterval(timer);
    this.#head = undefined;
    this.#isRunning = false;
  }

  /** Returns the position of the common reader, which begins at the end of the feed. */
  async #begin(): Promise<FeedPosition> {
    if (this.#head !== undefined) return this.#head;
    this.#beginning ??= feedHead().then(({ generation, pos, mark }) => {
      this.#recent.restart(pos);
      return this.#head = { generation, pos, mark };
    }).finally(() => this.#beginning = undefined);
    return await this.#beginning;
  }

  /** Sends a page to the live streams and adds it to the buffer. */
  #advance({ generation, pos, mark }: FeedPosition, items: FeedItem[]): void {
    for (const item of items) {
      for (const subscription of this.#live) {
        subscription.take(item);
        // the client has too much to take: from now on the client sets the pace
        if (!subscription.isCurrent) this.#catchUp(subscription);
      }
      this.#recent.add(item);
    }
    this.#recent.trim();
    this.#head = { generation, pos, mark };
    this.#sweep();
  }

  /** Returns whether the common reader was at this exact position and the buffer has all events after it. */
  #covers(position: FeedPosition): boolean {
    const head = this.#head;
    return head?.generation === position.generation &&
      (head.pos === position.pos && head.mark === position.mark || this.#recent.has(position));
  }

  /**
   * Sends a stream what it lacks, as fast as its client takes it, until the stream is live or over. Reads the database
   * when the buffer begins after the stream's position.
   */
  async #catchUp(subscription: Subscription, first?: FeedPage): Promise<void> {
    this.#live.delete(subscription);
    try {
      if (first === undefined && await this.#join(subscription)) return;
      let take = firstPage;
      for (let page = first; await subscription.hasRoom(); page = undefined) {
        const { generation, pos, mark } = page ??= await this.#read(subscription, take);
        const position = { generation, pos, mark };
        const [items, cursor] = await Promise.all([itemsOf(page), feedCursor(position)]);
        for (const item of items) {
          if (!await subscription.hasRoom()) return;
          subscription.take(item);
        }
        subscription.passTo(position, cursor);
        take = nextPage(items);
        if (await this.#join(subscription)) return;
      }
    } catch (error) {
      this.#fail(error, [subscription]);
    }
  }

  /**
   * Sends a stream the buffered events after its position and makes it live.
   *
   * @returns False when the buffer begins after the stream's position.
   */
  async #join(subscription: Subscription): Promise<boolean> {
    while (await subscription.hasRoom()) {
      const rest = this.#recentAfter(subscription.position);
      if (rest === undefined) return false;
      for (const item of rest) {
        subscription.take(item);
        if (!subscription.isCurrent) break;
      }
      // nothing is left and nothing arrived meanwhile: the stream is live
      if (subscription.position.pos >= (rest.at(-1)?.position.pos ?? 0)) {
        this.#live.add(subscription);
        return true;
      }
    }
    return true;
  }

  /** Returns the buffered events after a position; undefined when the buffer begins after it. */
  #recentAfter({ generation, pos }: FeedPosition): FeedItem[] | undefined {
    return this.#head?.generation === generation ? this.#recent.after(pos) : undefined;
  }

  /** Reads a page for one stream; at most {@link maxReaders} streams read at the same time. */
  async #read(
    { position, filter, visibleWorkplaces, hasDowntimes }: Subscription,
    take: number,
  ): Promise<FeedPage> {
    while (this.#readers >= maxReaders) {
      await new Promise<void>((resume) => this.#waitingReaders.push(resume));
    }
    this.#readers++;
    try {
      return await this.#readPage(position, take, {
        workplace_names: visibleWorkplaces,
        action_types: filter.action_type,
        order_no: filter.order_no,
        with_downtimes: hasDowntimes,
      });
    } finally {
      this.#readers--;
      this.#waitingReaders.shift()?.();
    }
  }

  /**
   * Reads a page as the service role, once for many streams. Each subscription sends only the events that its access
   * permits; the hub refreshes the access every few seconds.
   */
  #readPage({ generation, pos, mark }: FeedPosition, take: number, filter = {}): Promise<FeedPage> {
    const after = { generation, after_pos: pos, mark: mark ?? undefined };
    return rpcAsServer()("read_feed", { ...after, take, with_operations: true, with_downtimes: true, ...filter });
  }

  #tick(): void {
    const now = performance.now();
    for (const subscription of this.#open) subscription.tick(now);
    const uncheckedMs = now - this.#accessCheckedAtMs;
    // access that was not checked recently permits nothing
    if (uncheckedMs > settings.accessCheckMs + 5_000) {
      this.closeAll("unavailable", ({ session }) => session.user_id !== null);
    }
    this.#sweep();
    if (uncheckedMs >= settings.accessCheckMs && !this.#isChecking) this.#checkAccess();
  }

  async #checkAccess(): Promise<void> {
    this.#isChecking = true;
    const beganAtMs = performance.now();
    try {
      const subscriptions = [...this.#open];
      const access = await this.#places.renew();
      for (const subscription of subscriptions) subscription.change(access(subscription.session));
      this.#accessCheckedAtMs = beganAtMs;
      this.#sweep();
    } catch (error) {
      console.error(JSON.stringify({ stream: "access check", error: String(error) }));
    } finally {
      this.#isChecking = false;
    }
  }

  #fail(error: unknown, subscriptions: Iterable<Subscription>): void {
    const isReset = error instanceof Problem && error.code === "feed_reset";
    if (isReset && subscriptions === this.#open) this.#head = undefined;
    if (!isReset) console.error(JSON.stringify({ stream: "read", error: String(error) }));
    // the common reader retries while the database is unavailable; a stream that reads on its own ends, and its client
    // reconnects
    if (!isReset && subscriptions === this.#open) return;
    for (const subscription of subscriptions) subscription.close(isReset ? "feed_reset" : "unavailable");
    this.#sweep();
  }

  #sweep(): void {
    for (const subscription of this.#open) {
      if (subscription.isOver) this.#forget(subscription);
    }
  }

  #forget(subscription: Subscription): void {
    this.#open.delete(subscription);
    this.#live.delete(subscription);
  }
}

/** The hub of this isolate. */
export const hub = new Hub();

// Supabase sends this event before it ends an isolate, whatever the age of its streams.
addEventListener("beforeunload", () => hub.closeAll("lifetime"));
