/**
 * The controls that choose workplaces and a shift or a window.
 *
 * @module
 */
import { t } from "../shared/messages.js";
import { html, useState } from "../shared/view.js";
import { TimeField } from "./fields.js";
import { clock, dayOf } from "./zone.js";

/** A window of the page has at most this length: more would be a report, and no timeline. */
const maxWindowMs = 7 * 86_400_000;

/**
 * @typedef {import("./choice.js").Choice} Choice
 * @typedef {import("./choice.js").Shift} Shift
 *
 * @typedef {object} ControlsProps
 * @property {import("./choice.js").Plant} plant
 * @property {Choice} choice With a window or a shift.
 * @property {Shift[] | null} shifts Shifts around the chosen one; null until they are read.
 * @property {string} zone
 * @property {(next: Choice) => void} onChoose
 */

/** @param {ControlsProps} props */
export function Controls({ plant, choice, shifts, zone, onChoose }) {
  const isWindow = choice.from !== undefined;
  const { workplace_group, workplace_name, ...time } = choice;
  const scope = { workplace_group, workplace_name };
  /** @param {boolean} wanted */
  const switchTo = (wanted) => {
    if (wanted === isWindow) return;
    const shift = shifts?.find((one) => isChosen(one, choice));
    const now = Math.floor(Date.now() / 60_000) * 60_000;
    const eightHours = { from: new Date(now - 8 * 3_600_000).toISOString(), to: new Date(now).toISOString() };
    onChoose(wanted ? { ...scope, ...shift ? { from: shift.from, to: shift.to } : eightHours } : scope);
  };
  return html`
    <div class="card controls">
      <${ScopeField} plant=${plant} scope=${scope} onChoose=${(/** @type {Choice} */ next) =>
        onChoose({ ...next, ...time })} />
      <div class="row ways" role="group" aria-label=${t("shift.time")}>
        <button aria-pressed=${isWindow ? "false" : "true"} onClick=${() => switchTo(false)}>${t(
          "shift.one_shift",
        )}</button>
        <button aria-pressed=${isWindow ? "true" : "false"} onClick=${() => switchTo(true)}>${t(
          "shift.window",
        )}</button>
      </div>
      ${isWindow
        ? html`<${WindowFields} key=${`${choice.from} ${choice.to} ${zone}`} choice=${choice} zone=${zone} onChoose=${onChoose} />`
        : html`<${ShiftFields} choice=${choice} scope=${scope} shifts=${shifts} zone=${zone} onChoose=${onChoose} />`}
    </div>
  `;
}

/** @param {Shift} shift @param {Choice} choice */
const isChosen = ({ shift_date, shift_code }, choice) =>
  shift_date === choice.shift_date && shift_code === choice.shift_code;

/** @param {{ plant: import("./choice.js").Plant, scope: Choice, onChoose: (scope: Choice) => void }} props */
function ScopeField({ plant: { places }, scope, onChoose }) {
  const groups = [...new Set(places.map(({ workplace_group }) => workplace_group))];
  const values = new Map(
    /** @type {[string, Choice][]} */ ([
      ["all", {}],
      ...groups.flatMap((group) => group === null ? [] : [[`group ${group}`, { workplace_group: group }]]),
      ...places.map(({ name }) => [`place ${name}`, { workplace_name: name }]),
    ]),
  );
  const value = scope.workplace_name !== undefined
    ? `place ${scope.workplace_name}`
    : scope.workplace_group !== undefined
    ? `group ${scope.workplace_group}`
    : "all";
  return html`
    <label class="scope">${t("shift.workplaces")}
      <select value=${value} onChange=${(/** @type {any} */ event) =>
        onChoose(values.get(event.currentTarget.value) ?? {})}>
        <option value="all">${t("shift.all_workplaces")}</option>
        ${groups.map((group) =>
          html`
            <optgroup key=${group} label=${group ?? t("shift.no_group")}>
              ${group !== null && html`<option value=${`group ${group}`}>${t("shift.whole_group", { group })}</option>`}
              ${places.filter((one) => one.workplace_group === group).map(({ name }) =>
                html`<option key=${name} value=${`place ${name}`}>${name}</option>`
              )}
            </optgroup>
          `
        )}
      </select>
    </label>
  `;
}

