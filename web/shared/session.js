/**
 * Who is signed in. The tokens are in localStorage, so that all pages and tabs of this origin share one session; they
 * are never in an address or a log.
 *
 * @module
 */
import { config } from "./config.js";
import { observable } from "./view.js";

/**
 * @typedef {object} Session
 * @property {string} access_token
 * @property {string} refresh_token
 * @property {number} expires_at Milliseconds since 1970.
 * @property {{ id: string, email: string }} user
 */

/** The sign-in or a refresh was refused. */
export class SignInRefused extends Error {}

const storageKey = "mes.session";

/** A token is renewed this long before it expires, so that no request arrives with an expired one. */
const earlyMs = 60_000;

/** @returns {Session | null} */
function stored() {
  try {
    return JSON.parse(localStorage.getItem(storageKey) ?? "null");
  } catch {
    return null;
  }
}

const current = observable(stored());

/** The session, null when nobody is signed in. */
export const session = /** @type {import("./view.js").Observable<Session | null>} */ (current);

// another tab signed in, renewed the tokens, or signed out
addEventListener("storage", ({ key }) => {
  if (key === storageKey || key === null) current.set(stored());
});

/** @param {Session | null} next */
function store(next) {
  if (next === null) localStorage.removeItem(storageKey);
  else localStorage.setItem(storageKey, JSON.stringify(next));
  current.set(next);
}

/**
 * Asks Supabase Auth for tokens.
 *
 * @param {"password" | "refresh_token"} grant
 * @param {Record<string, string>} credentials
 * @returns {Promise<Session>}
 * @throws {SignInRefused} The credentials are wrong.
 */
async function requestTokens(grant, credentials) {
  const { auth_url, publishable_key } = await config();
  const answer = await fetch(`${auth_url}/token?grant_type=${grant}`, {
    method: "POST",
    headers: { apikey: publishable_key, "content-type": "application/json" },
    body: JSON.stringify(credentials),
    signal: AbortSignal.timeout(15_000),
  });
  if ([400, 401, 403].includes(answer.status)) throw new SignInRefused("The sign-in was refused");
  if (!answer.ok) throw new Error(`Sign-in: ${answer.status}`);
  const { access_token, refresh_token, expires_in, user } = await answer.json();
  const expires_at = Date.now() + expires_in * 1000;
  return { access_token, refresh_token, expires_at, user: { id: user.id, email: user.email } };
}

/**
 * Signs a user in.
 *
 * @param {string} email
 * @param {string} password
 */
export async function signIn(email, password) {
  store(await requestTokens("password", { email, password }));
}

/** Forgets the session here and, when the network is there, on the server. */
export async function signOut() {
  const ending = stored();
  store(null);
  if (ending === null) return;
  const { auth_url, publishable_key } = await config();
  await fetch(`${auth_url}/logout?scope=local`, {
    method: "POST",
    headers: { apikey: publishable_key, authorization: `Bearer ${ending.access_token}` },
    keepalive: true,
  }).catch(() => {});
}

/**
 * Returns an access token that is still valid, renewed when its end is near.
 *
 * @param {string} [refused] A token that the server refused: another one is wanted.
 * @returns {Promise<string | undefined>} Undefined when nobody is signed in.
 */
export async function accessToken(refused) {
  const known = current.current;
  if (known === null) return undefined;
  const isGood = (/** @type {Session} */ one) => one.access_token !== refused && one.expires_at - earlyMs > Date.now();
  if (isGood(known)) return known.access_token;
  // one tab renews, because a refresh token is valid once; the others take what it got
  return await alone(async () => {
    const latest = stored();
    if (latest === null) return undefined;
    if (isGood(latest)) {
      current.set(latest);
      return latest.access_token;
    }
    // a sign-out, or a sign-in of somebody else, that came meanwhile is not undone
    const isStill = () => stored()?.refresh_token === latest.refresh_token;
    try {
      const renewed = await requestTokens("refresh_token", { refresh_token: latest.refresh_token });
      if (isStill()) store(renewed);
    } catch (error) {
      // without a network the session is kept
      if (!(error instanceof SignInRefused)) throw error;
      if (isStill()) store(null);
    }
    return current.current?.user.id === latest.user.id ? current.current.access_token : undefined;
  });
}

/**
 * Runs `task` in one tab at a time, where the browser can do that: pages by plain HTTP have no locks.
 *
 * @template Result
 * @param {() => Promise<Result>} task
 * @returns {Promise<Result>}
 */
async function alone(task) {
  return navigator.locks ? await navigator.locks.request(storageKey, task) : await task();
}
