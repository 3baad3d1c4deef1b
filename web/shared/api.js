/**
 * Requests to the API.
 *
 * @example
 * const { name } = await get(path`/workplaces/v1/${workplace}`);
 * await post("/events/v1", { action_type: "START", ... });
 *
 * @module
 */
import { config } from "./config.js";
import { accessToken, session, signOut } from "./session.js";

/**
 * @typedef {string | number | boolean} QueryValue
 *
 * @typedef {object} CallOptions
 * @property {Record<string, QueryValue | readonly QueryValue[] | undefined>} [query] An array repeats its parameter.
 * @property {unknown} [body] Sent as JSON.
 * @property {string} [idempotencyKey] Key under which the server does this once; a command gets a new one by default.
 * @property {string} [actingFor] Token of the person who acts at a shared terminal.
 * @property {string} [ifMatch] ETag of the version that the change is meant for.
 * @property {string} [accept] Content type to ask for; default application/json.
 * @property {number} [timeoutMs] Limit of each attempt; default 15 seconds.
 * @property {number} [attempts] Attempts while the server is unavailable; default 3.
 * @property {AbortSignal} [signal] Ends the call.
 *
 * @typedef {object} Answer
 * @property {number} status
 * @property {any} body JSON, or text of another content type; null when there is none.
 * @property {string | undefined} etag
 * @property {Headers} headers
 */

/** A request that did not succeed: a problem of the API (RFC 9457), or no answer. */
export class Problem extends Error {
  /** @param {{ status: number, code: string, detail?: string, [member: string]: unknown }} body */
  constructor({ status, code, detail, ...more }) {
    super(detail ?? code);
    this.name = "Problem";
    /** HTTP status; 0 when no answer came. */
    this.status = status;
    /** Code of docs/errors.md, or `offline` or `timeout` when no answer came. */
    this.code = code;
    /** Further members, such as `errors` of a validation. */
    this.more = more;
  }

  /** True when the same request may succeed later. */
  get isTransient() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * Credentials of the requests. The session of the signed-in user unless a page uses others.
 *
 * @typedef {object} Credential
 * @property {(refused?: string) => Promise<string | undefined>} token Returns the bearer token; `refused` is one that the
 *   server did not accept.
 * @property {() => void} end Called when the server accepts none.
 * @property {() => string | undefined} [owner] Returns whose token that is now: what one user asked for is never sent for
 *   another, who has signed in meanwhile.
 */

/** @type {Credential} */
let credential = {
  token: accessToken,
  end: () => void (session.current && signOut()),
  owner: () => session.current?.user.id,
};

/** Whose request would be sent now. */
const owner = () => credential.owner?.();

/** @param {string | undefined} asker @throws {Problem} Somebody else, or nobody, is signed in. */
function requireOwner(asker) {
  if (owner() !== asker) throw new Problem({ status: 401, code: "unauthenticated" });
}

/**
 * Uses other credentials than the session from now on.
 *
 * @param {Credential} other
 */
export function useCredential(other) {
  credential = other;
}

/**
 * Sends a request with the caller's token, renewed once when the server refuses it.
 *
 * @param {string} path Path below the functions, such as /workplaces/v1.
 * @param {RequestInit} init
 * @param {string | undefined} [asker] User who asked for it.
 * @returns {Promise<Response>}
 * @throws {Problem} The user who asked is not signed in any more.
 */
export async function send(path, init, asker = owner()) {
  const { functions_url, publishable_key } = await config();
  const attempt = (/** @type {string | undefined} */ token) => {
    const headers = new Headers(init.headers);
    headers.set("apikey", publishable_key);
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    return fetch(functions_url + path, { ...init, headers });
  };
  const token = await credential.token();
  requireOwner(asker);
  const answer = await attempt(token);
  if (answer.status !== 401 || token === undefined || await refusesPerson(answer)) return answer;
  const renewed = await credential.token(token);
  requireOwner(asker);
  if (renewed !== undefined && renewed !== token) {
    const again = await attempt(renewed);
    if (again.status !== 401) return again;
  }
  credential.end();
  return answer;
}

/** True when not the caller's credential is refused, but that of the person who acts at the terminal. @param {Response} answer */
async function refusesPerson(answer) {
  const { credential: refused } = await answer.clone().json().catch(() => ({}));
  return refused === "X-Acting-For";
}

/**
 * Sends a request and waits for its answer. While the server is unavailable (503) or has no turn for the caller (429), it
 * is sent again after the time that the server names: commands have an idempotency key, so nothing happens twice.
 *
 * @param {string} method
 * @param {string} path Path below the functions; see {@link path}.
 * @param {CallOptions} [options]
 * @returns {Promise<Answer>}
 * @throws {Problem}
 */
export async function call(method, path, options = {}) {
  const { query = {}, body, actingFor, ifMatch, accept = "application/json", timeoutMs = 15_000, attempts = 3 } =
    options;
  const headers = new Headers({ accept });
  if (body !== undefined) headers.set("content-type", "application/json");
  if (method !== "GET") headers.set("idempotency-key", options.idempotencyKey ?? newKey());
  if (actingFor !== undefined) headers.set("x-acting-for", actingFor);
  if (ifMatch !== undefined) headers.set("if-match", ifMatch);
  const address = path + search(query);
  const asker = owner();
  for (let attempt = 1;; attempt++) {
    const limit = AbortSignal.timeout(timeoutMs);
    try {
      const answer = await send(address, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: options.signal ? AbortSignal.any([limit, options.signal]) : limit,
      }, asker);
      const isBusy = [429, 503].includes(answer.status) && attempt < attempts;
      if (!isBusy) return await read(answer);
      await answer.body?.cancel();
      await pause(retryAfterMs(answer) ?? 1000 * attempt, options.signal);
    } catch (error) {
      if (error instanceof Problem || options.signal?.aborted) throw error;
      throw new Problem({ status: 0, code: limit.aborted ? "timeout" : "offline" });
    }
  }
}

