/**
 * Functions with other versions, for tests of what has not happened yet: `operations`, whose version 1 ends in 2099 and
 * which have a version 3, and `events`, whose version 1 has ended.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { createApp } from "../../_shared/app.ts";
import { laterVersion } from "../../_shared/later_versions.ts";
import { OperationWithActions } from "../../_shared/operation.ts";
import { inVersion2 } from "../../_shared/version2.ts";
import type { Resource, Version } from "../../_shared/versions.ts";
import { endpoints as eventEndpoints } from "../../events/index.ts";
import { endpoints as operationEndpoints } from "../../operations/index.ts";

export const table: readonly Version[] = [
  {
    resource: "operations",
    version: "v1",
    status: "deprecated",
    deprecatedAt: "2026-01-01T00:00:00Z",
    sunsetAt: "2099-01-01T00:00:00Z",
  },
  { resource: "operations", version: "v2", status: "current" },
  { resource: "operations", version: "v3", status: "current" },
  {
    resource: "events",
    version: "v1",
    status: "deprecated",
    deprecatedAt: "2024-01-01T00:00:00Z",
    sunsetAt: "2025-01-01T00:00:00Z",
  },
  { resource: "events", version: "v2", status: "current" },
];

/** A version in which an operation is wrapped, and nothing else differs. */
export const inVersion3 = laterVersion(
  "v3",
  (schema) =>
    schema === OperationWithActions
      ? { schema: z.object({ operation: OperationWithActions }), write: (_c, operation) => ({ operation }) }
      : undefined,
);

const app = (resource: Resource) => createApp(resource, { versioning: { table } });

export const operations = app("operations").openapiRoutes(operationEndpoints)
  .openapiRoutes(inVersion2(operationEndpoints)).openapiRoutes(inVersion3(operationEndpoints));

export const events = app("events").openapiRoutes(eventEndpoints).openapiRoutes(inVersion2(eventEndpoints));

/** Serves both, as the host of functions expects. */
export default {
  fetch: (request: Request) =>
    new URL(request.url).pathname.startsWith("/events") ? events.fetch(request) : operations.fetch(request),
};
