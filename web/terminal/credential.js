/**
 * As whom the terminal speaks to the server: with an API key of its own, or as the signed-in user.
 *
 * @module
 */
import { useCredential } from "../shared/api.js";
import { session } from "../shared/session.js";
import { observable } from "../shared/view.js";

const storageKey = "mes.terminal.key";

/** The form of a key: docs/keys.md. */
export const keyPattern = "mes_[0-9a-f]{32}_[0-9A-Za-z]{49}";

/** The terminal's own key, null when users sign in. */
export const ownKey = localStorage.getItem(storageKey);

const refused = observable(false);

/** True when the server does not accept the key any more. */
export const isKeyRefused = /** @type {import("../shared/view.js").Observable<boolean>} */ (refused);

if (ownKey !== null) {
  useCredential({
    token: (tried) => Promise.resolve(tried === undefined ? ownKey : undefined),
    end: () => refused.set(true),
  });
}

/**
 * Sets or removes the key, and starts the page with it.
 *
 * @param {string | null} key
 */
export function setKey(key) {
  if (key === null) localStorage.removeItem(storageKey);
  else localStorage.setItem(storageKey, key);
  location.reload();
}

/** Returns to whom actions belong: all keys of this browser are one terminal. @returns {string | null} */
export const ownerNow = () => ownKey !== null ? "terminal" : session.current?.user.id ?? null;
