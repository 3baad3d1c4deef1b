/**
 * The app of a function that holds a resource.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { authenticate, type Authenticated } from "./auth.ts";
import type { Env } from "./endpoint.ts";
import { useFrame } from "./frame.ts";
import { negotiation } from "./negotiation.ts";
import { urlDecoding } from "./routing.ts";
import { schemaVersion } from "./schema_version.ts";
import { about, checkHealth } from "./service.ts";
import { rejectInvalid } from "./validation.ts";

const exposedHeaders = "Location, ETag, Link, X-Total-Count, X-Request-Id, Retry-After, Idempotency-Replayed";
const acceptedHeaders =
  "Authorization, apikey, content-type, idempotency-key, if-match, if-none-match, last-event-id, x-client-info, x-request-id";

/** Settings in which one function differs from the others. */
interface AppOptions {
  /** Path of the endpoint that answers with Server-Sent Events. */
  streamPath?: string;
  /** Authenticates the caller in place of {@link authenticate}. */
  authentication?: MiddlewareHandler<{ Variables: Authenticated }>;
}

/**
 * Creates a function's app: `/{resource}` describes it, `/{resource}/health` checks it, `/{resource}/v1` holds its
 * endpoints, which need a credential.
 *
 * @param resource Name of the function, as in its URL.
 */
export function createApp(resource: string, options: AppOptions = {}): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>({ strict: false, defaultHook: rejectInvalid });
  useFrame(app, {
    cors: {
      origin: Deno.env.get("CORS_ORIGINS")?.split(",") ?? "*",
      allowHeaders: acceptedHeaders.split(", "),
      exposeHeaders: exposedHeaders.split(", "),
      allowMethods: ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"],
      maxAge: 86_400,
    },
    // A compressor makes an ETag weak, and If-Match never matches a weak one. The runtime compresses unless it is told
    // not to transform.
    cacheControl: (headers) => headers.has("ETag") ? "no-store, no-transform" : "no-store",
  });
  app.use(`/${resource}/v1/*`, options.authentication ?? authenticate, schemaVersion, urlDecoding);
  app.use(negotiation(options.streamPath));
  app.openapiRoutes([about(resource), checkHealth(resource)] as const);
  return app;
}
