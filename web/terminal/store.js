/**
 * What this browser keeps: actions until the server has them, and the last known state of the plant. See decision 0104.
 *
 * @module
 */
// @ts-types="../assets/idb@8.0.4/idb.d.ts"
import { openDB } from "../assets/idb@8.0.4/idb.js";

/** @typedef {import("./types.js").Action} Action */

const database = openDB("mes-terminal", 1, {
  upgrade(db) {
    db.createObjectStore("actions", { keyPath: "seq", autoIncrement: true });
    db.createObjectStore("kept");
  },
});

/** A power cut loses nothing that was written so: the browser waits for the disk. */
const strict = /** @type {const} */ ({ durability: "strict" });

/** Returns all actions in the order in which they were done. @returns {Promise<Action[]>} */
export async function readActions() {
  return await (await database).getAll("actions");
}

/**
 * Changes actions in one transaction: all of it is on the disk when this resolves, or nothing.
 *
 * @param {(known: Action[]) => { put?: (Action | Omit<Action, "seq">)[], remove?: number[] }} change
 */
export async function changeActions(change) {
  const transaction = (await database).transaction("actions", "readwrite", strict);
  const { put = [], remove = [] } = change(await transaction.store.getAll());
  await Promise.all([
    ...put.map((action) => transaction.store.put(action)),
    ...remove.map((seq) => transaction.store.delete(seq)),
    transaction.done,
  ]);
}

/** Returns a value that was kept. @param {string} key @returns {Promise<any>} */
export async function kept(key) {
  return await (await database).get("kept", key);
}

/**
 * Keeps a value, and forgets actions whose effect it contains, in one transaction.
 *
 * @param {string} key
 * @param {unknown} value
 * @param {number[]} [contained]
 */
export async function keep(key, value, contained = []) {
  const transaction = (await database).transaction(["kept", "actions"], "readwrite");
  await Promise.all([
    transaction.objectStore("kept").put(value, key),
    ...contained.map((seq) => transaction.objectStore("actions").delete(seq)),
    transaction.done,
  ]);
}

/**
 * Keeps a value if there is room. On a full disk, the value before it goes with the actions: it would be wrong without
 * them, and nobody is kept from working with what was read.
 *
 * @type {typeof keep}
 */
export async function keepIfRoom(key, value, contained = []) {
  try {
    await keep(key, value, contained);
  } catch {
    const transaction = (await database).transaction(["kept", "actions"], "readwrite");
    await Promise.all([
      transaction.objectStore("kept").delete(key),
      ...contained.map((seq) => transaction.objectStore("actions").delete(seq)),
      transaction.done,
    ]);
  }
}

/** Forgets what was kept for others. @param {string | null} owner */
export async function forgetOthers(owner) {
  const transaction = (await database).transaction("kept", "readwrite");
  const keys = await transaction.store.getAllKeys();
  const others = keys.filter((key) => owner === null || !String(key).startsWith(`${owner}/`));
  await Promise.all([...others.map((key) => transaction.store.delete(key)), transaction.done]);
}