/**
 * Reads from the API.
 *
 * @param {string} path
 * @param {CallOptions["query"]} [query]
 * @param {CallOptions} [options]
 * @returns {Promise<any>}
 */
export async function get(path, query, options) {
  return (await call("GET", path, { ...options, query })).body;
}

/**
 * Sends a command.
 *
 * @param {string} path
 * @param {unknown} body
 * @param {CallOptions} [options]
 * @returns {Promise<any>}
 */
export async function post(path, body, options) {
  return (await call("POST", path, { ...options, body })).body;
}

/**
 * Reads all pages of a list.
 *
 * @param {string} path
 * @param {CallOptions["query"]} [query]
 * @param {CallOptions} [options]
 * @returns {Promise<any[]>}
 */
export async function list(path, query = {}, options) {
  const rows = [];
  /** @type {string | undefined} */
  let cursor;
  do {
    const { body, headers } = await call("GET", path, { ...options, query: { limit: 500, ...query, cursor } });
    rows.push(...body);
    cursor = nextCursor(headers);
  } while (cursor !== undefined);
  return rows;
}

/** @param {Headers} headers */
function nextCursor(headers) {
  const next = /<([^>]+)>;\s*rel="next"/.exec(headers.get("link") ?? "")?.[1];
  return next === undefined ? undefined : new URL(next, location.href).searchParams.get("cursor") ?? undefined;
}

/**
 * Writes a path with encoded values: path`/workplaces/v1/${name}`.
 *
 * @param {TemplateStringsArray} parts
 * @param {...(string | number)} values
 */
export function path(parts, ...values) {
  return String.raw({ raw: parts }, ...values.map((value) => encodeURIComponent(value)));
}

/** Returns a new idempotency key. Keep it with an action that has to survive a reload. */
export function newKey() {
  // crypto.randomUUID is missing in pages by plain HTTP
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/**
 * Returns the time that an answer asks the caller to wait.
 *
 * @param {Response} answer
 * @returns {number | undefined}
 */
export function retryAfterMs(answer) {
  const seconds = Number(answer.headers.get("retry-after") || NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}

/**
 * Waits.
 *
 * @param {number} ms
 * @param {AbortSignal} [signal] Ends the wait with an error.
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** @param {NonNullable<CallOptions["query"]>} query */
function search(query) {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => [name, String(one)])
  );
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs)}`;
}

/**
 * @param {Response} answer
 * @returns {Promise<Answer>}
 */
async function read(answer) {
  const text = await answer.text();
  const isJson = /\bjson\b/.test(answer.headers.get("content-type") ?? "");
  const body = text === "" ? null : isJson ? JSON.parse(text) : text;
  const { status, headers } = answer;
  if (answer.ok) return { status, body, etag: headers.get("etag") ?? undefined, headers };
  throw new Problem(body?.code && typeof body.code === "string" ? { ...body, status } : { status, code: "no_answer" });
}
