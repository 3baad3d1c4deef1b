/**
 * Authentication: verifies the signature of the credential without a round trip. The database decides what the caller
 * may do.
 *
 * @module
 */
import type { Credentials } from "@supabase/server";
import { extractCredentials, resolveEnv, verifyCredentials } from "@supabase/server/core";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { readActingToken } from "./acting.ts";
import { admitKey } from "./admitted_keys.ts";
import { type ApiKey, apiKeysIn, bearerOf, hasApiKey, parseApiKey } from "./api_keys.ts";
import { clientAddress } from "./client_address.ts";
import { type Rpc, rpcAsServer, rpcAsUser } from "./database.ts";
import { Problem } from "./problems.ts";
import { sendSecondFactorRule } from "./second_factor.ts";
import { isLegacyToken, verifyByPublishedKeys, verifyLegacyToken } from "./signing_keys.ts";
import { fetchedKeyTrustMs, keepSession, knownSession, type Session } from "./verified_tokens.ts";

/** Variables that the middleware sets for the handlers. */
export interface Authenticated {
  /** The database, acting as the caller. */
  rpc: Rpc;
  /** Role of the caller towards the database, for the log. */
  role: "authenticated" | "service_role" | "api_key";
  /** The caller, and how long the credential is valid. */
  session: Session;
  /** Whose limits the request counts for, where that is not the caller of the session. */
  rateCaller?: string;
}

export type { Session };

const noCredential =
  "Send the access token of a signed-in user or an API key as Authorization: Bearer, or the secret key as apikey";

const noLegacySecret =
  "The access token has no key id (kid): the project signs with its legacy JWT secret. Its owner changes to JWT signing keys, or sets the secret JWT_SECRET of the functions";

if (hasNoKeys()) {
  console.error(JSON.stringify({ warning: `SUPABASE_JWKS has no key, and JWT_SECRET is not set. ${noLegacySecret}` }));
}

/**
 * Accepts a user's access token, an API key or the secret key, nothing else; a bad token never falls back to a key.
 *
 * @throws {Problem} `unauthenticated`, `unavailable`
 */
export const authenticate = createMiddleware<{ Variables: Authenticated }>(async (c, next) => {
  const key = apiKeyOf(c);
  if (key !== undefined) {
    const address = clientAddress(c.req.raw.headers);
    c.set("session", { user_id: key.id, api_key: { key, address } });
    c.set("rpc", await admitKey(key, address, readActingToken(c)));
    c.set("role", "api_key");
    return await next();
  }
  const credentials = extractCredentials(c.req.raw);
  if (credentials.token === null && c.req.header("Authorization") !== undefined) {
    throw new Problem("unauthenticated", "The Authorization header is not of the form: Bearer <access token>");
  }
  const { token } = credentials;
  const known = token === null ? undefined : knownSession(token);
  if (token !== null && known !== undefined) {
    await admitUser(c, token, known);
    return await next();
  }
  const verified = await verify(credentials);
  if (verified.token === null) {
    // the caller holds the secret key, whose role is the service role
    if (readActingToken(c) !== undefined) {
      throw new Problem("unauthenticated", "The secret key is no terminal: nobody can act with it", {
        credential: "X-Acting-For",
      });
    }
    c.set("rpc", rpcAsServer());
    c.set("role", "service_role");
    c.set("session", { user_id: null, secret_key: verified.keyName });
    return await next();
  }
  const session = sessionOf(verified.claims);
  keepSession(verified.token, session, verified.isKeyFetched ? fetchedKeyTrustMs : undefined);
  await admitUser(c, verified.token, session);
  await next();
});

/**
 * Returns the API key of a request; undefined when it has another credential or none.
 *
 * @throws {Problem} `unauthenticated` for a key in the URL, a mistyped key, or a key beside another credential.
 */
function apiKeyOf(c: Context): ApiKey | undefined {
  if (hasApiKey(c.req.url)) {
    throw new Problem(
      "unauthenticated",
      "The URL contains an API key, and URLs are written to logs: rotate the key, and send it in a header",
    );
  }
  const { headers } = c.req.raw;
  const [credential, other = credential] = apiKeysIn(headers);
  if (credential === undefined) return undefined;
  if (other !== credential || (headers.has("Authorization") && bearerOf(headers) !== credential)) {
    throw new Problem("unauthenticated", "Send one credential: an API key, or the access token of a signed-in user");
  }
  const key = parseApiKey(credential);
  if (key === undefined) throw new Problem("unauthenticated", "The API key is mistyped or incomplete");
  return key;
}

async function admitUser(c: Context<{ Variables: Authenticated }>, token: string, session: Session): Promise<void> {
  await sendSecondFactorRule();
  c.set("rpc", rpcAsUser(token, readActingToken(c)));
  c.set("role", "authenticated");
  c.set("session", session);
}

