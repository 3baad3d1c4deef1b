/**
 * One operation: what is known of it, and what a planner may do with it now.
 *
 * @module
 */
import { get, newKey, path, post } from "../shared/api.js";
import { Dialog } from "../shared/dialog.js";
import { duration } from "../shared/formats.js";
import { hasMessage, t, wordsOf } from "../shared/messages.js";
import { State, toneOfStatus } from "../shared/state.js";
import { html, useEffect, useState } from "../shared/view.js";
import { ReasonChoice } from "./reasons.js";
import { times } from "./rows.js";

/** @typedef {"RELEASE" | "HOLD" | "CANCEL"} PlanAction */

/** @type {readonly PlanAction[]} */
const actions = ["RELEASE", "HOLD", "CANCEL"];

/** @param {{ operation: any, onClose: () => void, onDone: (text: string) => void }} props */
export function OneOperation({ operation, onClose, onDone }) {
  const { order_no, asset_id, operation_no } = operation;
  const address = path`/operations/v1/${order_no}/${asset_id}/${operation_no}`;
  const [current, setCurrent] = useState(operation);
  const [action, setAction] = useState(/** @type {PlanAction | null} */ (null));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  useEffect(() => {
    const ending = new AbortController();
    get(address, {}, { signal: ending.signal }).then(setCurrent, (error) => ending.signal.aborted || setProblem(error));
    return () => ending.abort();
  }, [address]);

  /** @param {PlanAction} wanted @param {{ reason_code?: string, note?: string, key: string }} values */
  const perform = async (wanted, { key, ...values }) => {
    setProblem(null);
    try {
      await post(`${address}/transitions`, { action: wanted, ...values }, { idempotencyKey: key });
      onDone(t(`plan.done_${wanted}`, { operation: `${order_no} ${operation_no}` }));
    } catch (error) {
      setProblem(error);
    }
  };

  return html`
    <${Dialog} title=${`${order_no} ${operation_no}`} onClose=${onClose}>
      <p class="row">
        <${State} tone=${toneOfStatus[current.status] ?? "off"}>${t(`plan.status_${current.status}`)}<//>
        ${current.hold_reason_code && html`<span>${current.hold_reason_code}</span>`}
      </p>
      <${Facts} operation=${current} />
      <div role="alert">${problem && html`<p class="banner stop">${wordsOf(problem)}</p>`}</div>
      ${action === null
        ? html`
          <${Actions} allowed=${current.allowed_actions} onChoose=${(/** @type {PlanAction} */ wanted) =>
            wanted === "RELEASE" ? perform(wanted, { key: newKey() }) : setAction(wanted)} />
          <div class="row end"><button onClick=${onClose}>${t("plan.close")}</button></div>
        `
        : html`<${ReasonForm} action=${action} onPerform=${perform} onBack=${() => setAction(null)} />`}
    <//>
  `;
}

/** @param {{ operation: any }} props */
function Facts({ operation }) {
  const { activity_description, workplace_name, workplace_group, asset_id, qty_good, qty_scrap, qty_desired } =
    operation;
  /** @param {number | null} actual @param {number | null} planned Minutes. */
  const minutes = (actual, planned) =>
    t("plan.actual_and_planned", {
      actual: actual === null ? t("plan.none_yet") : duration(actual * 60_000),
      planned: planned === null ? t("plan.open") : duration(planned * 60_000),
    });
  /** @type {[string, string | number][]} */
  const facts = [
    ["plan.activity", activity_description ?? t("plan.open")],
    ["plan.workplace", [workplace_name ?? t("plan.no_workplace"), workplace_group].filter(Boolean).join(" · ")],
    ["plan.asset", asset_id],
    ["plan.times", times(operation)],
    [
      "plan.quantities",
      t("plan.good_scrap", { good: qty_good, scrap: qty_scrap, desired: qty_desired ?? t("plan.open") }),
    ],
    ["plan.setup", minutes(operation.t_actual_setup_min, operation.t_target_setup_min)],
    [
      "plan.processing",
      minutes(operation.t_actual_processing_min, operation.t_target_processing_min),
    ],
  ];
  return html`
    <dl class="facts-of-one">
      ${facts.map(([key, value]) =>
        html`
          <div key=${key}>
            <dt>${t(key)}</dt>
            <dd>${value}</dd>
          </div>
        `
      )}
    </dl>
  `;
}

/**
 * The buttons are what the server allows; each other one says what prevents it.
 *
 * @param {{ allowed: { action: string, allowed: boolean, blocked_by: string | null }[] | undefined,
 *   onChoose: (action: PlanAction) => void }} props
 */
function Actions({ allowed, onChoose }) {
  if (allowed === undefined) return null;
  const rights = actions.flatMap((action) => allowed.find((one) => one.action === action) ?? []);
  const refused = rights.filter((one) => !one.allowed);
  return html`
    <div class="row">
      ${rights.map((one) =>
        html`
          <button
            key=${one.action}
            class=${one.action === "CANCEL" ? "danger" : one.action === "RELEASE" ? "main" : ""}
            disabled=${!one.allowed}
            onClick=${() => onChoose(/** @type {PlanAction} */ (one.action))}
          >
            ${t(`plan.do_${one.action}`)}
          </button>
        `
      )}
    </div>
    ${refused.length > 0 && html`
      <ul class="soft small">
        ${refused.map((one) => html`<li key=${one.action}>${t(`plan.do_${one.action}`)}: ${why(one.blocked_by)}</li>`)}
      </ul>
    `}
  `;
}

/** @param {string | null} code */
const why = (code) => hasMessage(`problems.${code}`) ? t(`problems.${code}`) : code;

/**
 * @param {{ action: PlanAction, onBack: () => void,
 *   onPerform: (action: PlanAction, values: { reason_code: string, note?: string, key: string }) => Promise<void> }} props
 */
function ReasonForm({ action, onBack, onPerform }) {
  const [reason, setReason] = useState("");
  const [note, setNote] = useState("");
  const [isBusy, setBusy] = useState(false);
  // one key for this form: a second click, or a second attempt after a lost answer, does nothing new
  const [key] = useState(newKey);
  /** @param {SubmitEvent} event */
  const onSubmit = async (event) => {
    event.preventDefault();
    setBusy(true);
    await onPerform(action, { reason_code: reason, note: note || undefined, key });
    setBusy(false);
  };
  return html`
    <form class="stack" onSubmit=${onSubmit}>
      <${ReasonChoice} kind=${action} value=${reason} onChange=${setReason} />
      <label>${t("plan.note")}
        <textarea rows="2" maxlength="2000" value=${note}
          onInput=${(/** @type {any} */ event) => setNote(event.currentTarget.value)}></textarea>
      </label>
      <div class="row end">
        <button type="button" onClick=${onBack}>${t("plan.back")}</button>
        <button class=${action === "CANCEL" ? "danger" : "main"} disabled=${isBusy}>${t(`plan.do_${action}`)}</button>
      </div>
    </form>
  `;
}
