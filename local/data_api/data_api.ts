import { App, type HonoContext } from "@supabase/lite";
import type { MiddlewareHandler } from "hono";
import postgres from "postgres";
import type { TokenSigner } from "./auth_tokens.ts";
import type { ProjectConfig } from "../platform/config.ts";
import type { DatabaseAccess } from "../postgres/database_access.ts";
import { DataConnection } from "./data_connection.ts";
import type { StackKeys } from "../platform/keys.ts";

/** Connections of the Data API: more do not make two cores faster. */
const poolSize = 16;
const authPoolSize = 4;

/** Answers `/rest/v1` and `/auth/v1`. */
export interface DataApi {
  fetch(request: Request): Promise<Response>;
  close(): Promise<void>;
}

/**
 * Trusts the claims of a valid token, as PostgREST does; the library would look user and session up in the auth schema
 * for each request. The library gets any other token and rejects it.
 */
function trustTokens(signer: TokenSigner): MiddlewareHandler<HonoContext> {
  return async (c, next) => {
    const token = c.req.header("authorization")?.match(/^Bearer\s+(.+)$/)?.[1];
    const claims = token?.startsWith("ey") ? await signer.verify(token) : undefined;
    if (claims && typeof claims.sub === "string") {
      c.set("jwt", claims);
      c.set("userId", claims.sub);
      c.set("sessionId", String(claims.session_id));
      c.set("ignoreAuthorization", true);
    }
    await next();
  };
}

/** The library's Data API and Auth API, each with its own database role, as on Supabase. */
export async function createDataApi(
  access: DatabaseAccess,
  config: ProjectConfig,
  keys: StackKeys,
  signer: TokenSigner,
): Promise<DataApi> {
  const auth = {
    enabled: true,
    jwt_secret: keys.jwtSecret,
    publishable_key: keys.publishableKey,
    secret_key: keys.secretKey,
    jwt_expiry: config.jwtExpiry,
    enable_signup: config.enableSignup,
    email: { enable_signup: config.enableSignup, enable_confirmations: config.enableConfirmations },
    minimum_password_length: config.minimumPasswordLength,
    site_url: config.siteUrl,
    additional_redirect_urls: config.redirectUrls,
  };
  const server = { admin: false, disableStudio: true };
  const data = new DataConnection({ url: access.api, catalogUrl: access.admin, poolSize, schemas: config.schemas });
  const users = new DataConnection({
    url: access.auth,
    catalogUrl: access.admin,
    poolSize: authPoolSize,
    schemas: ["auth"],
  });
  const restApp = new App({
    connection: data,
    api: { enabled: true, schemas: config.schemas, max_rows: config.maxRows },
    auth,
    options: { server: { ...server, middlewares: [trustTokens(signer)] } },
  });
  const authApp = new App({ connection: users, api: { enabled: false }, auth, options: { server } });
  await Promise.all([restApp.init(), authApp.init(), data.refreshCatalog()]);

  // Tables and functions that change later (`psql`, a migration by the CLI) are seen without a restart.
  const listener = postgres(access.admin, { max: 1, onnotice: () => {} });
  // When the server is away just now, the listener connects again later, and this is tried again then.
  const refresh = () => void data.refreshCatalog().catch(() => {});
  let isFirst = true;
  await listener.listen("pgrst", refresh, () => {
    if (!isFirst) refresh();
    isFirst = false;
  });

  return {
    async fetch(request) {
      const isAuth = new URL(request.url).pathname.startsWith("/auth/");
      return await (isAuth ? authApp : restApp).fetch(request, { peerAddress: null });
    },
    async close() {
      await listener.end({ timeout: 0 });
      await Promise.all([data.close(), users.close()]);
    },
  };
}
