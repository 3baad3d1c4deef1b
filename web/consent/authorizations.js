/**
 * Requests of clients to act for a user, as the OAuth 2.1 server of Supabase Auth keeps them.
 *
 * @module
 */
import { config } from "../shared/config.js";
import { accessToken } from "../shared/session.js";

/**
 * @typedef {object} Authorization A client that waits for the user's decision.
 * @property {string} authorization_id
 * @property {string} redirect_uri
 * @property {{ id: string, name?: string, uri?: string }} client
 * @property {{ id: string, email: string }} user
 * @property {string} scope Names of scopes, separated by spaces.
 *
 * @typedef {{ redirect_url: string }} Decided The user has decided, now or before.
 */

/** The id in the address of the page; null when it is none. @param {string} search */
export function authorizationIn(search) {
  const id = new URLSearchParams(search).get("authorization_id") ?? "";
  return /^[\w-]{1,128}$/.test(id) ? id : null;
}

/**
 * Reads the request of a client.
 *
 * @param {string} id
 * @returns {Promise<Authorization | Decided>}
 */
export const readAuthorization = (id) => call("GET", id);

/**
 * Lets a client in, or does not.
 *
 * @param {string} id
 * @param {"approve" | "deny"} action
 * @returns {Promise<Decided>}
 */
export const decide = (id, action) => call("POST", `${id}/consent`, { action });

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function call(method, path, body) {
  const { auth_url, publishable_key } = await config();
  const answer = await fetch(`${auth_url}/oauth/authorizations/${path}`, {
    method,
    headers: {
      apikey: publishable_key,
      authorization: `Bearer ${await accessToken()}`,
      ...body === undefined ? {} : { "content-type": "application/json" },
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(15_000),
  });
  if (!answer.ok) throw new Error(`The sign-in service answered ${answer.status}`);
  return await answer.json();
}

/**
 * Goes back to the client. It may be a program with a scheme of its own, and is never a script.
 *
 * @param {Decided} decided
 */
export function returnToClient({ redirect_url }) {
  const { protocol, href } = new URL(redirect_url);
  if (["javascript:", "data:", "blob:", "file:", "about:"].includes(protocol)) throw new Error(`Refused: ${protocol}`);
  location.assign(href);
}
