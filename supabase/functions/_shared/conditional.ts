/**
 * Conditional requests (RFC 9110): a resource's version is its ETag.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ApiContext } from "./app.ts";
import { Problem } from "./problems.ts";

/** `ETag` of an answer, for the contract. */
export const etagHeader = z.object({
  ETag: z.string().openapi({ description: "Version of the resource, for If-Match and If-None-Match.", example: '"3"' }),
});

/** Request header of reads. */
export const ifNoneMatchHeader = z.object({
  "if-none-match": z.string().optional().openapi({
    description: "ETags you have: when the resource has one of them, the answer is 304.",
    example: '"3"',
  }),
});

/** Request header of changes. */
export const ifMatchHeader = z.object({
  "if-match": z.string().optional().openapi({
    description: "ETag you have read: when the resource has changed since, the answer is 412.",
    example: '"3"',
  }),
});

/** Sets the ETag and tells whether the client has this version already, so that the answer is 304. */
export function isNotModified(c: ApiContext, version: number): boolean {
  const etag = `"${version}"`;
  c.header("ETag", etag);
  const known = c.req.header("If-None-Match");
  return known !== undefined && known.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
}

/** Most ETags of an If-Match. */
const maxTags = 100;

/**
 * Versions of If-Match, of which the resource must have one; undefined = no condition.
 *
 * @throws {Problem} `malformed_request` when the header is not a list of ETags, or of more than 100.
 */
export function ifMatch(c: ApiContext): number[] | undefined {
  const header = c.req.header("If-Match");
  if (header === undefined || header.trim() === "*") return undefined;
  if (!/^\s*(W\/)?"[^"]*"\s*(,\s*(W\/)?"[^"]*"\s*)*$/.test(header)) {
    throw new Problem("malformed_request", `If-Match "${header.slice(0, 100)}" is not a list of ETags such as "3"`);
  }
  const tags = header.split(",");
  if (tags.length > maxTags) {
    throw new Problem("malformed_request", `If-Match has ${tags.length} ETags: at most ${maxTags} are taken`);
  }
  // Weak and foreign tags never match. No version is in an empty list.
  return tags.flatMap((tag) => /^"([1-9]\d{0,8})"$/.exec(tag.trim())?.[1] ?? []).map(Number);
}