/** Returns the session of a user's access token; throws for claims of any other token. */
function sessionOf({ exp, role, sub, aal, is_anonymous, client_id }: Claims): Session & { ends_at: number } {
  if (exp === undefined || role !== "authenticated" || sub === undefined) {
    throw new Problem("unauthenticated", "The token is not the access token of a signed-in user");
  }
  if (is_anonymous === true) {
    throw new Problem("unauthenticated", "The token is of an anonymous user: sign in as a user with an e-mail address");
  }
  const text = (claim: unknown) => typeof claim === "string" ? claim : undefined;
  return { user_id: sub, ends_at: exp * 1_000, aal: text(aal), client_id: text(client_id) };
}

type Claims = Record<string, unknown> & { sub?: string; exp?: number };

/** A verified credential: a token with its claims, or the secret key of a server. */
type Verified =
  | { token: string; claims: Claims; /** The key was fetched, and may be withdrawn. */ isKeyFetched: boolean }
  | { token: null; keyName?: string };

async function verify(credentials: Credentials): Promise<Verified> {
  const { data: env, error: misconfigured } = resolveEnv();
  if (misconfigured !== null) throw misconfigured;
  const projectUrl = Deno.env.get("SUPABASE_PUBLIC_URL") ?? env.url;
  const expected = { issuer: issuerOf(projectUrl), audience: "authenticated" };
  const { token } = credentials;

  if (token !== null && isLegacyToken(token)) {
    const secret = Deno.env.get("JWT_SECRET");
    if (!secret) throw new Problem("unauthenticated", noLegacySecret);
    try {
      return { token, claims: await verifyLegacyToken(token, secret, expected), isKeyFetched: false };
    } catch (error) {
      throw new Problem("unauthenticated", reasonOf(error));
    }
  }
  const { data: auth, error } = await verifyCredentials(credentials, { auth: ["user", "secret:*"], env, ...expected });
  if (error === null) {
    if (auth.authMode !== "user" || auth.token === null) {
      return { token: null, keyName: auth.keyName ?? undefined };
    }
    return { token: auth.token, claims: auth.jwtClaims ?? {}, isKeyFetched: env.jwks instanceof URL };
  }
  if (error.status >= 500) {
    throw new Problem("unavailable", "The keys that access tokens are signed with cannot be had now");
  }
  if (token !== null && codeOf(error.cause) === "ERR_JWKS_NO_MATCHING_KEY" && !(env.jwks instanceof URL)) {
    const claims = await verifyByPublishedKeys(token, projectUrl, expected);
    if (claims !== undefined) return { token, claims, isKeyFetched: true };
  }
  throw new Problem("unauthenticated", reasonOf(error.cause));
}

/** Returns the reason for rejecting a token, for the client. */
function reasonOf(cause: unknown): string {
  const claim: unknown = cause instanceof Error ? Reflect.get(cause, "claim") : undefined;
  switch (codeOf(cause)) {
    case "ERR_JWT_EXPIRED":
      return "The access token has expired: refresh the session";
    case "ERR_JWKS_NO_MATCHING_KEY":
      return "The access token is signed with a key that the project does not have: sign in again";
    case "ERR_JWT_CLAIM_VALIDATION_FAILED":
      if (claim === "nbf") {
        return `The access token is not valid yet, by the server's clock (${
          new Date().toISOString()
        }): try again later`;
      }
      return `The access token is not one of this project: its claim "${claim}" is another`;
    default:
      return noCredential;
  }
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error ? Reflect.get(cause, "code") : undefined;
}

/** Returns whether tokens cannot be verified: the project has no signing keys, and its legacy secret is unknown. */
function hasNoKeys(): boolean {
  const inline = Deno.env.get("SUPABASE_JWKS");
  if (!inline || Deno.env.get("JWT_SECRET")) return false;
  try {
    const parsed: unknown = JSON.parse(inline);
    const keys: unknown = typeof parsed === "object" && parsed !== null && "keys" in parsed ? parsed.keys : parsed;
    return !Array.isArray(keys) || keys.length === 0;
  } catch {
    return true;
  }
}

/** The issuer of the project's tokens; undefined where its public URL is not known, as inside of a Docker network. */
function issuerOf(projectUrl: string): string | undefined {
  // the CLI does not set secrets whose names begin with SUPABASE_
  const configured = Deno.env.get("AUTH_ISSUER") ?? Deno.env.get("SUPABASE_AUTH_ISSUER");
  if (configured !== undefined) return configured;
  const { protocol, hostname } = new URL(projectUrl);
  const isPublic = protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  return isPublic ? `${projectUrl.replace(/\/$/, "")}/auth/v1` : undefined;
}
