/**
 * The first question of a request: is there such a URL, and does it have this method?
 *
 * @module
 */
import type { Env, Hono, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { Problem, problemResponse } from "./problems.ts";

const methods = ["GET", "POST", "PATCH", "DELETE"];

/** Answers 404 or 405 before anything else of the request is looked at. */
export const routed = <E extends Env>(app: Hono<E>): MiddlewareHandler => async (c, next) => {
  // middleware is registered for all methods, endpoints for one
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
