/**
 * Content negotiation: rejects a request whose `Accept` header excludes every media type that its endpoint answers.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { parseAccept } from "hono/utils/accept";
import { Problem } from "./problems.ts";

const jsonRanges = ["application/json", "application/problem+json", "application/*", "*/*"];
const streamRanges = ["text/event-stream", "text/*"];

/**
 * Creates the middleware.
 *
 * @param streamPath Path of the endpoint that answers with Server-Sent Events.
 */
export const negotiation = (streamPath?: string): MiddlewareHandler => async (c, next) => {
  const accept = c.req.header("Accept");
  const ranges = c.req.path === streamPath ? [...jsonRanges, ...streamRanges] : jsonRanges;
  if (accept && !parseAccept(accept).some(({ type, q }) => q > 0 && ranges.includes(type.toLowerCase()))) {
    throw new Problem(
      "not_acceptable",
      `The API answers application/json, which "${accept.slice(0, 100)}" does not accept`,
    );
  }
  await next();
};
