/**
 * The first check of a request: whether its URL exists, has the method, and can be decoded.
 *
 * @module
 */
import type { Env, Hono, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { Problem, problemResponse } from "./problems.ts";

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** Creates the middleware that answers 404 or 405 before it looks at anything else of the request. */
export const routing = <E extends Env>(app: Hono<E>): MiddlewareHandler => async (c, next) => {
  // middlewares are registered for all methods, endpoints for one
  if (matchedRoutes(c).some(({ method }) => method !== "ALL")) return await next();
  const allowed = methods.filter((method) =>
    app.router.match(method, c.req.path)[0].some(([[, route]]) => route.method !== "ALL")
  );
  if (allowed.length === 0) {
    return problemResponse(c, new Problem("unknown_route", `There is no ${c.req.path}`));
  }
  const allow = allowed.flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]);
  return problemResponse(c, new Problem("method_not_allowed", `${c.req.method} is not a method of ${c.req.path}`), {
    Allow: [...allow, "OPTIONS"].join(", "),
  });
};

/** Rejects percent-encoding that is not UTF-8: the router would read it as the text of its escapes, another name. */
export const urlDecoding: MiddlewareHandler = async (c, next) => {
  try {
    decodeURIComponent(c.req.url);
  } catch {
    throw new Problem("malformed_request", "The URL has percent-encoding that is not UTF-8");
  }
  await next();
};
