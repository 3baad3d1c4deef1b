/**
 * The board as it is now: read at once, read again when the stream tells of an event, at most once a second, and now and
 * then without one, because shifts begin and plans become late without an event.
 *
 * @module
 */
import { call, Problem } from "../shared/api.js";
import { follow, silentAfterMs } from "../shared/stream.js";
import { observable } from "../shared/view.js";

/**
 * @typedef {object} LiveState
 * @property {any} board GET /reports/v1/board; null until it was read, and when the board has ended.
 * @property {Record<string, any>} oee OEE of each workplace, by name. It is read once a minute.
 * @property {number} offsetMs Time of the server less that of this screen.
 * @property {number} heardAt When something was heard last: the board, an event, a heartbeat.
 * @property {Problem | null} ended Why nothing more comes.
 *
 * @typedef {object} Place
 * @property {string} [workplace_group]
 * @property {string[]} [workplace_name]
 */

const leastPauseMs = 800;
const idlePauseMs = 20_000;
const oeePauseMs = 60_000;

/** Values that a filter of the stream takes. */
const mostNames = 100;

/**
 * Follows a board until it is closed.
 *
 * @param {Place} place Nothing for a ticket, which has its group.
 * @returns {{ state: import("../shared/view.js").Observable<LiveState>, close(): void }}
 */
export function followBoard(place) {
  const closing = new AbortController();
  const state = observable(
    /** @type {LiveState} */ ({ board: null, oee: {}, offsetMs: 0, heardAt: Date.now(), ended: null }),
  );
  const change = (/** @type {Partial<LiveState>} */ more) => state.set({ ...state.current, ...more });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let isReading = false;
  let isWanted = false;
  let readAtMs = -Infinity;
  let oeeAtMs = -Infinity;
  /** @type {ReturnType<typeof follow> | undefined} */
  let stream;
  /** Names that the stream follows. */
  let followed = "";

  /** @param {number} afterMs */
  function plan(afterMs) {
    clearTimeout(timer);
    timer = setTimeout(read, afterMs);
  }

  /** Something happened: reads the board once more, after the pause since the last time. */
  function refresh() {
    if (isReading) isWanted = true;
    else plan(Math.max(0, readAtMs + leastPauseMs - performance.now()));
  }

  async function read() {
    if (document.visibilityState === "hidden" && state.current.board !== null) return;
    isReading = true;
    isWanted = false;
    readAtMs = performance.now();
    const hasOee = readAtMs - oeeAtMs >= oeePauseMs;
    try {
      const sentAt = Date.now();
      const { body } = await call("GET", "/reports/v1/board", {
        query: { ...place, include: hasOee ? "oee" : undefined },
        signal: closing.signal,
        attempts: 1,
      });
      if (closing.signal.aborted) return;
      const now = Date.now();
      if (hasOee) oeeAtMs = readAtMs;
      const oee = hasOee
        ? Object.fromEntries(body.workplaces.map((/** @type {any} */ { name, oee }) => [name, oee]))
        : state.current.oee;
      change({ board: body, oee, heardAt: now, offsetMs: Date.parse(body.at) - (sentAt + now) / 2 });
      listen(body.scope.workplace_names);
    } catch (error) {
      if (closing.signal.aborted) return;
      if (error instanceof Problem && !error.isTransient) return end(error);
    } finally {
      isReading = false;
    }
    if (isWanted) refresh();
    else plan(idlePauseMs);
  }

  /** Follows these workplaces; those of a ticket are the stream's to know. @param {string[]} names */
  function listen(names) {
    const isTicket = place.workplace_group === undefined && place.workplace_name === undefined;
    const workplace_name = isTicket || names.length > mostNames ? undefined : names;
    if (stream && followed === String(workplace_name)) return;
    stream?.close();
    followed = String(workplace_name);
    const opened = follow({
      filter: { workplace_name, include: "downtimes" },
      onReady: refresh,
      onMessage: refresh,
    });
    stream = opened;
    opened.state.subscribe(() => {
      if (stream !== opened || closing.signal.aborted) return;
      const { phase, heardAt, problem } = opened.state.current;
      if (phase === "ended" && problem) end(problem);
      // a heartbeat a second is enough
      else if (heardAt - state.current.heardAt > leastPauseMs) change({ heardAt });
    });
  }

  /** Shows nothing any more: what was seen is not this screen's to show. @param {Problem} problem */
  function end(problem) {
    close();
    change({ board: null, oee: {}, ended: problem });
  }

  const onVisible = () => document.visibilityState === "visible" && refresh();

  function close() {
    closing.abort();
    clearTimeout(timer);
    stream?.close();
    document.removeEventListener("visibilitychange", onVisible);
  }

  document.addEventListener("visibilitychange", onVisible);
  read();
  return { state, close };
}

/** Whether what is shown may be old. @param {LiveState} state @param {number} now */
export const isSilent = ({ heardAt }, now) => now - heardAt >= silentAfterMs;
