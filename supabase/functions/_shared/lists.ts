/**
 * Paging: bare arrays, keyset cursors, `Link` and `X-Total-Count`.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { json } from "./contract.ts";
import { exampleCursor, maxCursorLength, readCursor, writeCursor } from "./cursors.ts";
import type { Page } from "./database.ts";
import type { ApiContext } from "./endpoint.ts";
import { key } from "./fields.ts";
import { invalidValue } from "./validation.ts";

/** A whole number in a query. */
export const queryInteger = (min: number, max: number, beyond?: string) =>
  z.string().regex(/^\d{1,10}$/, "must be a whole number").transform(Number)
    .pipe(z.int().min(min).max(max, beyond)).openapi({ type: "integer", minimum: min, maximum: max });

/** A truth value in a query. */
export const flag = z.enum(["true", "false"]).transform((value) => value === "true").openapi({ type: "boolean" });

/** A filter by prefix. */
export const prefix = (description: string, example: string) => key().optional().openapi({ description, example });

/** Most values of a filter. */
const maxValues = 100;

/**
 * A query parameter that may be repeated.
 *
 * @param items Schema of one value in the contract.
 */
export const repeatable = <Item extends z.ZodType>(
  item: Item,
  items: { $ref: string } | { type: "string"; format?: string },
) =>
  z.preprocess((value) => typeof value === "string" ? [value] : value, z.array(item).min(1).max(maxValues))
    .openapi({ type: "array", items, minItems: 1, maxItems: maxValues });

const CountMode = z.enum(["exact", "estimated"]).openapi("CountMode", {
  description: "Counts all matching items into `X-Total-Count`. `estimated` gives callers with access to all " +
    "workplaces the estimate of the database's planner; for all others it counts exactly.",
  example: "exact",
});

/** Items per page, unless the request says another number. */
export const defaultLimit = 100;

/** Query parameters of every list. */
export const listQuery = {
  limit: queryInteger(1, 500).default(defaultLimit).openapi({
    description: "Items per page.",
    default: defaultLimit,
    example: 50,
  }),
  skip: queryInteger(0, 10_000, "must be at most 10000: follow the cursor of the Link header instead").default(0)
    .openapi({
      description: "Number of items to skip, as in the first service. For deep pages follow `cursor`.",
      default: 0,
      example: 100,
    }),
  cursor: z.string().max(maxCursorLength).optional().openapi({
    description:
      "Start of the page, from the `Link` header of the previous page. Send the same filters and the same `sort` with it.",
    example: exampleCursor,
  }),
  count: CountMode.optional(),
};

/** Header of a page: where the next one is. */
export const nextHeader = z.object({
  Link: z.string().optional().openapi({
    description: 'The next page, if there is one: `<...?cursor=...>; rel="next"`, relative to the API\'s origin.',
    example: `</functions/v1/operations/v1?limit=50&cursor=${exampleCursor}>; rel="next"`,
  }),
});

const listHeaders = nextHeader.extend({
  "X-Total-Count": z.string().regex(/^\d+$/).optional().openapi({
    description: "Number of matching items, when the request has `count`.",
    example: "1234",
  }),
});

/** Describes a page of a list. */
export const pageJson = <Item extends z.ZodType>(item: Item, description: string) =>
  json(z.array(item), description, listHeaders);

/**
 * Reads the key after which the page begins; undefined for the first page.
 *
 * @param keySchema Schema of the list's keys.
 * @throws {Problem} `validation_failed` for a cursor that is not ours, of another list or of other filters.
 */
export async function readCursorKey<Key>(c: ApiContext, keySchema: z.ZodType<Key>): Promise<Key | undefined> {
  const cursor = c.req.query("cursor");
  if (cursor === undefined) return undefined;
  if (Number(c.req.query("skip") ?? 0) > 0) throw invalidCursor("excludes skip");
  const payload = await readCursor(cursor);
  if (payload === undefined) throw invalidCursor("is not a cursor of this API");
  const { list, key } = payload;
  if (list !== listIdentity(c)) throw invalidCursor("belongs to another list or to other filters");
  const parsed = keySchema.safeParse(key);
  if (!parsed.success) throw invalidCursor("was issued by an earlier version: begin again without it");
  return parsed.data;
}

const invalidCursor = (message: string) => invalidValue("query", "/cursor", message, "invalid_cursor");

/** Sets the headers of a page and returns its items. */
export async function answerPage<Item>(c: ApiContext, page: Page<Item>): Promise<Item[]> {
  const { items, next: key, total } = page;
  if (total !== null) c.header("X-Total-Count", String(total));
  if (key === null) {
    c.set("page", { nextCursor: null, nextUrl: null, total });
    return items;
  }
  const cursor = await writeCursor({ list: listIdentity(c), key });
  const next = new URL(c.req.url);
  next.searchParams.delete("skip");
  next.searchParams.set("cursor", cursor);
  const nextUrl = `/functions/v1${next.pathname}${next.search}`;
  c.header("Link", `<${nextUrl}>; rel="next"`);
  c.set("page", { nextCursor: cursor, nextUrl, total });
  return items;
}

/** Parameters that say which part of a list is answered, and how it is written. */
const presentation = [
  ...["limit", "skip", "cursor", "count"],
  ...["format", "columns", "separator", "decimal", "time_zone", "header", "bom"],
];

/** Returns the list that a cursor belongs to: its path and its filters, in a fixed order. */
function listIdentity(c: ApiContext): string {
  const { searchParams, pathname } = new URL(c.req.url);
  for (const name of presentation) searchParams.delete(name);
  searchParams.sort();
  return `${pathname.replace(/\/$/, "")}?${searchParams}`;
}
