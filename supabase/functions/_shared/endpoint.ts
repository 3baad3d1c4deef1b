/**
 * An endpoint: its contract and its handler, on one page.
 *
 * @module
 */
import { createRoute, type RouteConfig, type RouteHandler } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { bodyReader } from "./body.ts";
import { declareCost, type RateCost, type RateLimited } from "./rate_limiting.ts";

/** Variables that the middlewares set for the endpoints. */
export interface Env {
  Variables: RequestIdVariables & RateLimited & Versioned;
}

/** What versions after the first one need. Version 1 says neither. */
interface Versioned {
  /** Asks lists of operations for what the caller may do to each. */
  withActions?: true;
  /** The page that is answered: version 1 says the same by headers. */
  page?: ListPage;
}

/** A page of a list, without its items. */
export interface ListPage {
  nextCursor: string | null;
  /** URL of the next page, relative to the API's origin. */
  nextUrl: string | null;
  /** Number of matching items, when the request asks for it. */
  total: number | null;
}

/** Context of an endpoint. */
export type ApiContext = Context<Env>;

/**
 * Defines an endpoint. One that declares a body requires it.
 *
 * @param config Method, path, schemas and every answer. `x-rate-limit` declares what a request costs, where that is not
 * one read or one write.
 * @param handler Answers the request; errors are thrown as `Problem`.
 */
export function endpoint<
  Path extends string,
  Config extends Omit<RouteConfig, "path"> & { path: Path; "x-rate-limit"?: RateCost },
>(
  config: Config,
  handler: RouteHandler<Config, Env>,
) {
  const mediaTypes = Object.keys(config.request?.body?.content ?? {});
  const route = createRoute<Path, Config>(config);
  if (config["x-rate-limit"]) declareCost(config.method, route.getRoutingPath(), config["x-rate-limit"]);
  if (mediaTypes.length > 0) Object.assign(route, { middleware: bodyReader(mediaTypes) });
  return { route, handler };
}

/** An endpoint as an app registers it. */
export interface Endpoint {
  route: RouteConfig;
  /** Fits the route: `endpoint` has checked it. */
  handler: unknown;
}
