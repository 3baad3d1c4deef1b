/**
 * From the feed to all streams of this isolate: one reader of the database, whatever the number of clients.
 *
 * @module
 */
import { outliveAnswer } from "../_shared/background.ts";
import { rpcAsServer } from "../_shared/database.ts";
import { feedCursor, type FeedPage, type FeedPosition } from "../_shared/feed.ts";
import { feedHead, feedMoves } from "../_shared/feed_watch.ts";
import { Problem } from "../_shared/problems.ts";
import type { Session } from "../_shared/auth.ts";
import { type Item, itemsOf } from "./messages.ts";
import { type Place, Places, type TakenPlace } from "./places.ts";
import type { CloseReason, StreamFilter } from "./schemas.ts";
import { settings } from "./settings.ts";
import { type Sink, Subscription } from "./subscription.ts";

/** Events that are kept for those who come again soon. */
const maxRecent = 1_000;
const maxRecent_characters = 4 * 1024 * 1024;

/** Events per read of a stream that catches up: as many as are sent ahead, because a reader may keep them waiting. */
const firstPage = 10;
const maxPage = 200;

/** After events, so long until the common reader reads again. */
const pauseMovingMs = 15;

/** So many streams read for themselves at once. */
const maxReaders = 4;

const tick_ms = Math.min(1_000, settings.heartbeat_ms / 2, settings.accessCheck_ms / 2, settings.lifetime_ms / 2);

const delay = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));

/** How many events of this size are sent ahead of a reader. */
function nextPage(items: Item[]): number {
  const characters = items.reduce((sum, item) => sum + item.message(true).text.length, 0);
  const fitting = Math.floor(settings.maxBacklog_bytes * items.length / Math.max(1, characters));
  return items.length === 0 ? firstPage : Math.min(Math.max(fitting, 1), maxPage);
}

/** What a stream is opened with. */
export interface Opening {
  sink: Sink;
  place: TakenPlace;
  filter: StreamFilter;
  /** Undefined = from now on. */
  after?: FeedPosition;
}

export class Hub {
  readonly #places = new Places();
  readonly #open = new Set<Subscription>();
  readonly #live = new Set<Subscription>();
  #head: FeedPosition | undefined;
  #beginning: Promise<FeedPosition> | undefined;
  /** The last events, and the position behind which none of them is missing. */
  #recent: Item[] = [];
  #recentFrom = 0;
  #recent_characters = 0;
  #isRunning = false;
  #idle = new AbortController();
  #access_checked = 0;
  #isChecking = false;
  #readers = 0;
  #waitingReaders: (() => void)[] = [];

  /**
   * Lets a caller in, before anything is answered. The place must be left.
   *
   * @throws {Problem} `forbidden`, `rate_limited`, or `unavailable` when there is no room.
   */
  enter(session: Session): Promise<TakenPlace> {
    return this.#places.take(session);
  }

