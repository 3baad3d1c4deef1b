/**
 * The axis of time: the window, its marks, and bars on it.
 *
 * @module
 */
import { day, time } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { html } from "../shared/view.js";

/** @typedef {import("./operations.js").Window} Window */

const hourMs = 3_600_000;

/** The lengths of the window, in hours. */
export const lengths = Object.freeze([12, 48, 168, 672]);

/**
 * Returns the window around now: a quarter of it is past, and it begins at a full hour.
 *
 * @param {number} hours
 * @param {number} [around]
 * @returns {Window}
 */
export function windowOf(hours, around = Date.now()) {
  const from = Math.floor((around - hours * hourMs / 4) / hourMs) * hourMs;
  return { from, to: from + hours * hourMs };
}

/**
 * Moves the window by half of its length.
 *
 * @param {Window} shown
 * @param {-1 | 1} direction
 * @returns {Window}
 */
export function moved({ from, to }, direction) {
  const by = direction * (to - from) / 2;
  return { from: from + by, to: to + by };
}

/** Returns where a time is on the axis, in percent. @param {number} at @param {Window} shown */
export const place = (at, { from, to }) => (at - from) / (to - from) * 100;

/**
 * Returns left edge and width of a bar in percent, undefined when it is outside of the window.
 *
 * @param {number} start
 * @param {number} end
 * @param {Window} shown
 */
export function span(start, end, shown) {
  const left = Math.max(0, place(start, shown));
  const right = Math.min(100, place(end, shown));
  if (!(right > 0 && left < 100 && right >= left)) return undefined;
  return { left: `${left}%`, width: `max(3px, ${right - left}%)` };
}

/** Returns the marks of the axis, at local hours or days. @param {Window} shown */
export function marks({ from, to }) {
  const hours = (to - from) / hourMs;
  const step = hours <= 12 ? 2 : hours <= 48 ? 6 : hours <= 168 ? 24 : 96;
  const first = new Date(from);
  first.setHours(0, 0, 0, 0);
  const found = [];
  // by local hours, so that a change of the clocks moves no mark
  for (let hour = 0;; hour += step) {
    const at = new Date(first);
    at.setHours(hour);
    if (at.getTime() >= to) return found;
    if (at.getTime() >= from) found.push({ at: at.getTime(), isDay: at.getHours() === 0 });
  }
}

/** The head of the axis. @param {{ shown: Window, now: number }} props */
export function Axis({ shown, now }) {
  // the mark of now covers the one beside it, and the edge the last one
  const isFree = (/** @type {number} */ at) =>
    Math.abs(place(at, shown) - place(now, shown)) > 3 && place(at, shown) < 93;
  return html`
    <div class="axis" aria-hidden="true">
      ${marks(shown).filter(({ at }) => isFree(at)).map(({ at, isDay }) =>
        html`
          <span key=${at} class=${isDay ? "day" : ""} style=${{ left: `${place(at, shown)}%` }}>${isDay
            ? day(at)
            : time(at)}</span>
        `
      )}
      ${now > shown.from && now < shown.to && html`
        <span class="now" style=${{ left: `${place(now, shown)}%` }}>${t("plan.now")}</span>
      `}
    </div>
  `;
}

/** The lines of the axis behind the bars. @param {{ shown: Window, now: number }} props */
export function Grid({ shown, now }) {
  return html`
    ${marks(shown).map(({ at }) => html`<i key=${at} class="mark" style=${{ left: `${place(at, shown)}%` }}></i>`)}
    ${now > shown.from && now < shown.to && html`<i class="mark now" style=${{ left: `${place(now, shown)}%` }}></i>`}
  `;
}
