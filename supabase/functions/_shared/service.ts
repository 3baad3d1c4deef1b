/**
 * Endpoints of every function that need no credential: its description and its health.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { json, problems } from "./contract.ts";
import { endpoint } from "./endpoint.ts";
import { instantOut } from "./fields.ts";
import { Health, readHealth } from "./health.ts";
import { hasEnded, isEnding, type Version, type Versioning, versionsOf } from "./versions.ts";

const VersionStatus = z.enum(["current", "deprecated", "sunset"]).openapi("VersionStatus", {
  description: "`deprecated`: move to a later version. `sunset`: the version has ended and answers 410.",
  example: "current",
});

const VersionState = z.object({
  status: VersionStatus,
  deprecated_at: instantOut().nullable().openapi({ description: "From then on it is deprecated.", example: null }),
  sunset_at: instantOut().nullable().openapi({ description: "From then on it answers 410.", example: null }),
}).openapi("VersionState", { description: "Whether clients may rely on a version, and how long it lives." });

const About = z.object({
  name: z.string().openapi({ description: "Name of the function.", example: "MES Operations API: operations" }),
  versions: z.array(z.string()).openapi({ description: "Versions that the function serves.", example: ["v1"] }),
  version_states: z.record(z.string(), VersionState).openapi({
    description: "State of each version, also of those that have ended.",
    example: { v1: { status: "current", deprecated_at: null, sunset_at: null } },
  }),
  links: z.record(z.string(), z.string()).openapi({
    description: "Paths of the function's parts and of the documentation, relative to the API's origin.",
    example: { v1: "/functions/v1/operations/v1", docs: "/functions/v1/docs" },
  }),
}).openapi("About", { description: "Name, versions and links of a function." });

/** Creates the endpoint `GET /{resource}`. */
export const about = (resource: string, { table, now = Date.now }: Versioning = {}) =>
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
  }, (c) => {
    const rows = versionsOf(resource, table);
    const served = rows.filter((row) => !hasEnded(row, now())).map(({ version }) => version);
    return c.json({
      name: `MES Operations API: ${resource}`,
      versions: served,
      version_states: Object.fromEntries(rows.map((row) => [row.version, stateOf(row, now())])),
      links: {
        ...Object.fromEntries(served.map((version) => [version, `/functions/v1/${resource}/${version}`])),
        health: `/functions/v1/${resource}/health`,
        docs: "/functions/v1/docs",
        openapi: "/functions/v1/docs/openapi.json",
      },
    }, 200);
  });

function stateOf(row: Version, nowMs: number): z.infer<typeof VersionState> {
  const { deprecatedAt, sunsetAt } = isEnding(row) ? row : {};
  const iso = (date: string | undefined) => date === undefined ? null : new Date(date).toISOString();
  return {
    status: hasEnded(row, nowMs) ? "sunset" : row.status,
    deprecated_at: iso(deprecatedAt),
    sunset_at: iso(sunsetAt),
  };
}

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
