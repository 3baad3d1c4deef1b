/**
 * Live events: docs/streaming.md. The stream is read by `fetch`, which may send the token as a header, tells why it was
 * refused, and hears heartbeats, of which `EventSource` tells nothing: decision 0102.
 *
 * @module
 */
import { pause, Problem, retryAfterMs, send } from "./api.js";
import { observable } from "./view.js";

/**
 * @typedef {object} StreamState
 * @property {"connecting" | "live" | "ended"} phase `ended`: the server refuses this caller; nothing more comes.
 * @property {number} heardAt When something was heard last, heartbeats included; milliseconds since 1970.
 * @property {Problem | null} problem Why it is not live; null when it is, or was never refused.
 *
 * @typedef {object} StreamOptions
 * @property {Record<string, readonly string[] | string | undefined>} [filter] workplace_name, action_type, order_no, include
 * @property {(start: { resumed: boolean, reason: string | undefined }) => void | Promise<void>} onReady Called after each
 *   start. Read your list here unless `resumed`: then nothing was missed. Otherwise `reason` is undefined at the first start,
 *   `access_changed` when some workplaces may be gone, `feed_reset` when the database has another history.
 * @property {(message: any) => void} onMessage Called with each message of type `event` or `downtime`.
 */

/** The server sends a heartbeat each 15 seconds: after this time without one, the connection is dead. */
const deadAfterMs = 40_000;

/** A page that nobody looks at gives its place back after this time; it continues where it was when it is shown. */
const hiddenForMs = 60_000;

/** Delays between attempts while the network or the server is away. */
const backoffMs = [500, 1000, 2000, 5000, 10_000];

/** After this time without a sign of life, what a page shows may be old. */
export const silentAfterMs = 30_000;

/**
 * Follows the events until it is closed. It reconnects by itself and continues after the last message.
 *
 * @param {StreamOptions} options
 * @returns {{ state: import("./view.js").Observable<StreamState>, close(): void }}
 */
export function follow(options) {
  const closing = new AbortController();
  const first = { phase: /** @type {StreamState["phase"]} */ ("connecting"), heardAt: Date.now(), problem: null };
  const state = observable(/** @type {StreamState} */ (first));
  run(options, state, closing.signal).catch((error) => {
    if (!closing.signal.aborted) throw error;
  });
  return { state, close: () => closing.abort() };
}

/**
 * @param {StreamOptions} options
 * @param {ReturnType<typeof observable<StreamState>>} state
 * @param {AbortSignal} signal
 */
async function run(options, state, signal) {
  /** @type {string | undefined} */
  let cursor;
  /** @type {string | undefined} */
  let reason;
  let failures = 0;
  const heard = () => state.set({ ...state.current, heardAt: Date.now() });
  while (!signal.aborted) {
    await useful(signal);
    const watch = connectionLimits(signal);
    try {
      for await (const { type, id, text } of messages(await open(options.filter ?? {}, cursor, watch.signal))) {
        watch.heard();
        if (id !== undefined) cursor = id;
        if (type === undefined) {
          heard();
          continue;
        }
        const message = JSON.parse(text);
        if (type === "ready") {
          await options.onReady({ resumed: reason === "interrupted", reason });
          reason = "interrupted";
          failures = 0;
          state.set({ phase: "live", heardAt: Date.now(), problem: null });
        } else if (type === "close") {
          // after others, what the page shows is still right
          if (["feed_reset", "access_changed"].includes(message.reason)) reason = message.reason;
          if (message.reason === "feed_reset") cursor = undefined;
          if (message.reason === "unavailable") failures++;
        } else {
          tell(options.onMessage, message);
          heard();
        }
      }
      state.set({ ...state.current, phase: "connecting" });
      await pause(wait(failures), signal);
    } catch (error) {
      if (signal.aborted) return;
      const problem = error instanceof Problem ? error : new Problem({ status: 0, code: "offline" });
      if (cursor !== undefined && [410, 422].includes(problem.status)) {
        cursor = undefined;
        reason = "feed_reset";
        continue;
      }
      if (!problem.isTransient) return state.set({ ...state.current, phase: "ended", problem });
      state.set({ ...state.current, phase: "connecting", problem: watch.isHidden() ? null : problem });
      const asked = problem.more.retryAfterMs;
      await pause(typeof asked === "number" ? asked : wait(++failures), signal);
    } finally {
      watch.end();
    }
  }
}

