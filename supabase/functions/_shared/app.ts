/**
 * The frame of every function: what happens to a request before and after its endpoint.
 *
 * @module
 */
import { createRoute, OpenAPIHono, type RouteConfig, type RouteHandler, z } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { requestId, type RequestIdVariables } from "hono/request-id";
import { parseAccept } from "hono/utils/accept";
import { authenticate, type Authenticated } from "./auth.ts";
import { bodyOf, ClientGone, drained } from "./body.ts";
import { problems } from "./contract.ts";
import { Health, readHealth } from "./health.ts";
import { logged } from "./log.ts";
import { type FieldError, Problem, problemResponse } from "./problems.ts";
import { routed } from "./routing.ts";
import { invalidInput, type Issue } from "./validation.ts";

/** What the frame leaves for the endpoints. */
export interface Env {
  Variables: RequestIdVariables & Authenticated;
}

const exposedHeaders =
  "Location, ETag, Link, X-Total-Count, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed";
const acceptedHeaders =
  "Authorization, apikey, content-type, idempotency-key, if-match, if-none-match, last-event-id, x-client-info, x-request-id";

/** Status in the log of a request whose client left: nobody gets the answer. */
const clientGoneStatus = 499;

/** What a function may have of its own. */
interface AppOptions {
  /** Path of the endpoint that answers with Server-Sent Events. */
  streamAt?: string;
  /** Who is let in, where that is not {@link authenticate}. */
  admit?: MiddlewareHandler<{ Variables: Authenticated }>;
}

/**
 * A function's app: `/{resource}` says what it is, `/{resource}/health` whether it works, `/{resource}/v1` holds its
 * endpoints, which need a credential.
 *
 * @param resource Name of the function, as in its URL.
 * @param options What is unlike other functions.
 */
export function createApp(resource: string, options: AppOptions = {}): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>({ strict: false, defaultHook: refuseInvalid });

  app.use(requestId({ limitLength: 128 }));
  app.use(logged);
  app.use(cors({
    origin: Deno.env.get("CORS_ORIGINS")?.split(",") ?? "*",
    allowHeaders: acceptedHeaders.split(", "),
    exposeHeaders: exposedHeaders.split(", "),
    allowMethods: ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"],
    maxAge: 86_400,
  }));
  app.use(closed);
  app.use(drained);
  // route and method, credential, URL and Accept come first; the body is read last, by the endpoints that take one
  app.use(routed(app));
  app.use(`/${resource}/v1/*`, options.admit ?? authenticate, decodableUrl);
  app.use(accepts(options.streamAt));

  const about = describe(resource);
  app.openapi(about.route, about.handler);
  const health = checkHealth(resource);
  app.openapi(health.route, health.handler);

  app.notFound((c) => problemResponse(c, new Problem("unknown_route", `There is no ${c.req.path}`)));
  app.onError((error, c) => {
    if (error instanceof ClientGone) return new Response(null, { status: clientGoneStatus });
    const problem = asProblem(error);
    if (problem.code === "internal_error") {
      console.error(JSON.stringify({ id: c.get("requestId"), error: String(error), stack: error.stack }));
    }
    return problemResponse(c, problem);
  });
  return app;
}

/**
 * An endpoint: its contract and its handler, on one page. One that takes a body requires it.
 *
 * @param config Method, path, schemas and every answer.
 * @param handler What it does; errors are thrown as {@link Problem}.
 */
export function endpoint<Path extends string, Config extends Omit<RouteConfig, "path"> & { path: Path }>(
  config: Config,
  handler: RouteHandler<Config, Env>,
) {
  const mediaTypes = Object.keys(config.request?.body?.content ?? {});
  const route = createRoute<Path, Config>(config);
  if (mediaTypes.length > 0) Object.assign(route, { middleware: bodyOf(mediaTypes) });
  return { route, handler };
}

const pascalCase = (resource: string) => resource.replace(/(^|-)(.)/g, (_, _dash, letter) => letter.toUpperCase());

