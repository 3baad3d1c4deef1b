/**
 * What the page is about: workplaces and a shift, or a window. The address of the page holds it, by the names of the
 * API's own parameters, so that a shift can be sent to a colleague.
 *
 * @module
 */
import { list, path } from "../shared/api.js";
import { useEffect, useState } from "../shared/view.js";

/**
 * @typedef {object} Choice
 * @property {string} [workplace_group]
 * @property {string} [workplace_name]
 * @property {string} [shift_date]
 * @property {string} [shift_code]
 * @property {string} [from]
 * @property {string} [to]
 *
 * @typedef {{ name: string, workplace_group: string | null, calendar_name: string | null }} Place
 *
 * @typedef {object} Shift A shift of `GET /calendars/v1/{name}/shifts`.
 * @property {string} shift_date
 * @property {string} shift_code
 * @property {string} from
 * @property {string} to
 *
 * @typedef {object} Plant
 * @property {Place[]} places Workplaces that the caller sees.
 * @property {Record<string, string>} zones Time zone of each calendar.
 */

const names = /** @type {const} */ ([
  "workplace_group",
  "workplace_name",
  "shift_date",
  "shift_code",
  "from",
  "to",
]);

/** Shifts are read this many days before and after the chosen one. */
const reachDays = 8;

const dayMs = 86_400_000;

/** Reads the address; a shift or window in it that is none is left out. @returns {Choice} */
function fromAddress() {
  const search = new URLSearchParams(location.search);
  /** @type {Choice} */
  const found = Object.fromEntries(names.flatMap((name) => search.get(name) ? [[name, search.get(name)]] : []));
  const { from = "", to = "", shift_date = "", shift_code, ...scope } = found;
  if (Date.parse(from) < Date.parse(to)) return { ...scope, from, to };
  const isDate = /^\d{4}-\d\d-\d\d$/.test(shift_date) && !Number.isNaN(Date.parse(shift_date));
  return isDate && shift_code ? { ...scope, shift_date, shift_code } : scope;
}

/**
 * Returns the choice of the address, and a function that changes both.
 *
 * @returns {[Choice, (next: Choice) => void]}
 */
export function useChoice() {
  const [choice, setChoice] = useState(fromAddress());
  useEffect(() => {
    const onBack = () => setChoice(fromAddress());
    addEventListener("popstate", onBack);
    return () => removeEventListener("popstate", onBack);
  }, []);
  return [choice, (next) => {
    const search = new URLSearchParams(names.flatMap((name) => {
      const value = next[name];
      return value ? [[name, value]] : [];
    }));
    history.pushState(null, "", search.size > 0 ? `?${search}` : location.pathname);
    setChoice(fromAddress());
  }];
}

/**
 * Reads the workplaces whose work the user sees, and the calendars. The list of workplaces names the others too.
 *
 * @param {{ role: string, workplace_access: string[] }} me
 * @param {AbortSignal} signal
 * @returns {Promise<Plant>}
 */
export async function readPlant({ role, workplace_access }, signal) {
  const [places, calendars] = await Promise.all([
    list("/workplaces/v1", {}, { signal }),
    list("/calendars/v1", {}, { signal }),
  ]);
  const seesAll = ["manager", "admin"].includes(role) || workplace_access.includes("*");
  return {
    places: places.filter(({ name }) => seesAll || workplace_access.includes(name)),
    zones: Object.fromEntries(calendars.map(({ name, time_zone }) => [name, time_zone])),
  };
}

/**
 * Returns the chosen workplaces.
 *
 * @param {Plant} plant
 * @param {Choice} choice
 * @returns {Place[]}
 */
export const placesOf = ({ places }, { workplace_group, workplace_name }) =>
  places.filter((place) =>
    workplace_name === undefined
      ? workplace_group === undefined || place.workplace_group === workplace_group
      : place.name === workplace_name
  );

/**
 * Returns the time zone of the workplaces: that of their calendars, and the browser's when they have none or several.
 *
 * @param {Plant} plant
 * @param {readonly Place[]} places
 */
export function zoneOf({ zones }, places) {
  const found = new Set(
    places.flatMap(({ calendar_name }) => calendar_name === null ? [] : zones[calendar_name] ?? []),
  );
  const [first] = found;
  return found.size === 1 && first !== undefined ? first : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/**
 * Reads the shifts of the workplaces' calendars around a day, in the order of their begin. A shift of several calendars
 * is there once.
 *
 * @param {readonly Place[]} places
 * @param {number} around
 * @param {AbortSignal} signal
 * @returns {Promise<Shift[]>}
 */
export async function readShifts(places, around, signal) {
  const calendars = [...new Set(places.flatMap(({ calendar_name }) => calendar_name ?? []))];
  const window = {
    from: new Date(around - reachDays * dayMs).toISOString(),
    to: new Date(around + reachDays * dayMs).toISOString(),
  };
  /** @type {Shift[][]} */
  const found = await Promise.all(
    calendars.map((name) => list(path`/calendars/v1/${name}/shifts`, { limit: undefined, ...window }, { signal })),
  );
  const shifts = new Map(found.flat().map((shift) => [`${shift.shift_date} ${shift.shift_code}`, shift]));
  return [...shifts.values()].sort((a, b) => a.from.localeCompare(b.from));
}

/**
 * Returns the shift that takes place now, else the last one that has begun.
 *
 * @param {readonly Shift[]} shifts
 * @param {number} now
 */
export const shiftOfNow = (shifts, now) => shifts.findLast(({ from }) => Date.parse(from) <= now);

/**
 * Returns the first group, which the page shows when nothing is chosen.
 *
 * @param {Plant} plant
 * @returns {Choice}
 */
export function firstScope({ places }) {
  const group = places.find(({ workplace_group }) => workplace_group !== null)?.workplace_group;
  return group ? { workplace_group: group } : {};
}
