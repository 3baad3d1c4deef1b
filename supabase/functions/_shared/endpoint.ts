/**
 * An endpoint: its contract and its handler, on one page.
 *
 * @module
 */
import { createRoute, type RouteConfig, type RouteHandler } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import type { Authenticated } from "./auth.ts";
import { bodyReader } from "./body.ts";

/** Variables that the middlewares set for the endpoints. */
export interface Env {
  Variables: RequestIdVariables & Authenticated;
}

/** Context of an endpoint. */
export type ApiContext = Context<Env>;

/**
 * Defines an endpoint. One that declares a body requires it.
 *
 * @param config Method, path, schemas and every answer.
 * @param handler Answers the request; errors are thrown as `Problem`.
 */
export function endpoint<Path extends string, Config extends Omit<RouteConfig, "path"> & { path: Path }>(
  config: Config,
  handler: RouteHandler<Config, Env>,
) {
  const mediaTypes = Object.keys(config.request?.body?.content ?? {});
  const route = createRoute<Path, Config>(config);
  if (mediaTypes.length > 0) Object.assign(route, { middleware: bodyReader(mediaTypes) });
  return { route, handler };
}