/**
 * @param {{ choice: Choice, scope: Choice, shifts: Shift[] | null, zone: string, onChoose: (next: Choice) => void }} props
 */
function ShiftFields({ choice, scope, shifts, zone, onChoose }) {
  const known = shifts ?? [];
  const at = known.findIndex((one) => isChosen(one, choice));
  const ofDay = known.filter(({ shift_date }) => shift_date === choice.shift_date);
  /** @param {Shift | undefined} shift */
  const choose = (shift) => shift && onChoose({ ...scope, shift_date: shift.shift_date, shift_code: shift.shift_code });
  /** @param {any} event */
  const onDate = ({ currentTarget: { value } }) => {
    // the code stays: the page says when there is no such shift on that day
    if (value) onChoose({ ...scope, shift_date: value, shift_code: choice.shift_code });
  };
  const before = known[at - 1];
  const after = at < 0 ? undefined : known[at + 1];
  return html`
    <div class="row shift-fields">
      <button aria-label=${t("shift.previous")} disabled=${!before} onClick=${() => choose(before)}>
        <${Arrow} path="M12 4l-6 6 6 6" />
      </button>
      <label>${t("shift.date")}<input type="date" value=${choice.shift_date} onChange=${onDate} /></label>
      <label>${t("shift.code")}
        <select
          value=${choice.shift_code}
          onChange=${(/** @type {any} */ event) =>
            choose(ofDay.find((one) => one.shift_code === event.currentTarget.value))}
        >
          ${at < 0 && html`<option value=${choice.shift_code}>${choice.shift_code}</option>`}
          ${ofDay.map((shift) =>
            html`
              <option key=${shift.shift_code} value=${shift.shift_code}>
                ${`${shift.shift_code} ${clock(shift.from, zone)}–${clock(shift.to, zone)}`}
              </option>
            `
          )}
        </select>
      </label>
      <button aria-label=${t("shift.next")} disabled=${!after} onClick=${() => choose(after)}>
        <${Arrow} path="M8 4l6 6-6 6" />
      </button>
    </div>
  `;
}

/** @param {{ choice: Choice, zone: string, onChoose: (next: Choice) => void }} props */
function WindowFields({ choice, zone, onChoose }) {
  const [from, setFrom] = useState(choice.from);
  const [to, setTo] = useState(choice.to);
  const lengthMs = from && to ? Date.parse(to) - Date.parse(from) : 0;
  /** @param {Event} event */
  const onSubmit = (event) => {
    event.preventDefault();
    onChoose({ ...choice, from, to });
  };
  return html`
    <form class="row shift-fields" onSubmit=${onSubmit}>
      <${TimeField} label=${t("shift.from")} value=${from} onChange=${setFrom} zone=${zone} />
      <${TimeField} label=${t("shift.to")} value=${to} onChange=${setTo} zone=${zone} />
      <button disabled=${lengthMs <= 0 || lengthMs > maxWindowMs}>${t("shift.show")}</button>
      ${lengthMs > maxWindowMs && html`<p class="error">${t("shift.too_long")}</p>`}
    </form>
  `;
}

/** @param {{ path: string }} props */
function Arrow({ path }) {
  return html`
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path d=${path} fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" />
    </svg>
  `;
}

/** Says what is shown: Sun 29 Nov, EARLY. @param {{ choice: Choice, total: any, zone: string }} props */
export function Heading({ choice, total, zone }) {
  const from = total?.from ?? choice.from;
  const to = total?.to ?? choice.to;
  const what = [
    from && dayOf(from, zone),
    choice.shift_code,
    from && to && `${clock(from, zone)} – ${clock(to, zone)}`,
  ];
  return html`<p class="numbers lead">${what.filter(Boolean).join(" · ")} <span class="soft">${zone}</span></p>`;
}
