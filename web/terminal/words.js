/**
 * Words for problems and actions, with the values that the server names.
 *
 * @module
 */
import { dayTime, number } from "../shared/formats.js";
import { hasMessage, t, wordsOf } from "../shared/messages.js";

/**
 * Returns what a problem means and what to do about it.
 *
 * @param {any} problem A problem of the API, or a `Problem`.
 * @param {import("./types.js").Item} [item] What was refused.
 * @returns {string}
 */
export function wordsOfProblem(problem, item) {
  const { code, ...own } = problem;
  const more = { ...own, ...problem.more };
  const [running] = more.running_operations ?? [];
  const [invalid] = more.errors ?? [];
  if (code === "already_running" && more.running_since) {
    const who = more.person?.display_name ?? more.user_email ?? t("terminal.somebody");
    return t("terminal.why_already_running", { who, time: dayTime(more.running_since) });
  }
  if (code === "workplace_busy" && running) {
    return t("terminal.why_workplace_busy", { operation: `${running.order_no} · ${running.operation_no}` });
  }
  if (code === "planned_elsewhere" && more.workplace_name) {
    return t("terminal.why_planned_elsewhere", { workplace: more.workplace_name });
  }
  if (code === "out_of_order" && more.last_occurred_at) {
    return t("terminal.why_out_of_order", { time: dayTime(more.last_occurred_at) });
  }
  if (code === "invalid_quantity" && typeof more.limit === "number" && item?.qty_good !== undefined) {
    // both are totals, with what was reported
    const left = Math.max(0, more.limit - (more.qty_good - item.qty_good));
    return t("terminal.why_invalid_quantity", { limit: number(left) });
  }
  if (code === "sign_in_locked" && more.retry_after_s) {
    return t("terminal.why_sign_in_locked", { count: Math.ceil(more.retry_after_s / 60) });
  }
  if (code === "validation_failed" && invalid?.code === "in_future") return t("terminal.why_in_future");
  return hasMessage(`problems.${code}`) ? wordsOf(problem) : more.detail ?? wordsOf(problem);
}

/**
 * Returns why an action is not possible now, in words.
 *
 * @param {string | null} code
 * @returns {string}
 */
export function wordsOfBlock(code) {
  const key = `terminal.block_${code}`;
  return hasMessage(key) ? t(key) : wordsOf({ code });
}

/** Returns what an action was: "Stop · Break". @param {import("./types.js").Item} item */
export function wordsOfItem(item) {
  const { action_type, phase, qty_good, qty_scrap, reason_code } = item;
  const name = action_type === "START" && phase === "SETUP"
    ? t("terminal.did_SETUP")
    : t(`terminal.did_${action_type}`);
  const details = [
    qty_good !== undefined && t("terminal.did_good", { count: qty_good }),
    Boolean(qty_scrap) && t("terminal.did_scrap", { count: qty_scrap ?? 0 }),
    reason_code,
  ];
  return [name, ...details.filter(Boolean)].join(" · ");
}
