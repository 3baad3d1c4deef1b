/**
 * Versions that end: what their answers say about it, and the refusal afterwards.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { Problem, problemResponse } from "./problems.ts";
import { type EndingVersion, hasEnded, isEnding, successorOf, type Versioning, versionsOf } from "./versions.ts";

/** A middleware, and the paths that it is for. */
type Registration = [path: string, handler: MiddlewareHandler];

/** Creates the middlewares of the versions of a resource that end. A version that does not end has none and no cost. */
export function versionEndings(resource: string, { table, now = Date.now }: Versioning = {}): Registration[] {
  return versionsOf(resource, table).filter(isEnding).map((row) => [
    `/${resource}/${row.version}/*`,
    ending(row, successorOf(row, table), now),
  ]);
}

function ending(row: EndingVersion, successor: string | undefined, now: () => number): MiddlewareHandler {
  const { resource, version, sunsetAt } = row;
  const base = `/${resource}/${version}`;
  const successorBase = successor === undefined ? undefined : `/${resource}/${successor}`;
  const dates = dateHeaders(row);
  return async (c, next) => {
    const links = [`</functions/v1/${resource}>; rel="deprecation"`];
    if (successorBase !== undefined) {
      // not c.req.path, which is decoded
      const rest = new URL(c.req.url).pathname.slice(base.length);
      links.push(`</functions/v1${successorBase}${rest}>; rel="successor-version"`);
    }
    if (hasEnded(row, now())) {
      const advice = successorBase === undefined ? "" : `: use /functions/v1${successorBase}`;
      const detail = `Version ${version} of ${resource} has ended${advice}`;
      const more = { sunset_at: iso(sunsetAt), successor: successorBase && `/functions/v1${successorBase}` };
      return problemResponse(c, new Problem("version_gone", detail, more), { ...dates, Link: links.join(", ") });
    }
    await next();
    const { headers } = c.res;
    for (const [name, value] of Object.entries(dates)) headers.set(name, value);
    for (const link of links) headers.append("Link", link);
  };
}

const iso = (date: string | undefined) => date === undefined ? undefined : new Date(date).toISOString();

/** Returns `Deprecation` (RFC 9745, a date of structured fields) and `Sunset` (RFC 8594, a date of HTTP). */
function dateHeaders({ deprecatedAt, sunsetAt }: EndingVersion): Record<string, string> {
  return {
    Deprecation: `@${Math.floor(Date.parse(deprecatedAt) / 1_000)}`,
    ...sunsetAt === undefined ? {} : { Sunset: new Date(sunsetAt).toUTCString() },
  };
}
