/**
 * The reports of a shift: read, and read again when the stream tells of a change.
 *
 * @module
 */
import { call, get, Problem } from "../shared/api.js";
import { follow } from "../shared/stream.js";
import { useEffect, useRef, useState } from "../shared/view.js";

/**
 * @typedef {object} Shown
 * @property {string} key What the reports are about.
 * @property {number} asOf The oldest moment of which something is shown; milliseconds since 1970.
 * @property {any} total The only row of the report of OEE.
 * @property {Map<string, any>} rows The row of each workplace.
 * @property {any} losses
 * @property {any} scrap
 * @property {any} operations
 * @property {Map<string, { report: any, readAt: number }>} timelines By workplace.
 *
 * @typedef {Record<string, string | string[]>} Query
 *
 * @typedef {object} Reports
 * @property {Shown | null} shown Null until all is read for the first time.
 * @property {unknown} problem Why the last reading failed; null when it did not.
 * @property {import("../shared/view.js").Observable<import("../shared/stream.js").StreamState> | null} live
 * @property {() => void} again Reads everything again.
 */

/** Changes that come together are read together. */
const gatherMs = 1000;

/** A report costs 25 units; half of the 200 that a supervisor has in a second stay for others: docs/limits.md. */
const msPerReport = 250;

/** Reports beside the timelines. */
const sums = 5;

/** After a failure. */
const retryMs = 5000;

/** While the shift goes on, time passes without events. */
const passingMs = 60_000;

/** Without a stream after this time, the reports are read anyway. */
const patienceMs = 2000;

/** Requests at once: the browser has six connections, of which the stream takes one. */
const lanesAtOnce = 4;

/** More names make no filter. */
const maxFilter = 100;

/**
 * Keeps the reports of workplaces and a window.
 *
 * @param {Query | null} query Parameters of the reports; null while it is not known what to show.
 * @param {readonly string[]} places Names of the workplaces.
 * @returns {Reports}
 */
export function useReports(query, places) {
  const [state, setState] = useState(
    /** @type {Omit<Reports, "again">} */ ({ shown: null, problem: null, live: null }),
  );
  const again = useRef(() => {});
  const key = JSON.stringify([query, places]);
  useEffect(() => {
    if (query === null || places.length === 0) return setState({ shown: null, problem: null, live: null });
    const closing = new AbortController();
    /** @type {Shown | null} */
    let shown = null;
    let isReading = false;
    /** @type {Set<string> | "all" | null} */
    let wanted = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    // changes wait until the reports read before are paid for
    let paidAt = 0;

    /** What is shown may be old, but nothing that the user may not see any more. @param {unknown} problem */
    const end = (problem) => {
      shown = null;
      setState((before) => ({ ...before, shown, problem }));
    };
    const read = async () => {
      clearTimeout(timer);
      timer = undefined;
      if (isReading || wanted === null) return;
      isReading = true;
      const names = wanted;
      wanted = null;
      let pauseMs = gatherMs;
      try {
        shown = await readReports(key, query, names, shown, closing.signal);
        paidAt = Date.now() + msPerReport * (sums + (names === "all" ? shown.timelines.size : names.size));
        setState((before) => ({ ...before, shown, problem: null }));
      } catch (problem) {
        if (closing.signal.aborted) return;
        if (problem instanceof Problem && problem.isTransient) {
          wanted = "all";
          setState((before) => ({ ...before, problem }));
        } else {
          end(problem);
        }
        pauseMs = retryMs;
      }
      isReading = false;
      if (wanted !== null) timer ??= setTimeout(read, Math.max(pauseMs, paidAt - Date.now()));
    };
    /** Reads all at once. */
    const want = () => {
      wanted = "all";
      clearTimeout(timer);
      timer = setTimeout(read);
    };
    /** @param {any} change A message of the stream. */
    const onChange = ({ event: { action_type, workplace_name } }) => {
      // a correction may move work at workplaces where the operation was before
      if (action_type === "CORRECT") wanted = "all";
      else if (wanted !== "all") wanted = (wanted ?? new Set()).add(workplace_name);
      timer ??= setTimeout(read, Math.max(gatherMs, paidAt - Date.now()));
    };
    const stream = follow({
      filter: { workplace_name: places.length <= maxFilter ? places : undefined, include: "downtimes" },
      onReady: ({ resumed }) => resumed ? undefined : want(),
      onMessage: onChange,
    });
    stream.state.subscribe(() => {
      const { phase, problem } = stream.state.current;
      if (phase !== "ended") return;
      // not even what is being read
      closing.abort();
      end(problem);
    });
    again.current = want;
    setState((before) => ({
      shown: before.shown?.key === key ? before.shown : null,
      problem: null,
      live: stream.state,
    }));
    const patience = setTimeout(() => shown === null && want(), patienceMs);
    const passing = setInterval(() => shown?.total.isPassing && want(), passingMs);
    return () => {
      closing.abort();
      stream.close();
      clearTimeout(timer);
      clearTimeout(patience);
      clearInterval(passing);
    };
  }, [key]);
  return { ...state, shown: state.shown?.key === key ? state.shown : null, again: () => again.current() };
}

/**
 * Reads the sums, and the timelines of some workplaces; those of the others stay as they were read.
 *
 * @param {string} key
 * @param {Query} query
 * @param {Set<string> | "all"} places
 * @param {Shown | null} before
 * @param {AbortSignal} signal
 * @returns {Promise<Shown>}
 */
async function readReports(key, query, places, before, signal) {
  const options = { signal };
  const readAt = Date.now();
  // the workplaces that have this shift
  const byPlace = await get("/reports/v1/oee", { ...query, by: "workplace" }, options);
  /** @type {string[]} */
  const names = byPlace.scope.workplace_names;
  const timelines = new Map(names.flatMap((name) => {
    const known = before?.timelines.get(name);
    return known ? [[name, known]] : [];
  }));
  const { workplace_group: _, ...window } = query;
  const toRead = names.filter((name) => places === "all" || places.has(name) || !timelines.has(name));
  const lanes = Array.from({ length: lanesAtOnce }, async () => {
    for (let name = toRead.shift(); name !== undefined; name = toRead.shift()) {
      const laneReadAt = Date.now();
      const report = await get("/reports/v1/timeline", { ...window, workplace_name: name }, options);
      timelines.set(name, { report, readAt: laneReadAt });
    }
  });
  const [total, losses, scrap, operations] = await Promise.all([
    get("/reports/v1/oee", query, options),
    get("/reports/v1/losses", query, options),
    get("/reports/v1/scrap", query, options),
    call("GET", "/reports/v1/operations", { query: { ...query, limit: 500 }, ...options }),
    ...lanes,
  ]);
  return {
    key,
    asOf: Math.min(readAt, ...[...timelines.values()].map((lane) => lane.readAt)),
    total: { ...total.buckets[0], isPassing: !total.complete, from: total.from, to: total.to, zone: total.time_zone },
    rows: new Map(byPlace.buckets.map((/** @type {any} */ row) => [row.key.workplace_name, row])),
    losses: losses.buckets[0],
    scrap: scrap.buckets[0],
    operations: { rows: operations.body.operations, hasMore: operations.headers.has("link") },
    timelines: new Map(names.map((name) => [name, /** @type {any} */ (timelines.get(name))])),
  };
}
