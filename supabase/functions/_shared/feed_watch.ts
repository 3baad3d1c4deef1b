/**
 * The watch of the feed: one query answers all readers of this isolate that wait for the next event.
 *
 * @module
 */
import { createAdminClient } from "@supabase/server/core";
import { rpcAsServer } from "./database.ts";
import type { FeedPosition } from "./feed.ts";

declare module "./database.ts" {
  interface Answers {
    feed_head: FeedHead;
  }
}

/** End of the feed. */
export interface FeedHead extends FeedPosition {
  /** Whether Supabase Realtime announces new events. */
  is_announced: boolean;
}

/** Time between two queries while a reader waits and the feed has no new events. */
const pollMs = Number(Deno.env.get("FEED_POLL_MS") ?? 250);

/** The same after new events, because events come in groups. */
const pollMovingMs = Math.min(25, pollMs);

/** The same while Realtime announces events: its messages can be lost. */
const pollAnnouncedMs = 5_000;

/** Time until the next query after one failed. */
const pollFailedMs = 1_000;

interface Waiter {
  from: FeedPosition;
  resume: () => void;
}

/** How long the last answer serves readers that begin to wait. */
const freshMs = 1_000;

const waiters = new Set<Waiter>();
let isWatching = false;
/** Time until the next query; it grows while the feed has no new events. */
let pauseMs = pollMs;
/** The last answer, and when it arrived. */
let lastHead: FeedHead | undefined;
let lastHeadAtMs = -Infinity;
/** Whether Realtime announced an event since the last query, and the function that ends the pause. */
let isWoken = false;
let endPause = () => {};
/** Whether the channel of Realtime is open; undefined before the first try. */
let isListening: boolean | undefined;

/**
 * Reads the end of the feed, as the service role: the answer is the same for all callers and reveals no event.
 */
export function feedHead(): Promise<FeedHead> {
  return rpcAsServer()("feed_head", {});
}

/**
 * Resolves when the feed continues after the given position, at the latest after `atMostMs`.
 *
 * @param signal Ends the waiting early.
 */
export async function feedMoves(from: FeedPosition, atMostMs: number, signal?: AbortSignal): Promise<void> {
  if (lastHead !== undefined && performance.now() - lastHeadAtMs < freshMs && isBehind(from, lastHead)) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiter = { from, resume: () => resolve() };
  const timer = setTimeout(waiter.resume, atMostMs);
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
  while (waiters.size > 0) {
    if (!isWoken) {
      const { promise, resolve } = Promise.withResolvers<void>();
      endPause = resolve;
      const timer = setTimeout(resolve, pauseMs);
      await promise;
      clearTimeout(timer);
    }
    isWoken = false;
    try {
      const head = await feedHead();
      [lastHead, lastHeadAtMs] = [head, performance.now()];
      if (head.is_announced) listen();
      const moved = [...waiters].filter(({ from }) => isBehind(from, head));
      for (const { resume } of moved) resume();
      pauseMs = pauseAfter(moved.length > 0);
    } catch {
      // the readers get the failure from their own reads
      pauseMs = pollFailedMs;
    }
    // resumed readers leave before the loop counts the waiters
    await Promise.resolve();
  }
  isWatching = false;
}

/** Returns a short pause after new events; without any, 1.5 times the previous pause, up to the usual one. */
function pauseAfter(hasMoved: boolean): number {
  if (hasMoved) return pollMovingMs;
  return isListening ? pollAnnouncedMs : Math.min(1.5 * pauseMs, pollMs);
}

/** Subscribes to Realtime, whose messages end the pause of the watch. Polling continues when that fails. */
function listen(): void {
  if (isListening !== undefined) return;
  isListening = false;
  // only the service role may join the channel
  createAdminClient().channel("mes-feed", { config: { private: true } })
    .on("broadcast", { event: "moved" }, () => {
      isWoken = true;
      endPause();
    })
    .subscribe((status) => {
      isListening = status === "SUBSCRIBED";
    });
}