const About = z.object({
  name: z.string().openapi({ description: "What this function is.", example: "MES Operations API: operations" }),
  versions: z.array(z.string()).openapi({ description: "Versions that it serves.", example: ["v1"] }),
  links: z.record(z.string(), z.string()).openapi({
    description: "Paths of what it offers, relative to the API's origin.",
    example: { v1: "/functions/v1/operations/v1", docs: "/functions/v1/docs" },
  }),
}).openapi("About", { description: "What a function is and where its parts are." });

const describe = (resource: string) =>
  endpoint({
    method: "get",
    path: `/${resource}`,
    operationId: `about${pascalCase(resource)}`,
    tags: ["Service"],
    summary: `About the function ${resource}`,
    description: "Name, versions and links. Needs no credential.",
    security: [],
    responses: {
      200: { description: "What it is.", content: { "application/json": { schema: About } } },
      ...problems([], { credential: false }),
    },
  }, (c) =>
    c.json({
      name: `MES Operations API: ${resource}`,
      versions: ["v1"],
      links: {
        v1: `/functions/v1/${resource}/v1`,
        health: `/functions/v1/${resource}/health`,
        docs: "/functions/v1/docs",
        openapi: "/functions/v1/docs/openapi.json",
      },
    }, 200));

const checkHealth = (resource: string) =>
  endpoint({
    method: "get",
    path: `/${resource}/health`,
    operationId: `check${pascalCase(resource)}Health`,
    tags: ["Service"],
    summary: `Check the function ${resource}`,
    description:
      "Asks the database. Needs no credential. 200 with `status` `degraded` while the database can be read " +
      "and not written, 503 while it does not answer: watch `status`, not the code alone.",
    security: [],
    responses: {
      200: { description: "It works, or is `degraded`.", content: { "application/json": { schema: Health } } },
      ...problems(["unavailable"], { credential: false }),
    },
  }, async (c) => c.json(await readHealth(), 200));

/**
 * Data stays with whoever asked for it, and is what it says it is. Whatever compresses an answer on its way makes its
 * ETag a weak one, which If-Match never matches: the runtime itself does, unless it is told not to transform.
 */
const closed: MiddlewareHandler = async (c, next) => {
  await next();
  const { headers } = c.res;
  if (!headers.has("Cache-Control")) {
    c.header("Cache-Control", headers.has("ETag") ? "no-store, no-transform" : "no-store");
  }
  c.header("X-Content-Type-Options", "nosniff");
};

/** A name that is not UTF-8 would be read as the text of its escapes, which is another name. */
const decodableUrl: MiddlewareHandler = async (c, next) => {
  const { pathname, search } = new URL(c.req.url);
  try {
    decodeURIComponent(pathname + search);
  } catch {
    throw new Problem("malformed_request", "The URL has percent-encoding that is not UTF-8");
  }
  await next();
};

const accepts = (streamAt?: string): MiddlewareHandler => async (c, next) => {
  const accept = c.req.header("Accept");
  const answers = ["application/json", "application/problem+json", "application/*", "*/*"];
  if (c.req.path === streamAt) answers.push("text/event-stream", "text/*");
  if (accept && !parseAccept(accept).some(({ type, q }) => q > 0 && answers.includes(type.toLowerCase()))) {
    throw new Problem(
      "not_acceptable",
      `The API answers application/json, which "${accept.slice(0, 100)}" does not accept`,
    );
  }
  await next();
};

interface ValidationResult {
  success: boolean;
  target: string;
  error?: { issues: readonly Issue[] };
}

const parts: Record<string, FieldError["in"]> = { json: "body", query: "query", param: "path", header: "header" };

function refuseInvalid({ success, target, error }: ValidationResult): void {
  if (!success && error !== undefined) throw invalidInput(error.issues, parts[target] ?? "body");
}

function asProblem(error: Error): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HTTPException && error.status === 400) {
    return new Problem("malformed_json", "The body is not JSON");
  }
  if (error instanceof HTTPException && error.status === 415) {
    return new Problem("unsupported_media_type", "Send the body with Content-Type: application/json");
  }
  return new Problem("internal_error", "The request could not be carried out");
}

/** The context of an endpoint. */
export type ApiContext = Context<Env>;
