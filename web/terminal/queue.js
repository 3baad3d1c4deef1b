/** The queue of the workplace: what runs, and what is next with what keeps it from starting. */
import { dayTime, number } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { State, toneOfStatus } from "../shared/state.js";
import { html } from "../shared/view.js";
import { wordsOfBlock } from "./words.js";

/** @typedef {import("./prediction.js").Work} Work */

/** @param {Work} work @returns {{ tone: import("../shared/state.js").Tone, text: string }} */
export function stateOf({ operation, run }) {
  const { status, hold_kind } = operation;
  if (status === "IN_PROGRESS" && run?.phase === "SETUP") return { tone: "setup", text: t("terminal.state_SETUP") };
  if (status === "ON_HOLD" && hold_kind === "BLOCKED") return { tone: "stop", text: t("terminal.state_BLOCKED") };
  return { tone: toneOfStatus[status] ?? "off", text: t(`terminal.state_${status}`) };
}

/** The operation's entry for an action. @param {any} operation @param {string} action */
export const entryOf = (operation, action) =>
  operation.allowed_actions.find((/** @type {any} */ one) => one.action === action);

/** Why the operation cannot be started, null when it can or runs. @param {Work} work */
export function blockOf({ operation }) {
  if (["IN_PROGRESS", "FINISHED"].includes(operation.status)) return null;
  const start = entryOf(operation, "START");
  return start && !start.allowed ? wordsOfBlock(start.blocked_by) : null;
}

/**
 * @param {{ works: Work[], chosen: string | null, onChoose: (key: string) => void }} props
 */
export function Queue({ works, chosen, onChoose }) {
  if (works.length === 0) return html`<p class="card soft">${t("terminal.queue_empty")}</p>`;
  return html`
    <ol class="queue">
      ${works.map((work) =>
        html`
          <${Entry} key=${work.key} work=${work} isChosen=${work.key === chosen} onChoose=${onChoose} />
        `
      )}
    </ol>
  `;
}

/** @param {{ work: Work, isChosen: boolean, onChoose: (key: string) => void }} props */
function Entry({ work, isChosen, onChoose }) {
  const { operation, unsent } = work;
  const { tone, text } = stateOf(work);
  const block = blockOf(work);
  const { qty_good, qty_desired } = operation;
  return html`
    <li>
      <button class=${`entry tone-${tone}`} aria-pressed=${String(isChosen)} onClick=${() => onChoose(work.key)}>
        <span class="entry-head">
          <strong>${operation.order_no}<small>${operation.operation_no}</small></strong>
          <${State} tone=${tone}>${text}<//>
        </span>
        <span class="entry-what">${operation.activity_description ?? operation.activity_code}</span>
        <span class="entry-foot numbers">
          <span>${qty_desired === null ? number(qty_good) : `${number(qty_good)} / ${number(qty_desired)}`}</span>
          ${operation.planned_start_at && html`<span>${dayTime(operation.planned_start_at)}</span>`}
          ${unsent > 0 && html`<span class="unsent-mark">${t("terminal.waits", { count: unsent })}</span>`}
        </span>
        ${block && html`<span class="block">${block}</span>`}
      </button>
    </li>
  `;
}
