/**
 * Endpoints of every function that need no credential: its description and its health.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { json, problems } from "./contract.ts";
import { endpoint } from "./endpoint.ts";
import { Health, readHealth } from "./health.ts";

const About = z.object({
  name: z.string().openapi({ description: "Name of the function.", example: "MES Operations API: operations" }),
  versions: z.array(z.string()).openapi({ description: "Versions that the function serves.", example: ["v1"] }),
  links: z.record(z.string(), z.string()).openapi({
    description: "Paths of the function's parts and of the documentation, relative to the API's origin.",
    example: { v1: "/functions/v1/operations/v1", docs: "/functions/v1/docs" },
  }),
}).openapi("About", { description: "Name, versions and links of a function." });

/** Creates the endpoint `GET /{resource}`. */
export const about = (resource: string) =>
  endpoint({
    method: "get",
    path: `/${resource}`,
    operationId: `about${pascalCase(resource)}`,
    tags: ["Service"],
    summary: `About the function ${resource}`,
    description: "Returns name, versions and links. Needs no credential.",
    security: [],
    responses: {
      200: json(About, "Name, versions and links of the function."),
      ...problems([], { credential: false }),
    },
  }, (c) =>
    c.json({
      name: `MES Operations API: ${resource}`,
      versions: ["v1"],
      links: {
        v1: `/functions/v1/${resource}/v1`,
        health: `/functions/v1/${resource}/health`,
        docs: "/functions/v1/docs",
        openapi: "/functions/v1/docs/openapi.json",
      },
    }, 200));

/** Creates the endpoint `GET /{resource}/health`. */
export const checkHealth = (resource: string) =>
  endpoint({
    method: "get",
    path: `/${resource}/health`,
    operationId: `check${pascalCase(resource)}Health`,
    tags: ["Service"],
    summary: `Check the function ${resource}`,
    description:
      "Asks the database. Needs no credential. Answers 200 with `status` `degraded` while the database can be read but " +
      "not written, and 503 while it does not answer. Monitor `status`, not the status code alone.",
    security: [],
    responses: {
      200: json(Health, "The function works, or is `degraded`."),
      ...problems(["unavailable"], { credential: false }),
    },
  }, async (c) => c.json(await readHealth(), 200));

const pascalCase = (resource: string) => resource.replace(/(^|-)(.)/g, (_, _dash, letter) => letter.toUpperCase());
