/**
 * The log of requests.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { routePath } from "hono/route";
import type { Session } from "./verified_tokens.ts";

interface LogVariables {
  role?: string;
  session?: Session;
}

/** Writes one line for each request; never a token, a key or a body. */
export const requestLog: MiddlewareHandler<{ Variables: RequestIdVariables & LogVariables }> = async (c, next) => {
  const startedMs = performance.now();
  await next();
  const { requestId: id, role = "anonymous", session } = c.var;
  console.log(JSON.stringify({
    id,
    method: c.req.method,
    route: routePath(c),
    status: c.res.status,
    ms: Math.round((performance.now() - startedMs) * 10) / 10,
    role,
    key: session?.api_key?.key.id,
  }));
};
