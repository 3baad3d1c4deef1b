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
import { addressRateLimit, rateLimit, withinAddress } from "./rate_limiting.ts";
import { urlDecoding } from "./routing.ts";
import { schemaVersion } from "./schema_version.ts";
import { about, checkHealth } from "./service.ts";
import { rejectInvalid } from "./validation.ts";
import { versionEndings } from "./version_endings.ts";
import { type Resource, type Versioning, versionsOf } from "./versions.ts";

const exposedHeaders =
  "Location, ETag, Link, X-Total-Count, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed";
const acceptedHeaders =
  "Authorization, apikey, content-type, idempotency-key, if-match, if-none-match, last-event-id, x-acting-for, x-client-info, x-request-id";

/** Settings in which one function differs from the others. */
interface AppOptions {
  /** Path of the endpoint that answers with Server-Sent Events. */
  streamPath?: string;
  /** Authenticates the caller in place of {@link authenticate}. */
  authentication?: MiddlewareHandler<{ Variables: Authenticated }>;
  /** Settings of CORS in place of, or in addition to, those of all functions. */
  cors?: { origin: (origin: string) => string | null; acceptedHeaders: string[]; exposedHeaders: string[] };
  /** Middlewares that judge a request before its route. */
  beforeRouting?: [path: string, handler: MiddlewareHandler][];
  /** For tests: other versions, and another clock. */
  versioning?: Versioning;
}

/**
 * Creates a function's app: `/{resource}` describes it, `/{resource}/health` checks it, `/{resource}/v1` and the later
 * versions hold its endpoints, which need a credential.
 *
 * @param resource Name of the function, as in its URL.
 */
export function createApp(resource: Resource, options: AppOptions = {}): OpenAPIHono<Env> {
  const endings = versionEndings(resource, options.versioning);
  const app = new OpenAPIHono<Env>({ strict: false, defaultHook: rejectInvalid });
  useFrame(app, {
    cors: {
      origin: options.cors?.origin ?? Deno.env.get("CORS_ORIGINS")?.split(",") ?? "*",
      allowHeaders: [...acceptedHeaders.split(", "), ...options.cors?.acceptedHeaders ?? []],
      exposeHeaders: [
        ...exposedHeaders.split(", "),
        ...options.cors?.exposedHeaders ?? [],
        ...endings.length > 0 ? ["Deprecation", "Sunset"] : [],
      ],
      allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
      maxAge: 86_400,
    },
    // A compressor makes an ETag weak, and If-Match never matches a weak one. The runtime compresses unless it is told
    // not to transform.
    cacheControl: (headers) => headers.has("ETag") ? "no-store, no-transform" : "no-store",
    beforeRouting: [...endings, ...options.beforeRouting ?? []],
  });
  for (const { version } of versionsOf(resource, options.versioning?.table)) {
    app.use(
      `/${resource}/${version}/*`,
      withinAddress(options.authentication ?? authenticate),
      rateLimit,
      schemaVersion,
      urlDecoding,
    );
  }
  app.on("GET", [`/${resource}`, `/${resource}/health`], addressRateLimit);
  app.use(negotiation(app, options.streamPath));
  app.openapiRoutes([about(resource, options.versioning), checkHealth(resource)] as const);
  return app;
}