/**
 * A mistake of the page must not look like a lost connection.
 *
 * @param {StreamOptions["onMessage"]} onMessage
 * @param {any} message
 */
function tell(onMessage, message) {
  try {
    onMessage(message);
  } catch (error) {
    reportError(error);
  }
}

/** Many pages do not come back in the same moment. @param {number} failures */
const wait = (failures) => (backoffMs[Math.min(failures, backoffMs.length - 1)] ?? 0) * (0.5 + Math.random());

/**
 * @param {NonNullable<StreamOptions["filter"]>} filter
 * @param {string | undefined} cursor
 * @param {AbortSignal} signal
 * @returns {Promise<ReadableStream<Uint8Array>>}
 */
async function open(filter, cursor, signal) {
  const pairs = Object.entries({ ...filter, after: cursor }).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => [name, one])
  );
  const search = pairs.length === 0 ? "" : `?${new URLSearchParams(pairs)}`;
  const answer = await send(`/stream/v1/events${search}`, { headers: { accept: "text/event-stream" }, signal });
  if (answer.ok && answer.body) return answer.body;
  const body = await answer.json().catch(() => ({}));
  throw new Problem({
    code: "no_answer",
    ...body,
    status: answer.status,
    retryAfterMs: retryAfterMs(answer),
  });
}

/**
 * Reads Server-Sent Events. A comment has no type: it is a heartbeat.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{ type: string | undefined, id: string | undefined, text: string }>}
 */
export async function* messages(body) {
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let unread = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (unread + value).split("\n\n");
      unread = blocks.pop() ?? "";
      for (const block of blocks) {
        /** @type {Record<string, string>} */
        const fields = {};
        for (const line of block.split("\n")) {
          const [, name = "", content = ""] = /^(\w*): ?(.*)$/.exec(line) ?? [];
          fields[name] = content;
        }
        yield { type: fields.data === undefined ? undefined : fields.event, id: fields.id, text: fields.data ?? "" };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/**
 * Ends a connection on which nothing is heard, that lost its network, or whose page nobody looks at.
 *
 * @param {AbortSignal} closing
 */
function connectionLimits(closing) {
  const ending = new AbortController();
  let isHidden = false;
  let timer = setTimeout(end, deadAfterMs);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let hiddenTimer;
  const onVisibility = () => {
    clearTimeout(hiddenTimer);
    if (document.visibilityState === "hidden") {
      hiddenTimer = setTimeout(() => {
        isHidden = true;
        end();
      }, hiddenForMs);
    }
  };
  function end() {
    ending.abort();
  }
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("offline", end);
  onVisibility();
  closing.addEventListener("abort", end);
  return {
    signal: ending.signal,
    isHidden: () => isHidden,
    heard() {
      clearTimeout(timer);
      timer = setTimeout(end, deadAfterMs);
    },
    end() {
      ending.abort();
      clearTimeout(timer);
      clearTimeout(hiddenTimer);
      document.removeEventListener("visibilitychange", onVisibility);
      removeEventListener("offline", end);
      closing.removeEventListener("abort", end);
    },
  };
}

/** Waits until there is a network, and somebody looks at the page. @param {AbortSignal} signal */
async function useful(signal) {
  while ((document.visibilityState === "hidden" || !navigator.onLine) && !signal.aborted) {
    await new Promise((resolve) => {
      document.addEventListener("visibilitychange", resolve, { once: true });
      addEventListener("online", resolve, { once: true });
      signal.addEventListener("abort", resolve, { once: true });
    });
  }
}
