/**
 * Access tokens that this isolate has verified, so that a signature is checked once and not with each request.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { ApiKey } from "./api_keys.ts";

/** The caller of a credential. A stream keeps it after its request, to check the reader's access again. */
export interface Session {
  /** Id of the caller's profile: that of a user or of an API key. Null for a server with the secret key. */
  user_id: string | null;
  /** The API key, where the caller has one: it is judged again with each call of the database. */
  api_key?: { key: ApiKey; /** Address of the client. */ address: string };
  /** Name of the secret key, where a server brought it itself. */
  secret_key?: string;
  /** When the access token expires, in milliseconds since 1970; undefined for the secret key, which does not. */
  ends_at?: number;
  /** How the user signed in, by the token: `aal1`, or `aal2` with a second factor. */
  aal?: string;
  /** OAuth client that the user let act for them; undefined for a session of their own. */
  client_id?: string;
}

/** Most stored tokens; the oldest are removed first. */
const maxTokens = 1_000;

/** Time after which tokens of a fetched key are verified again, because the project may withdraw the key. */
export const fetchedKeyTrustMs = 60_000;

interface Verified {
  session: Session;
  untilMs: number;
}

/** By digest, so that the memory holds no usable token. */
const verified = new Map<string, Verified>();

const digestOf = (token: string) => createHash("sha256").update(token).digest("base64");

/** Returns the caller of a token that was verified before and is still trusted. */
export function knownSession(token: string): Session | undefined {
  if (verified.size === 0) return undefined;
  const digest = digestOf(token);
  const known = verified.get(digest);
  if (known === undefined) return undefined;
  if (Date.now() < known.untilMs) return known.session;
  verified.delete(digest);
}

/**
 * Keeps a verified token until it expires. Tokens that were rejected are not kept.
 *
 * @param trustMs How long it is trusted at most.
 */
export function keepSession(token: string, session: Session & { ends_at: number }, trustMs = Infinity): void {
  if (verified.size >= maxTokens) {
    const [oldest] = verified.keys();
    if (oldest !== undefined) verified.delete(oldest);
  }
  verified.set(digestOf(token), { session, untilMs: Math.min(session.ends_at, Date.now() + trustMs) });
}
