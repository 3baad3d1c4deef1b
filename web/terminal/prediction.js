/**
 * What the workplace looks like once the server has what was done here.
 *
 * @module
 */

/** @typedef {import("./types.js").Action} Action */

/**
 * @typedef {object} Work An operation as it is after the actions of this terminal.
 * @property {string} key
 * @property {any} operation
 * @property {{ phase: string, started_at: string } | null} run The open run, null when it does not run.
 * @property {number} unsent Actions on it that the server does not have.
 *
 * @typedef {object} Prediction
 * @property {Work[]} works Running ones first, then in the order of the server's queue, finished ones last.
 * @property {any} stop What stops the workplace, null when nothing does.
 * @property {number} running
 */

/** @param {{ order_no?: string, asset_id?: number, operation_no?: string }} operation */
export const keyOf = ({ order_no, asset_id, operation_no }) => `${order_no}/${asset_id}/${operation_no}`;

/** What an operator does next, by the state that the actions of this terminal lead to. */
const next = /** @type {Readonly<Record<string, readonly string[]>>} */ ({
  IN_PROGRESS: ["STOP", "REPORT_QUANTITY", "COMPLETE", "FINISH"],
  ON_HOLD: ["START", "REPORT_QUANTITY", "COMPLETE", "FINISH"],
  FINISHED: [],
});

/**
 * Applies the actions of this terminal to what the server said last.
 *
 * @param {import("./types.js").Place} place
 * @param {Action[]} actions
 * @param {readonly string[]} may Actions that role and scopes allow.
 * @returns {Prediction}
 */
export function predict(place, actions, may) {
  /** @type {Map<string, Work & { isChanged: boolean }>} */
  const works = new Map(place.queue.map((operation) => {
    const run = place.runs.find((one) => keyOf(one) === keyOf(operation)) ?? null;
    return [keyOf(operation), { key: keyOf(operation), operation: { ...operation }, run, unsent: 0, isChanged: false }];
  }));
  const runningBefore = [...works.values()].filter(({ operation }) => operation.status === "IN_PROGRESS").length;
  let stop = place.workplace.stopped_by;
  for (const { state, item } of actions) {
    if (state === "refused" || item.workplace_name !== place.workplace.name) continue;
    const work = works.get(keyOf(item));
    if (work) {
      apply(work, item);
      work.isChanged = true;
      if (state === "waiting") work.unsent++;
    } else if (item.action_type === "DOWNTIME_START") {
      const { id, occurred_at, reason_code = null } = item;
      stop = { downtime_id: id, reason_code, since: occurred_at, source: "OPERATOR" };
      for (const one of item.stop_runs ? works.values() : []) {
        if (one.operation.status !== "IN_PROGRESS") continue;
        apply(one, { ...item, action_type: "STOP" });
        one.isChanged = true;
      }
    } else if (item.action_type === "DOWNTIME_END") stop = null;
    else if (item.action_type === "DOWNTIME_CLASSIFY" && stop) stop = { ...stop, reason_code: item.reason_code };
  }
  const all = [...works.values()];
  const isRunning = (/** @type {Work} */ { operation }) => operation.status === "IN_PROGRESS";
  // others may run there that this caller does not see
  const running = place.workplace.running_operations.length + all.filter(isRunning).length - runningBefore;
  const isFull = place.workplace.capacity !== null && running >= place.workplace.capacity;
  for (const work of all) work.operation.allowed_actions = actionsOf(work, may, isFull);
  return {
    works: all.toSorted((a, b) => rankOf(a) - rankOf(b)),
    stop,
    running,
  };
}

/** @param {Work} work */
const rankOf = ({ operation: { status } }) => status === "IN_PROGRESS" ? 0 : status === "FINISHED" ? 2 : 1;

/** @param {Work} work @param {import("./types.js").Item} item */
function apply(work, item) {
  const { operation } = work;
  const count = (/** @type {number} */ good, /** @type {number} */ scrap) => {
    operation.qty_good += good;
    operation.qty_scrap += scrap;
    operation.qty_processed += good + scrap;
  };
  switch (item.action_type) {
    case "START":
      operation.status = "IN_PROGRESS";
      operation.hold_kind = null;
      operation.actual_start_at ??= item.occurred_at;
      work.run = { phase: item.phase ?? "PROCESSING", started_at: item.occurred_at };
      break;
    case "STOP":
      operation.status = "ON_HOLD";
      operation.hold_kind = "PAUSED";
      operation.hold_reason_code = item.reason_code ?? null;
      work.run = null;
      break;
    case "REPORT_QUANTITY":
      count(item.qty_good ?? 0, item.qty_scrap ?? 0);
      break;
    case "COMPLETE":
      count(item.qty_good ?? Math.max(0, operation.qty_desired - operation.qty_good), item.qty_scrap ?? 0);
      operation.status = "FINISHED";
      work.run = null;
      break;
    case "FINISH":
      operation.status = "FINISHED";
      work.run = null;
      break;
  }
}

/**
 * @param {Work & { isChanged: boolean }} work
 * @param {readonly string[]} may
 * @param {boolean} isFull
 */
function actionsOf({ operation, isChanged }, may, isFull) {
  const { status } = operation;
  const known = isChanged
    ? may.map((action) => {
      const allowed = next[status]?.includes(action) ?? false;
      return { action, allowed, blocked_by: allowed ? null : "invalid_state_transition" };
    })
    : operation.allowed_actions;
  if (status === "IN_PROGRESS") return known;
  return known.map((/** @type {any} */ one) => {
    if (one.action !== "START") return one;
    if (one.allowed && isFull) return { ...one, allowed: false, blocked_by: "workplace_busy" };
    if (one.blocked_by === "workplace_busy" && !isFull) return { ...one, allowed: true, blocked_by: null };
    return one;
  });
}
