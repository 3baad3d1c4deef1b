/**
 * Keys of access tokens that are not among the inline keys: keys that the project rotated to after the deployment, and
 * the legacy JWT secret of projects without signing keys.
 *
 * @module
 */
import { verifyCredentials } from "@supabase/server/core";
import { decodeProtectedHeader, jwtVerify } from "jose";

/** Time until the next try after the keys could not be fetched. */
const pauseMs = 30_000;

/** Claims that a token must have. */
export interface Expected {
  issuer: string | undefined;
  audience: string;
}

let pausedUntilMs = 0;

/** Returns whether the token is signed with the legacy JWT secret, which has no key id. */
export function isLegacyToken(token: string): boolean {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    return alg === "HS256" && kid === undefined;
  } catch {
    return false;
  }
}

/**
 * Verifies a token that is signed with the legacy JWT secret.
 *
 * @throws {Error} One of jose's, with its `code`.
 */
export async function verifyLegacyToken(token: string, secret: string, { issuer, audience }: Expected) {
  const key = new TextEncoder().encode(secret);
  const { payload } = await jwtVerify(token, key, { issuer, audience, algorithms: ["HS256"] });
  return payload;
}

/**
 * Verifies a token by the keys that the project publishes; fetches them at most every 30 seconds.
 *
 * @param projectUrl URL of the project, as clients reach it.
 * @returns The claims; undefined when the key is not published, or the keys cannot be fetched.
 */
export async function verifyByPublishedKeys(token: string, projectUrl: string, expected: Expected) {
  const url = publishedKeysUrl(projectUrl);
  if (url === undefined || Date.now() < pausedUntilMs) return undefined;
  const { data, error } = await verifyCredentials({ token, apikey: null }, {
    auth: "user",
    env: { jwks: url },
    ...expected,
  });
  if (error !== null && error.status >= 500) {
    pausedUntilMs = Date.now() + pauseMs;
    console.error(JSON.stringify({ warning: `The signing keys cannot be fetched from ${url}: ${error.message}` }));
  }
  return data?.jwtClaims ?? undefined;
}

/** Returns the URL of the keys; undefined when an attacker on the network could replace them. */
function publishedKeysUrl(projectUrl: string): URL | undefined {
  const url = new URL(`${projectUrl.replace(/\/$/, "")}/auth/v1/.well-known/jwks.json`);
  const isLoopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url.protocol === "https:" || isLoopback ? url : undefined;
}
