/**
 * The middlewares of every function, which run before and after its endpoint.
 *
 * @module
 */
import type { Env, Hono, MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { requestId, type RequestIdVariables } from "hono/request-id";
import { ClientGone, draining } from "./body.ts";
import { requestLog } from "./log.ts";
import { Problem, problemResponse } from "./problems.ts";
import { routing } from "./routing.ts";

/** Settings in which functions differ. */
interface FrameOptions {
  /** Settings of CORS. */
  cors: Parameters<typeof cors>[0];
  /** `Cache-Control` of answers that have none of their own. */
  cacheControl: (headers: Headers) => string;
  /** Middlewares of paths that may be without a route. */
  beforeRouting?: [path: string, handler: MiddlewareHandler][];
}

/** Status in the log of a request whose client disconnected before the answer. */
const clientGoneStatus = 499;

/**
 * Registers the middlewares that come before all others: request id, log, CORS, security headers, then route and
 * method. The body is read last, by the endpoints that take one.
 */
export function useFrame<E extends Env & { Variables: RequestIdVariables }>(app: Hono<E>, options: FrameOptions): void {
  app.use(requestId({ limitLength: 128 }));
  app.use(requestLog);
  app.use(crossOrigin(options.cors));
  app.use(securityHeaders(options.cacheControl));
  app.use(draining);
  for (const [path, handler] of options.beforeRouting ?? []) app.use(path, handler);
  app.use(routing(app));

  app.notFound((c) => problemResponse(c, new Problem("unknown_route", `There is no ${c.req.path}`)));
  app.onError((error, c) => {
    if (error instanceof ClientGone) return new Response(null, { status: clientGoneStatus });
    const problem = asProblem(error);
    if (problem.code === "internal_error") {
      console.error(JSON.stringify({ id: c.get("requestId"), error: String(error), stack: error.stack }));
    } else if (problem.code === "unavailable" && problem.cause !== undefined) {
      console.error(JSON.stringify({ id: c.get("requestId"), unavailable: String(problem.cause) }));
    }
    return problemResponse(c, problem);
  });
}

/** Hono's CORS. Hono copies an answer for headers that are set before it exists, so they are set afterwards. */
function crossOrigin(options: FrameOptions["cors"]): MiddlewareHandler {
  const setHeaders = cors(options);
  return async (c, next) => {
    if (c.req.method === "OPTIONS") return await setHeaders(c, next);
    await next();
    await setHeaders(c, () => Promise.resolve());
  };
}

const securityHeaders = (cacheControl: FrameOptions["cacheControl"]): MiddlewareHandler => async (c, next) => {
  await next();
  // not by c.header, which copies the answer
  const { headers } = c.res;
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", cacheControl(headers));
  headers.set("X-Content-Type-Options", "nosniff");
  // an answer that was made elsewhere has none yet
  if (!headers.has("X-Request-Id")) headers.set("X-Request-Id", c.get("requestId"));
};

function asProblem(error: Error): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HTTPException && error.status === 400) {
    return new Problem("malformed_json", "The body is not JSON");
  }
  if (error instanceof HTTPException && error.status === 415) {
    return new Problem("unsupported_media_type", "Send the body with Content-Type: application/json");
  }
  return new Problem("internal_error", "The server could not process the request");
}
