/**
 * Keys that sign access tokens and are not in the environment: those that the project rotated to since the deployment,
 * and the one secret of projects that have no signing keys yet.
 *
 * @module
 */
import { verifyCredentials } from "@supabase/server/core";
import { decodeProtectedHeader, jwtVerify } from "jose";

/** After the keys could not be fetched, how long nobody tries again. */
const pause_ms = 30_000;

/** What a token has to be, beside being signed. */
export interface Expected {
  issuer: string | undefined;
  audience: string;
}

let pausedUntil_ms = 0;

/** Whether the token is signed with the one secret of the project, which has no key id. */
export function isLegacyToken(token: string): boolean {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    return alg === "HS256" && kid === undefined;
  } catch {
    return false;
  }
}

/**
 * Verifies a token that is signed with the one secret of the project.
 *
 * @param secret The project's legacy JWT secret.
 * @throws {Error} One of jose's, with its `code`.
 */
export async function verifyLegacyToken(token: string, secret: string, { issuer, audience }: Expected) {
  const key = new TextEncoder().encode(secret);
  const { payload } = await jwtVerify(token, key, { issuer, audience, algorithms: ["HS256"] });
  return payload;
}

/**
 * Verifies a token by the keys that the project publishes now; they are fetched at most every 30 seconds.
 *
 * @param projectUrl URL of the project, as clients reach it.
 * @returns The claims; undefined when no such key is published, or the keys cannot be had.
 */
export async function verifyByPublishedKeys(token: string, projectUrl: string, expected: Expected) {
  const url = publishedKeysUrl(projectUrl);
  if (url === undefined || Date.now() < pausedUntil_ms) return undefined;
  const { data, error } = await verifyCredentials({ token, apikey: null }, {
    auth: "user",
    env: { jwks: url },
    ...expected,
  });
  if (error !== null && error.status >= 500) {
    pausedUntil_ms = Date.now() + pause_ms;
    console.error(JSON.stringify({ warning: `The signing keys cannot be fetched from ${url}: ${error.message}` }));
  }
  return data?.jwtClaims ?? undefined;
}

/** Keys that come over an open network could be anybody's. */
function publishedKeysUrl(projectUrl: string): URL | undefined {
  const url = new URL(`${projectUrl.replace(/\/$/, "")}/auth/v1/.well-known/jwks.json`);
  const isLoopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url.protocol === "https:" || isLoopback ? url : undefined;
}