  /** The connection of the stream is closed. */
  vacate(place: Place): void {
    this.#places.giveUp(place);
    if (this.#places.size > 0) return;
    this.#idle.abort();
    this.#idle = new AbortController();
  }

  /**
   * Opens a stream; its sink then gets everything after `after`, once, until either side ends it.
   *
   * @throws {Problem} `feed_reset` when there is no such position.
   */
  async follow({ sink, place: { session, access }, filter, after }: Opening): Promise<Subscription> {
    if (!this.#isRunning) outliveAnswer(this.#run());
    // this isolate may not have read to the end: a stream that begins now is not told of before
    const [{ generation, pos, mark }] = await Promise.all([after ?? feedHead(), this.#begin()]);
    const from = { generation, pos, mark };
    const subscription = new Subscription(sink, session, filter, access, from, await feedCursor(from));
    // a position that this isolate has seen needs no look into the database
    const page = after === undefined || this.#covers(after) ? undefined : await this.#read(subscription, firstPage);
    this.#open.add(subscription);
    subscription.ready();
    this.#catchUp(subscription, page);
    return subscription;
  }

  /** The reader has gone. */
  leave(subscription: Subscription): void {
    subscription.leave();
    this.#forget(subscription);
  }

  /** Ends all streams, or those of which `isMeant` says so. */
  closeAll(reason: CloseReason, isMeant = (_: Subscription) => true): void {
    for (const subscription of this.#open) if (isMeant(subscription)) subscription.close(reason);
    this.#sweep();
  }

  /** Whether the feed is being read. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Reads the feed for all, as long as there is anybody. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    this.#access_checked = performance.now();
    const timer = setInterval(() => this.#tick(), tick_ms);
    while (this.#places.size > 0) {
      try {
        const page = await this.#readPage(await this.#begin(), 500);
        this.#advance(page, await itemsOf(page));
        if (page.has_more) continue;
        // events seldom come alone: the next read finds them without a question before it
        if (page.events.length > 0) await delay(pauseMovingMs);
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

  /** Where this isolate's reading is; it begins at the end of the feed. */
  async #begin(): Promise<FeedPosition> {
    if (this.#head !== undefined) return this.#head;
    this.#beginning ??= feedHead().then(({ generation, pos, mark }) => {
      this.#recent = [];
      this.#recent_characters = 0;
      this.#recentFrom = pos;
      return this.#head = { generation, pos, mark };
    }).finally(() => this.#beginning = undefined);
    return await this.#beginning;
  }

  #advance({ generation, pos, mark }: FeedPosition, items: Item[]): void {
    for (const item of items) {
      for (const subscription of this.#live) {
        subscription.take(item);
        // more comes than the reader takes at once: from here on the reader sets the pace
        if (!subscription.isCurrent) this.#catchUp(subscription);
      }
      this.#recent.push(item);
      this.#recent_characters += item.message(true).text.length;
    }
    while (this.#recent.length > maxRecent || this.#recent_characters > maxRecent_characters) {
      const item = this.#recent.shift();
      if (item === undefined) break;
      this.#recentFrom = item.position.pos;
      this.#recent_characters -= item.message(true).text.length;
    }
    this.#head = { generation, pos, mark };
    this.#sweep();
  }

  /** Whether this isolate has been at that very position, and has all that follows it. */
  #covers({ generation, pos, mark }: FeedPosition): boolean {
    const isThere = (known: FeedPosition | undefined) => known?.pos === pos && known.mark === mark;
    return this.#head?.generation === generation &&
      (isThere(this.#head) || this.#recent.some(({ position }) => isThere(position)));
  }

  /** Brings a stream to where all are, at the pace at which it is taken, by reads of its own where need be. */
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

  /** Hands over what is kept in common; false when the reader stands before it. */
  async #join(subscription: Subscription): Promise<boolean> {
    while (await subscription.hasRoom()) {
      const rest = this.#keptAfter(subscription.position);
      if (rest === undefined) return false;
      for (const item of rest) {
        subscription.take(item);
        if (!subscription.isCurrent) break;
      }
      // the reader has it all, and nothing came meanwhile: from here on it gets what all get
      if (subscription.position.pos >= (rest.at(-1)?.position.pos ?? 0)) {
        this.#live.add(subscription);
        return true;
      }
    }
    return true;
  }

  #keptAfter({ generation, pos }: FeedPosition): Item[] | undefined {
    if (this.#head?.generation !== generation || pos < this.#recentFrom) return undefined;
    return this.#recent.filter(({ position }) => position.pos > pos);
  }

  async #read({ position, filter, visibleWorkplaces }: Subscription, take: number): Promise<FeedPage> {
    while (this.#readers >= maxReaders) {
      await new Promise<void>((resume) => this.#waitingReaders.push(resume));
    }
    this.#readers++;
    try {
      return await this.#readPage(position, take, {
        workplace_names: visibleWorkplaces,
        action_types: filter.action_type,
        order_no: filter.order_no,
      });
    } finally {
      this.#readers--;
      this.#waitingReaders.shift()?.();
    }
  }

  /**
   * The service role reads, once for many readers; what each of them may see is decided by its access, which is asked
   * for every few seconds.
   */
  #readPage({ generation, pos, mark }: FeedPosition, take: number, filter = {}): Promise<FeedPage> {
    const after = { generation, after_pos: pos, mark: mark ?? undefined };
    return rpcAsServer()("read_feed", { ...after, take, with_operations: true, ...filter });
  }

  #tick(): void {
    const now = performance.now();
    for (const subscription of this.#open) subscription.tick(now);
    const unchecked_ms = now - this.#access_checked;
    // no user is shown anything on the word of long ago
    if (unchecked_ms > settings.accessCheck_ms + 5_000) {
      this.closeAll("unavailable", ({ session }) => session.user_id !== null);
    }
    this.#sweep();
    if (unchecked_ms >= settings.accessCheck_ms && !this.#isChecking) this.#checkAccess();
  }

  async #checkAccess(): Promise<void> {
    this.#isChecking = true;
    const began = performance.now();
    try {
      const subscriptions = [...this.#open];
      const access = await this.#places.hold();
      for (const subscription of subscriptions) subscription.change(access(subscription.session));
      this.#access_checked = began;
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
    // while the database is away the common reader retries; a caller who was alone with it reconnects
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

// Supabase says so before it ends an isolate, whatever the age of its streams.
addEventListener("beforeunload", () => hub.closeAll("lifetime"));
