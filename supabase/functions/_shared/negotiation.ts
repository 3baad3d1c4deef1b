/**
 * Content negotiation: rejects a request whose `Accept` header excludes every media type that its endpoint answers.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { parseAccept } from "hono/utils/accept";
import type { Env } from "./endpoint.ts";
import { Problem } from "./problems.ts";

/** Ranges of an `Accept` header that contain what most endpoints answer. */
export const jsonRanges = ["application/json", "application/problem+json", "application/*", "*/*"];
/** Ranges that contain CSV, and not JSON. */
export const csvRanges = ["text/csv", "text/*"];
/** Member of a described answer that can be CSV as well. */
export const csvExtension = "x-csv";
const streamRanges = ["text/event-stream", "text/*"];

/**
 * Creates the middleware.
 *
 * @param app Its contracts say which endpoints answer CSV as well.
 * @param streamPath Path of the endpoint that answers with Server-Sent Events.
 */
export const negotiation = (app: OpenAPIHono<Env>, streamPath?: string): MiddlewareHandler => async (c, next) => {
  const accept = c.req.header("Accept");
  const accepts = (ranges: string[]) =>
    !accept || parseAccept(accept).some(({ type, q }) => q > 0 && ranges.includes(type.toLowerCase()));
  const isAccepted = accepts(jsonRanges) || c.req.path === streamPath && accepts(streamRanges) ||
    accepts(csvRanges) && answersCsv(app, c);
  if (!isAccepted) {
    throw new Problem(
      "not_acceptable",
      `The API answers application/json, which "${accept?.slice(0, 100)}" does not accept`,
    );
  }
  await next();
};

/** Returns whether the contract of the request's endpoint has an answer of CSV. */
function answersCsv(app: OpenAPIHono<Env>, c: Context): boolean {
  const paths = matchedRoutes(c).filter(({ method }) => method === "GET").map(({ path }) => path);
  return app.openAPIRegistry.definitions.some((definition) => {
    if (definition.type !== "route" || definition.route.method !== "get") return false;
    const { path, responses } = definition.route;
    const answer = responses[200];
    return answer !== undefined && csvExtension in answer && paths.includes(path.replaceAll(/\{(.+?)\}/g, ":$1"));
  });
}
