/**
 * Who is it? Verified here, by signature, without a round trip; what he may do is the database's to say.
 *
 * @module
 */
import { extractCredentials, resolveEnv, verifyCredentials } from "@supabase/server/core";
import { createMiddleware } from "hono/factory";
import { type CallDatabase, databaseOfServer, databaseOfUser } from "./database.ts";
import { Problem } from "./problems.ts";

/** What the middleware leaves for the handlers. */
export interface Authenticated {
  /** The database, acting as the caller. */
  callDatabase: CallDatabase;
  /** Role of the caller towards the database, for the log. */
  role: "authenticated" | "service_role";
  /** Whom the credential stands for, and how long. */
  session: Session;
}

/** What outlives the request where an answer does: a stream asks again and again what its reader may see. */
export interface Session {
  /** Null for a server with the secret key. */
  user_id: string | null;
  /** When the access token expires, in milliseconds since 1970; undefined for the secret key, which does not. */
  ends_at?: number;
}

/**
 * Accepts a user's access token or the secret key, nothing else; a bad token never falls back to a key.
 *
 * @throws {Problem} `unauthenticated`
 */
export const authenticate = createMiddleware<{ Variables: Authenticated }>(async (c, next) => {
  const { data: env, error: misconfigured } = resolveEnv();
  if (misconfigured !== null) throw misconfigured;

  const credentials = extractCredentials(c.req.raw);
  if (credentials.token === null && c.req.header("Authorization") !== undefined) {
    throw new Problem("unauthenticated", "The Authorization header is not of the form: Bearer <access token>");
  }
  const { data: auth, error } = await verifyCredentials(credentials, {
    auth: ["user", "secret:*"],
    env,
    issuer: issuerOf(Deno.env.get("SUPABASE_PUBLIC_URL") ?? env.url),
    audience: "authenticated",
  });
  if (error !== null) {
    if (error.status >= 500) {
      throw new Problem("unavailable", "The keys that access tokens are signed with cannot be had now");
    }
    throw new Problem(
      "unauthenticated",
      "Send the access token of a signed-in user as Authorization: Bearer, or the secret key as apikey",
    );
  }

  if (auth.authMode === "user") {
    const { exp, role, sub } = auth.jwtClaims ?? {};
    if (exp === undefined || role !== "authenticated" || sub === undefined || auth.token === null) {
      throw new Problem("unauthenticated", "The token is not the access token of a signed-in user");
    }
    c.set("callDatabase", databaseOfUser(auth.token));
    c.set("role", "authenticated");
    c.set("session", { user_id: sub, ends_at: exp * 1_000 });
  } else {
    // the caller holds the secret key himself, so the service role is his own
    c.set("callDatabase", databaseOfServer());
    c.set("role", "service_role");
    c.set("session", { user_id: null });
  }
  await next();
});

/** The issuer of the project's tokens; undefined where its public URL is not known, as inside of a Docker network. */
function issuerOf(projectUrl: string): string | undefined {
  const configured = Deno.env.get("SUPABASE_AUTH_ISSUER");
  if (configured !== undefined) return configured;
  const { protocol, hostname } = new URL(projectUrl);
  const isPublic = protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  return isPublic ? `${projectUrl.replace(/\/$/, "")}/auth/v1` : undefined;
}
