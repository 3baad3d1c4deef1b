/**
 * What the log tells of a request.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { routePath } from "hono/route";

/** One line per request; never a token, a key or a body. */
export const logged: MiddlewareHandler<{ Variables: RequestIdVariables & { role?: string } }> = async (c, next) => {
  const started = performance.now();
  await next();
  const { requestId: id, role = "anonymous" } = c.var;
  console.log(JSON.stringify({
    id,
    method: c.req.method,
    route: routePath(c),
    status: c.res.status,
    ms: Math.round((performance.now() - started) * 10) / 10,
    role,
  }));
};
