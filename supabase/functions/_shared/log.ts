/**
 * The log of requests.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { routePath } from "hono/route";

/** Writes one line for each request; never a token, a key or a body. */
export const requestLog: MiddlewareHandler<{ Variables: RequestIdVariables & { role?: string } }> = async (c, next) => {
  const startedMs = performance.now();
  await next();
  const { requestId: id, role = "anonymous" } = c.var;
  console.log(JSON.stringify({
    id,
    method: c.req.method,
    route: routePath(c),
    status: c.res.status,
    ms: Math.round((performance.now() - startedMs) * 10) / 10,
    role,
  }));
};
