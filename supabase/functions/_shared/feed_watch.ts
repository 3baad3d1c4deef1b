/**
 * Who waits for the feed to move: one question to the database for all who wait in this isolate, not one each.
 *
 * @module
 */
import { createAdminClient } from "@supabase/server/core";
import { databaseOfServer } from "./database.ts";
import type { FeedPosition } from "./feed.ts";

declare module "./database.ts" {
  interface Answers {
    feed_head: FeedHead;
  }
}

/** Where the feed ends. */
export interface FeedHead extends FeedPosition {
  /** Whether Supabase Realtime tells when it moves. */
  is_announced: boolean;
}

/** How often the database is asked while somebody waits. */
const poll_ms = Number(Deno.env.get("FEED_POLL_MS") ?? 250);

/** How often when Realtime tells: its messages can be lost. */
const pollAnnounced_ms = 5_000;

/** How long a database that does not answer is left alone. */
const pollFailed_ms = 1_000;

interface Waiter {
  from: FeedPosition;
  resume: () => void;
}

/** How long what was heard of the end of the feed is news to who has just read it. */
const news_ms = 1_000;

const waiters = new Set<Waiter>();
let isWatching = false;
/** What was heard last, and when. */
let heard: FeedHead | undefined;
let heardAt = -Infinity;
/** Whether Realtime has told of something that was not asked for yet, and what ends the pause then. */
let isWoken = false;
let endPause = () => {};
/** Whether Realtime tells; undefined until it was tried. */
let isListening: boolean | undefined;

/**
 * The end of the feed. The service role asks, since the answer is the same for everybody and tells nothing of events.
 */
export function feedHead(): Promise<FeedHead> {
  return databaseOfServer()("feed_head", {});
}

/**
 * Resolves when the feed goes on behind the given position, after the time at the latest.
 *
 * @param signal Ends the waiting early.
 */
export async function feedMoves(from: FeedPosition, atMost_ms: number, signal?: AbortSignal): Promise<void> {
  if (heard !== undefined && performance.now() - heardAt < news_ms && isBehind(from, heard)) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiter = { from, resume: () => resolve() };
  const timer = setTimeout(waiter.resume, atMost_ms);
  signal?.addEventListener("abort", waiter.resume);
  waiters.add(waiter);
  if (!isWatching) watch();
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", waiter.resume);
  waiters.delete(waiter);
}

const isBehind = (from: FeedPosition, head: FeedHead) => head.pos > from.pos || head.generation !== from.generation;

async function watch(): Promise<void> {
  isWatching = true;
  // whoever has just read needs no second answer at once
  let pause_ms = poll_ms;
  while (waiters.size > 0) {
    if (!isWoken) {
      const { promise, resolve } = Promise.withResolvers<void>();
      endPause = resolve;
      const timer = setTimeout(resolve, pause_ms);
      await promise;
      clearTimeout(timer);
    }
    isWoken = false;
    try {
      const head = await feedHead();
      [heard, heardAt] = [head, performance.now()];
      if (head.is_announced) listen();
      for (const { from, resume } of waiters) {
        if (isBehind(from, head)) resume();
      }
      pause_ms = isListening ? pollAnnounced_ms : poll_ms;
    } catch {
      // those who wait will be told by their own read
      pause_ms = pollFailed_ms;
    }
    // those who were resumed leave before it is looked whether anybody waits
    await Promise.resolve();
  }
  isWatching = false;
}

/** Lets Realtime wake the watch. Where that fails, asking goes on as before. */
function listen(): void {
  if (isListening !== undefined) return;
  isListening = false;
  // the service role's, because the channel is nobody else's
  createAdminClient().channel("mes-feed", { config: { private: true } })
    .on("broadcast", { event: "moved" }, () => {
      isWoken = true;
      endPause();
    })
    .subscribe((status) => {
      isListening = status === "SUBSCRIBED";
    });
}
