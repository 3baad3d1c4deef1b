/**
 * The time zone of the plant. It comes with the check of the database's migration, once a minute, so that no request asks
 * for it.
 *
 * @module
 */

let zone = "UTC";

/** Stores the zone as the database says it; older databases omit it. */
export function notePlantZone(name = "UTC"): void {
  zone = isKnown(name) ? name : "UTC";
}

/** Returns the IANA name of the plant's zone. */
export const plantZone = (): string => zone;

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  const formatter = new Intl.DateTimeFormat("en", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "longOffset",
  });
  formatters.set(timeZone, formatter);
  return formatter;
}

/** Returns whether this runtime knows the zone: the database learns of new ones earlier. */
function isKnown(timeZone: string): boolean {
  try {
    formatterOf(timeZone);
    return true;
  } catch {
    return false;
  }
}

/**
 * Writes an instant on the clocks of a zone, with its offset: `2026-11-23T09:15:00+01:00`. A zone that this runtime does not
 * know has those of UTC, with their offset.
 */
export function onClocksOf(timeZone: string, instant: string): string {
  const parts: Record<string, string> = {};
  for (const { type, value } of formatterOf(isKnown(timeZone) ? timeZone : "UTC").formatToParts(new Date(instant))) {
    parts[type] = value;
  }
  const { year = "", month, day, hour, minute, second, timeZoneName = "" } = parts;
  const offset = timeZoneName.replace("GMT", "") || "+00:00";
  return `${year.padStart(4, "0")}-${month}-${day}T${hour}:${minute}:${second}${offset}`;
}
