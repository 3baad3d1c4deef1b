/**
 * Versions of the resources. {@link versions} is the one place that says which there are, and when old ones end: the
 * answers about a function, the headers `Deprecation` and `Sunset`, the refusal after the end and the OpenAPI document
 * are made from it. docs/versions.md has the rules.
 *
 * @module
 */
import type { Context } from "hono";

/** One version of a resource. Times are RFC 3339, in UTC. */
export type Version = { resource: string; version: `v${number}` } & (Current | Deprecated | Sunset);

/** Clients may rely on it. */
interface Current {
  status: "current";
}

/** Clients should move to a later version. It is served until `sunsetAt`. */
interface Deprecated {
  status: "deprecated";
  /** From then on it is deprecated; it may lie ahead. */
  deprecatedAt: string;
  /** From then on it answers 410. Without it, the end is not decided. */
  sunsetAt?: string;
}

/** It answers 410, and its endpoints may be gone from the code. */
interface Sunset {
  status: "sunset";
  deprecatedAt: string;
  sunsetAt: string;
}

/** A version that ends, or has ended. */
export type EndingVersion = Extract<Version, { deprecatedAt: string }>;

/** All versions, those of a resource in their order. */
export const versions = [
  { resource: "operations", version: "v1", status: "current" },
  { resource: "operations", version: "v2", status: "current" },
  { resource: "events", version: "v1", status: "current" },
  { resource: "events", version: "v2", status: "current" },
  { resource: "boards", version: "v1", status: "current" },
  { resource: "calendars", version: "v1", status: "current" },
  { resource: "downtimes", version: "v1", status: "current" },
  { resource: "keys", version: "v1", status: "current" },
  { resource: "mcp", version: "v1", status: "current" },
  { resource: "people", version: "v1", status: "current" },
  { resource: "profiles", version: "v1", status: "current" },
  { resource: "reason-codes", version: "v1", status: "current" },
  { resource: "reports", version: "v1", status: "current" },
  { resource: "stream", version: "v1", status: "current" },
  { resource: "webhooks", version: "v1", status: "current" },
  { resource: "workplaces", version: "v1", status: "current" },
] as const satisfies readonly Version[];

/** A resource with a function of its own. */
export type Resource = typeof versions[number]["resource"];

/** Versions and clock, in place of {@link versions} and the server's: for tests of what has not happened yet. */
export interface Versioning {
  table?: readonly Version[];
  /** Milliseconds since 1970. */
  now?: () => number;
}

/** Returns the versions of a resource, the oldest first. */
export function versionsOf(resource: string, table: readonly Version[] = versions): Version[] {
  return table.filter((row) => row.resource === resource);
}

/** Returns the row of a path such as `/operations/v1/{order_no}`. */
export function versionOfPath(path: string, table: readonly Version[] = versions): Version | undefined {
  const [, resource, version] = path.split("/", 3);
  return table.find((row) => row.resource === resource && row.version === version);
}

/** Returns the version in the path of a request: `v1`. */
export function requestedVersion(c: Context): string {
  return c.req.path.split("/", 3)[2] ?? "";
}

export function isEnding(row: Version): row is EndingVersion {
  return row.status !== "current";
}

/** Returns whether the version has ended, so that it answers 410. */
export function hasEnded(row: Version, nowMs: number): boolean {
  return row.status === "sunset" ||
    row.status === "deprecated" && row.sunsetAt !== undefined && Date.parse(row.sunsetAt) <= nowMs;
}

/** Returns the newest later version that is current, to which clients should move. */
export function successorOf({ resource, version }: Version, table: readonly Version[] = versions): string | undefined {
  const rows = versionsOf(resource, table);
  const later = rows.slice(rows.findIndex((row) => row.version === version) + 1);
  return later.findLast(({ status }) => status === "current")?.version;
}
