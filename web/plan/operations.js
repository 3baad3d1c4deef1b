/**
 * The operations of the plan: read by the filter, kept current by the stream.
 *
 * @module
 */
import { get, list, Problem } from "../shared/api.js";
import { follow } from "../shared/stream.js";
import { useEffect, useRef, useState } from "../shared/view.js";

/**
 * @typedef {object} Filter What the API filters by; empty members do not filter.
 * @property {string} group
 * @property {string} order
 * @property {string} q
 * @property {string[]} status
 * @property {boolean} late
 *
 * @typedef {object} Window The shown time, in milliseconds since 1970.
 * @property {number} from
 * @property {number} to
 *
 * @typedef {{ started_at: string, ended_at: string | null, phase: string }} Run
 */

/** The statuses of work that is not over. */
export const openStatuses = ["PLANNED", "RELEASED", "IN_PROGRESS", "ON_HOLD"];

/** All statuses, in the order of an operation's life. */
export const statuses = [...openStatuses, "FINISHED", "CANCELLED"];

/** The page shows this many; a narrower filter shows the rest. */
export const mostShown = 1000;

const pageSize = 500;

/** An operation is shown as an event brings it. Runs, and operations that are new, are read a moment later, once for many events. */
const settleMs = 3000;

/** The filter as parameters of GET /operations/v1. @param {Filter} filter */
export const queryOf = ({ group, order, q, status, late }) => ({
  status,
  workplace_group: group || undefined,
  order_no: order || undefined,
  q: q || undefined,
  is_overdue: late || undefined,
});

/** The filter as the API's filter of a change of many operations. @param {Filter} filter */
export const bulkFilterOf = (filter) => JSON.parse(JSON.stringify(queryOf(filter)));

/** The key of an operation. @param {any} operation */
export const keyOf = ({ order_no, asset_id, operation_no }) => `${order_no}/${asset_id}/${operation_no}`;

/**
 * Returns since when an operation is late, undefined when it is not: its end has passed, or its start without work.
 *
 * @param {any} operation
 * @param {number} now
 * @returns {number | undefined}
 */
export function lateSince({ status, planned_start_at, planned_end_at, actual_start_at }, now) {
  if (!openStatuses.includes(status)) return undefined;
  const end = Date.parse(planned_end_at ?? "");
  if (end < now) return end;
  const start = Date.parse(planned_start_at ?? "");
  return actual_start_at === null && start < now ? start : undefined;
}

/**
 * Sorts the operations into their workplaces: late ones first, then by planned start.
 *
 * @param {readonly any[]} operations
 * @param {number} now
 * @returns {{ workplace: string | null, operations: any[], late: number }[]}
 */
export function byWorkplace(operations, now) {
  /** @type {Map<string | null, any[]>} */
  const places = new Map();
  for (const operation of operations) {
    const place = places.get(operation.workplace_name) ?? [];
    place.push(operation);
    places.set(operation.workplace_name, place);
  }
  const order = (/** @type {any} */ operation) =>
    lateSince(operation, now) ?? 1e15 + (Date.parse(operation.planned_start_at ?? "") || 1e15);
  return [...places]
    .map(([workplace, all]) => ({
      workplace,
      operations: all.sort((a, b) => order(a) - order(b) || keyOf(a).localeCompare(keyOf(b))),
      late: all.filter((operation) => lateSince(operation, now) !== undefined).length,
    }))
    .sort((a, b) => (a.workplace ?? "\uffff").localeCompare(b.workplace ?? "\uffff"));
}

/**
 * @typedef {object} Plan
 * @property {any[] | null} operations Null before the first answer.
 * @property {boolean} hasMore
 * @property {Map<string, Run[]>} runs By the key of their operation.
 * @property {Problem | null} problem
 */

/** @param {Filter} filter @param {AbortSignal} signal */
async function readOperations(filter, signal) {
  const first = { ...queryOf(filter), sort: "planned_start_at", limit: pageSize };
  const operations = await get("/operations/v1", first, { signal });
  if (operations.length < pageSize) return { operations, hasMore: false };
  const more = await get("/operations/v1", { ...first, skip: pageSize }, { signal });
  return { operations: [...operations, ...more], hasMore: more.length === pageSize };
}

/** The API takes this many workplaces at once. */
const mostPlaces = 100;

/** @param {readonly any[]} operations @param {Window} shown @param {AbortSignal} signal */
async function readRuns(operations, shown, signal) {
  const started = operations.filter(({ actual_start_at }) => actual_start_at !== null);
  const places = [...new Set(started.map(({ workplace_name }) => workplace_name))].filter(Boolean).slice(0, mostPlaces);
  /** @type {Map<string, Run[]>} */
  const runs = new Map();
  if (places.length === 0) return runs;
  const { from, to } = shown;
  const window = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  for (const run of await list("/operations/v1/runs", { ...window, workplace_name: places }, { signal })) {
    const key = keyOf(run);
    runs.set(key, [...runs.get(key) ?? [], run]);
  }
  return runs;
}

/**
 * Puts an operation in the place of its older version.
 *
 * @param {any[] | null} operations
 * @param {any} changed
 */
function withNewer(operations, changed) {
  const key = keyOf(changed);
  return operations?.map((one) => keyOf(one) === key && one.version < changed.version ? changed : one) ?? null;
}

/**
 * Returns the operations that match, read again after events.
 *
 * @param {Filter} filter
 * @param {Window} shown
 * @returns {Plan & { stream: import("../shared/stream.js").StreamState | null, reload: () => void }}
 */
export function usePlan(filter, shown) {
  const [plan, setPlan] = useState(
    /** @type {Plan} */ ({ operations: null, hasMore: false, runs: new Map(), problem: null }),
  );
  const [stream, setStream] = useState(/** @type {import("../shared/stream.js").StreamState | null} */ (null));
  const wanted = JSON.stringify([filter, shown]);
  const reading = useRef({ ending: new AbortController(), timer: 0 });

  const read = async () => {
    reading.current.ending.abort();
    const ending = reading.current.ending = new AbortController();
    try {
      const found = await readOperations(filter, ending.signal);
      const runs = await readRuns(found.operations, shown, ending.signal);
      setPlan({ ...found, runs, problem: null });
    } catch (error) {
      if (ending.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      setPlan((before) => ({ ...before, problem: error }));
    }
  };
  const latest = useRef(read);
  latest.current = read;

  useEffect(() => void read(), [wanted]);
  useEffect(() => {
    const soon = () => {
      reading.current.timer ||= setTimeout(() => {
        reading.current.timer = 0;
        latest.current();
      }, settleMs);
    };
    const following = follow({
      onReady: ({ resumed }) => resumed ? undefined : latest.current(),
      onMessage: ({ operation }) => {
        if (operation) setPlan((before) => ({ ...before, operations: withNewer(before.operations, operation) }));
        soon();
      },
    });
    const stop = following.state.subscribe(() => setStream(following.state.current));
    return () => {
      stop();
      following.close();
      clearTimeout(reading.current.timer);
      reading.current.ending.abort();
    };
  }, []);
  return { ...plan, stream, reload: () => void latest.current() };
}
