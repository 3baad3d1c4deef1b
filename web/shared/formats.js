/**
 * Numbers, times and durations in the language of the page.
 *
 * @module
 */
import { language } from "./messages.js";

/** @type {Map<string, Intl.NumberFormat | Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @template {Intl.NumberFormat | Intl.DateTimeFormat} Format
 * @param {new (locale: string, options: any) => Format} Kind
 * @param {object} options
 * @returns {Format}
 */
function format(Kind, options) {
  const key = language.current + JSON.stringify(options);
  const known = formats.get(key) ?? new Kind(language.current, options);
  formats.set(key, known);
  return /** @type {Format} */ (known);
}

/** Writes a number: 1,250. @param {number} value @param {number} [digits] Largest number of decimals. */
export const number = (value, digits = 0) => format(Intl.NumberFormat, { maximumFractionDigits: digits }).format(value);

/** Writes a ratio as a percentage: 0.874 -> 87.4 %. @param {number} ratio @param {number} [digits] */
export const percent = (ratio, digits = 0) =>
  format(Intl.NumberFormat, { style: "percent", maximumFractionDigits: digits }).format(ratio);

/** Writes a time of the day: 14:05. @param {string | number | Date} at */
export const time = (at) =>
  format(Intl.DateTimeFormat, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));

/** Writes day and time: Tue 24 Nov, 14:05. @param {string | number | Date} at */
export const dayTime = (at) =>
  format(Intl.DateTimeFormat, {
    weekday: "short",
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(new Date(at));

/** Writes a day: Tue 24 Nov. @param {string | number | Date} at */
export const day = (at) =>
  format(Intl.DateTimeFormat, { weekday: "short", day: "numeric", month: "short" }).format(new Date(at));

/** Writes a duration in two units at most: 45 s, 12 min, 3 h 05, 2 d 4 h. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")}`;
  return `${number(Math.floor(hours / 24))} d ${hours % 24} h`;
}
