/**
 * Versions after the first one: the same endpoints under another path, with other answers. Contracts, handlers and SQL
 * stay those of version 1, so that a version is not a copy.
 *
 * @module
 */
import { createRoute, type RouteConfig, type z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ApiContext, Endpoint, Env } from "./endpoint.ts";
import { declareCost, type RateCost } from "./rate_limiting.ts";

/** What a later version answers in place of an answer of version 1. */
export interface Form {
  schema: z.ZodType;
  write: (c: ApiContext, value: unknown) => unknown;
}

type Writers = Record<string, Form["write"]>;

/**
 * Defines a version.
 *
 * @param version Its name in paths: `v2`.
 * @param formOf Returns the form that stands in place of a schema of version 1, or undefined for the same answer.
 * @returns A function that returns endpoints of version 1 as those of this one.
 */
export const laterVersion =
  (version: `v${number}`, formOf: (schema: unknown) => Form | undefined) =>
  (endpoints: readonly Endpoint[]): Endpoint[] =>
    endpoints.map(({ route, handler }) => {
      const writers: Writers = {};
      const responses: RouteConfig["responses"] = {};
      for (const [status, response] of Object.entries(route.responses)) {
        const content = "content" in response ? response.content : undefined;
        const json = content?.["application/json"];
        const form = json !== undefined && "schema" in json ? formOf(json.schema) : undefined;
        if (form !== undefined) writers[status] = form.write;
        responses[status] = form === undefined
          ? response
          : { ...response, content: { ...content, "application/json": { schema: form.schema } } };
      }
      const laterRoute = createRoute({
        ...route,
        path: route.path.replace("/v1", `/${version}`),
        operationId: `${route.operationId}${version.toUpperCase()}`,
        tags: route.tags?.map((tag) => `${tag} ${version}`),
        responses,
        middleware: [writing(writers), ...[route.middleware ?? []].flat()],
      });
      const cost: RateCost | undefined = Reflect.get(route, "x-rate-limit");
      if (cost !== undefined) declareCost(laterRoute.method, laterRoute.getRoutingPath(), cost);
      return { route: laterRoute, handler };
    });

/**
 * Lets the handler of version 1 answer in the form of a later one. Its value is changed before it becomes text, so that
 * nothing is parsed or written twice.
 */
function writing(writers: Writers): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set("withActions", true);
    const { json } = c;
    Object.assign(c, {
      json: (value: object, status: ContentfulStatusCode, headers?: Record<string, string>) =>
        json(writers[status]?.(c, value) ?? value, status, headers),
    });
    await next();
  };
}
