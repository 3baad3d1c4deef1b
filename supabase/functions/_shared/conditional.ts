/**
 * Conditional requests (RFC 9110): a resource's version is its ETag.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { json } from "./contract.ts";
import type { ApiContext } from "./endpoint.ts";
import { Problem } from "./problems.ts";

/** Header of answers that hold one resource. */
export const etagHeader = z.object({
  ETag: z.string().openapi({ description: "Version of the resource, for If-Match and If-None-Match.", example: '"3"' }),
});

/** Request header of reads. */
export const ifNoneMatchHeader = z.object({
  "if-none-match": z.string().optional().openapi({
    description: "ETags that you have. The answer is 304 when the resource has one of them.",
    example: '"3"',
  }),
});

/** Request header of changes. */
export const ifMatchHeader = z.object({
  "if-match": z.string().optional().openapi({
    description: "ETag that you have read. The answer is 412 when the resource has changed since.",
    example: '"3"',
  }),
});

/** Describes an answer that holds one resource with its ETag. */
export const versionedJson = <Schema extends z.ZodType>(schema: Schema, description: string) =>
  json(schema, description, etagHeader);

/** Describes the answer to a client that has the current version. */
export const notModified = { description: "The client has the current version.", headers: etagHeader };

/** Sets the ETag of a version. */
export function setEtag(c: ApiContext, version: number): void {
  c.header("ETag", `"${version}"`);
}

/** Sets the ETag and returns whether the client has this version, so that the answer is 304. */
export function isNotModified(c: ApiContext, version: number): boolean {
  setEtag(c, version);
  const known = c.req.header("If-None-Match");
  return known?.split(",").some((tag) => ["*", `"${version}"`].includes(tag.trim().replace(/^W\//, ""))) ?? false;
}

/** Most ETags of an If-Match. */
const maxTags = 100;

/**
 * Reads the versions of If-Match, of which the resource must have one; undefined = no condition.
 *
 * @throws {Problem} `malformed_request` when the header is not a list of ETags, or of more than 100.
 */
export function readIfMatch(c: ApiContext): number[] | undefined {
  const header = c.req.header("If-Match");
  if (header === undefined || header.trim() === "*") return undefined;
  if (!/^\s*(W\/)?"[^"]*"\s*(,\s*(W\/)?"[^"]*"\s*)*$/.test(header)) {
    throw new Problem("malformed_request", `If-Match "${header.slice(0, 100)}" is not a list of ETags such as "3"`);
  }
  const tags = header.split(",");
  if (tags.length > maxTags) {
    throw new Problem("malformed_request", `If-Match has ${tags.length} ETags: at most ${maxTags} are taken`);
  }
  // Weak and foreign tags never match. An empty list matches no version.
  return tags.flatMap((tag) => /^"([1-9]\d{0,8})"$/.exec(tag.trim())?.[1] ?? []).map(Number);
}
