/**
 * Whether the browser has a network.
 *
 * @module
 */
import { observable } from "./view.js";

const current = observable(navigator.onLine);

/** False when the browser knows that it has no network. True does not mean that the server can be reached. */
export const isOnline = /** @type {import("./view.js").Observable<boolean>} */ (current);

addEventListener("online", () => current.set(true));
addEventListener("offline", () => current.set(false));
