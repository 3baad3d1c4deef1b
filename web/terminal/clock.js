/**
 * The clock of the device, corrected by the server's: the server refuses times ahead of its own.
 *
 * @module
 */

const storageKey = "mes.terminal.clock";

/** The `Date` of an answer has whole seconds, and is some milliseconds old: less than this is no difference. */
const tolerance = 2000;

let offsetMs = Number(localStorage.getItem(storageKey)) || 0;

/** Learns the difference from an answer. @param {Headers} headers */
export function learnClock(headers) {
  const date = Date.parse(headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  const difference = date + 500 - Date.now();
  const next = Math.abs(difference) < tolerance ? 0 : difference;
  if (Math.abs(next - offsetMs) < tolerance && next !== 0) return;
  offsetMs = next;
  localStorage.setItem(storageKey, String(offsetMs));
}

/** Returns the time of the server, as far as the device knows it. Milliseconds since 1970. */
export const serverNow = () => Date.now() + offsetMs;

/** How far the device's clock is off. */
export const clockOffsetMs = () => offsetMs;
