/**
 * Workplaces with their operations, each with a planned and an actual bar.
 *
 * @module
 */
import { day, dayTime, duration, number } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { State, StateIcon, toneOfStatus } from "../shared/state.js";
import { html } from "../shared/view.js";
import { Grid, span } from "./axis.js";
import { keyOf, lateSince } from "./operations.js";

/**
 * @typedef {object} RowProps
 * @property {any} operation
 * @property {readonly import("./operations.js").Run[]} runs
 * @property {import("./operations.js").Window} shown
 * @property {number} now
 * @property {(operation: any) => void} onOpen
 */

/**
 * @param {{ place: { workplace: string | null, operations: any[], late: number }, runs: Map<string, any[]> } &
 *   Omit<RowProps, "operation" | "runs">} props
 */
export function Workplace({ place, runs, ...rest }) {
  const { workplace, operations, late } = place;
  return html`
    <section class="place">
      <h2>
        ${workplace ?? t("plan.no_workplace")}
        <span class="soft small">${t("plan.count", { count: operations.length })}</span>
        ${late > 0 && html`<${State} tone="stop">${t("plan.late_count", { count: late })}<//>`}
      </h2>
      <ul>
        ${operations.map((operation) => {
          const key = keyOf(operation);
          return html`<${Row} key=${key} operation=${operation} runs=${runs.get(key) ?? []} ...${rest} />`;
        })}
      </ul>
    </section>
  `;
}

/** @param {RowProps} props */
function Row({ operation, runs, shown, now, onOpen }) {
  const { order_no, operation_no, activity_description, status } = operation;
  const late = lateSince(operation, now);
  return html`
    <li class=${late === undefined ? "operation" : "operation late"} data-key=${keyOf(operation)}>
      <button class="name" onClick=${() => onOpen(operation)}>
        <strong>${order_no} <span class="soft">${operation_no}</span></strong>
        <span class="what">${activity_description}</span>
      </button>
      <span class="facts">
        <${State} tone=${toneOfStatus[status] ?? "off"}>${t(`plan.status_${status}`)}<//>
        ${late !== undefined && html`
          <span class="is-late tone-stop"><${StateIcon} tone="stop" />${t("plan.late_by", {
            time: duration(now - late),
          })}</span>
        `}
        <span class="numbers soft">${quantity(operation)}</span>
      </span>
      <div class="track" aria-hidden="true">
        <${Grid} shown=${shown} now=${now} />
        <${Bars} operation=${operation} runs=${runs} shown=${shown} now=${now} />
      </div>
      <span class="visually-hidden">${times(operation)}</span>
    </li>
  `;
}

/** @param {any} operation */
function quantity({ qty_good, qty_desired }) {
  return qty_desired === null
    ? number(qty_good)
    : t("plan.quantity", { good: number(qty_good), desired: number(qty_desired) });
}

/** What the bars show, in words. @param {any} operation */
export function times({ planned_start_at, planned_end_at, actual_start_at, actual_end_at }) {
  const at = (/** @type {string | null} */ value) => value === null ? t("plan.open") : dayTime(value);
  const planned = planned_start_at || planned_end_at
    ? t("plan.planned_from_to", { from: at(planned_start_at), to: at(planned_end_at) })
    : t("plan.not_planned");
  if (actual_start_at === null) return planned;
  return `${planned} ${t("plan.actual_from_to", { from: at(actual_start_at), to: at(actual_end_at) })}`;
}

/** @param {Omit<RowProps, "onOpen">} props */
function Bars({ operation, runs, shown, now }) {
  const { planned_start_at, planned_end_at, actual_start_at, actual_end_at } = operation;
  const planned = span(Date.parse(planned_start_at ?? ""), Date.parse(planned_end_at ?? ""), shown);
  const lasted = actual_start_at === null
    ? undefined
    : span(Date.parse(actual_start_at), actual_end_at === null ? now : Date.parse(actual_end_at), shown);
  const worked = runs.flatMap(({ started_at, ended_at, phase }) => {
    const bar = span(Date.parse(started_at), ended_at === null ? now : Date.parse(ended_at), shown);
    return bar ? [{ started_at, phase, bar }] : [];
  });
  return html`
    <${Beyond} operation=${operation} shown=${shown} />
    ${planned && html`<i class="bar planned" style=${planned}></i>`}
    ${lasted && html`<i class="bar lasted" style=${lasted}></i>`}
    ${worked.map(({ started_at, phase, bar }) =>
      html`
        <i key=${started_at} class=${`bar worked tone-${phase === "SETUP" ? "setup" : "run"}`} style=${bar}></i>
      `
    )}
  `;
}

/** Says where the plan is when it is outside of the window. @param {Pick<RowProps, "operation" | "shown">} props */
function Beyond({ operation: { planned_start_at, planned_end_at }, shown }) {
  if (Date.parse(planned_start_at ?? "") >= shown.to) {
    return html`<span class="beyond after">${day(planned_start_at)} →</span>`;
  }
  if (Date.parse(planned_end_at ?? "") <= shown.from) {
    return html`<span class="beyond before">← ${day(planned_end_at)}</span>`;
  }
  return null;
}
