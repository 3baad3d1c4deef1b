/**
 * The actions that the server does not have yet. Each is written to the disk before anything is sent.
 *
 * @module
 */
import { newKey } from "../shared/api.js";
import { observable } from "../shared/view.js";
import { serverNow } from "./clock.js";
import { changeActions, readActions } from "./store.js";

/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Item} Item */

const current = observable(/** @type {Action[]} */ ([]));

/** All actions of this browser, in the order in which they were done. */
export const actions = /** @type {import("../shared/view.js").Observable<Action[]>} */ (current);

const otherTabs = new BroadcastChannel("mes-terminal");
/** @type {Set<() => void>} */
const listeners = new Set();

otherTabs.addEventListener("message", () => {
  load();
  for (const listener of listeners) listener();
});

/** Calls `listener` when another tab changed something. @param {() => void} listener */
export function onOtherTab(listener) {
  listeners.add(listener);
}

/** Reads the actions from the disk. */
export async function load() {
  current.set(await readActions());
}

/** @param {Parameters<typeof changeActions>[0]} change */
export async function change(change) {
  await changeActions(change);
  await load();
  otherTabs.postMessage("changed");
}

/** Tells the other tabs that something that all of them show has changed. */
export const tellOtherTabs = () => otherTabs.postMessage("changed");

/**
 * Adds an action. It is on the disk when this resolves.
 *
 * @param {Omit<Item, "id" | "occurred_at">} item
 * @param {{ owner: string, person: import("./types.js").Person | null, notBefore?: string | null }} by `notBefore`: the
 *   server knows of something at that time which came before.
 */
export async function add(item, { owner, person, notBefore }) {
  // the first action asks the browser not to make room with it
  navigator.storage?.persist?.();
  const now = serverNow();
  await change((known) => {
    // the clock of a device can step back; the order of what was done does not
    const before = known.filter((one) => one.item.workplace_name === item.workplace_name).map(timeOf);
    const time = Math.max(now, ...before, notBefore ? Date.parse(notBefore) : 0);
    // a time far ahead is another clock's fault
    const occurredAt = time - now > 60_000 ? now : time;
    const made = { ...item, id: newKey(), occurred_at: new Date(occurredAt).toISOString() };
    return { put: [{ owner, person, state: "waiting", item: /** @type {Item} */ (made) }] };
  });
}

/** @param {Action} action */
const timeOf = ({ item }) => Date.parse(item.occurred_at);

/** Returns the refused action with those that need its effect. @param {Action} action @param {Action[]} known */
export function withDependents(action, known) {
  const found = [action];
  for (const one of known) {
    if (one.state === "refused" && found.some(({ item }) => item.id === one.caused_by)) found.push(one);
  }
  return found;
}

/**
 * Sends a refused action again, with what needs its effect.
 *
 * @param {Action} action
 * @param {Partial<Item>} [corrected] Other values than before.
 */
export async function sendAgain(action, corrected = {}) {
  await change((known) => ({
    put: withDependents(action, known).map(({ problem: _, caused_by: __, ...one }) => ({
      ...one,
      state: /** @type {const} */ ("waiting"),
      item: one.seq === action.seq ? { ...one.item, ...corrected } : one.item,
    })),
  }));
}

/** Forgets a refused action, with what needs its effect. @param {Action} action */
export async function discard(action) {
  await change((known) => ({ remove: withDependents(action, known).map(({ seq }) => seq) }));
}

/** Forgets all actions of an owner. @param {string} owner */
export async function discardAll(owner) {
  await change((known) => ({ remove: known.filter((one) => one.owner === owner).map(({ seq }) => seq) }));
}

/** Sends what a person did without their name. @param {string} owner @param {string} personId */
export async function sendWithoutName(owner, personId) {
  await change((known) => ({
    put: known
      .filter((one) => one.owner === owner && one.state === "waiting" && one.person?.id === personId)
      .map((one) => ({ ...one, person: null })),
  }));
}

/** Those that the server does not have. @param {Action[]} all @param {string | null} owner */
export const unsentOf = (all, owner) => all.filter((one) => one.owner === owner && one.state !== "sent");
