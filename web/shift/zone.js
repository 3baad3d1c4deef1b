/**
 * Times on the clocks of the plant, wherever the browser is.
 *
 * @module
 */
import { language } from "../shared/messages.js";

const dayMs = 86_400_000;

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @param {string} zone
 * @param {Intl.DateTimeFormatOptions} options
 * @param {string} [locale]
 */
function format(zone, options, locale = language.current) {
  const key = JSON.stringify([locale, zone, options]);
  const known = formats.get(key) ?? new Intl.DateTimeFormat(locale, { timeZone: zone, ...options });
  formats.set(key, known);
  return known;
}

/** @typedef {string | number} Instant */

/** Writes a time of the day: 14:05. @param {Instant} at @param {string} zone */
export const clock = (at, zone) =>
  format(zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));

/** Writes a time of the day to the second: 14:05:33. @param {Instant} at @param {string} zone */
export const clockToSecond = (at, zone) =>
  format(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(new Date(at));

/** Writes a day: Tue 24 Nov. @param {Instant} at @param {string} zone */
export const dayOf = (at, zone) =>
  format(zone, { weekday: "short", day: "numeric", month: "short" }).format(new Date(at));

/** Writes the date of an instant as inputs do: 2026-11-24. @param {Instant} at @param {string} zone */
export const dateText = (at, zone) => localText(at, zone).slice(0, 10);

/**
 * Writes an instant as inputs of type datetime-local do: 2026-11-24T14:05:33.
 *
 * @param {Instant} at
 * @param {string} zone
 */
export function localText(at, zone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const numbers = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
  const parts = format(zone, { ...numbers, second: "2-digit", hourCycle: "h23" }, "en-GB").formatToParts(new Date(at));
  const { year, month, day, hour, minute, second } = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  return `${year}-${month}-${day}T${hour}:${minute}:${second}`;
}

/** Returns how far the clocks of the zone are ahead of UTC. @param {number} at @param {string} zone */
export const offsetMs = (at, zone) => Date.parse(`${localText(at, zone)}Z`) - Math.floor(at / 1000) * 1000;

/**
 * Returns the instant at which the clocks of the zone show a time. In the night when clocks go back, they show it twice:
 * the one nearest to `near` is meant. When they go forward, some times do not exist.
 *
 * @param {string} text As {@link localText} writes it; the seconds may be missing.
 * @param {string} zone
 * @param {number} near
 * @returns {string | undefined} Undefined when there is no such time.
 */
export function instantOf(text, zone, near) {
  const wall = Date.parse(`${text}Z`);
  if (Number.isNaN(wall)) return undefined;
  const whole = new Date(wall).toISOString().slice(0, 19);
  const found = [-dayMs, dayMs]
    .map((shift) => wall - offsetMs(wall + shift, zone))
    .filter((at) => localText(at, zone) === whole)
    .sort((a, b) => Math.abs(a - near) - Math.abs(b - near))[0];
  return found === undefined ? undefined : new Date(found).toISOString();
}
