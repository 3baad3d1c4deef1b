/**
 * Paging: bare arrays, keyset cursors, `Link` and `X-Total-Count`.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ApiContext } from "./app.ts";
import { readCursor, writeCursor } from "./cursors.ts";
import type { Page } from "./database.ts";
import { Problem } from "./problems.ts";

/** A whole number in a query. */
export const queryInteger = (min: number, max: number, beyond?: string) =>
  z.string().regex(/^\d{1,10}$/, "must be a whole number").transform(Number)
    .pipe(z.int().min(min).max(max, beyond)).openapi({ type: "integer", minimum: min, maximum: max });

/** A truth value in a query. */
export const flag = z.enum(["true", "false"]).transform((value) => value === "true");

/** A query parameter that may be repeated, at most 100 times. */
export const repeatable = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((value) => typeof value === "string" ? [value] : value, z.array(item).min(1).max(100));

/** Query parameters of every list. */
export const listQuery = {
  limit: queryInteger(1, 500).default(100).openapi({ description: "Items per page.", default: 100, example: 50 }),
  skip: queryInteger(0, 10_000, "must be at most 10000: follow the cursor of the Link header instead").default(0)
    .openapi({
      description: "Items to pass over, as the first service had it; for deep pages follow `cursor`.",
      default: 0,
      example: 100,
    }),
  cursor: z.string().max(2_000).optional().openapi({
    description: "Where the page begins: taken from the `Link` header of the page before, with the same filters.",
    example: "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJsaXN0IjoiL29wZXJhdGlvbnMvdjE_In0.c2lnbmF0dXJl",
  }),
  count: z.enum(["exact", "estimated"]).optional().openapi({
    description:
      "Count all items of the filter into `X-Total-Count`: exactly, or, for those who see all workplaces, as the database's planner estimates.",
    example: "exact",
  }),
};

/** Headers of every list, for the contract. */
export const listHeaders = z.object({
  Link: z.string().optional().openapi({
    description: 'The next page, when there is one: `<...?cursor=...>; rel="next"`, relative to the API\'s origin.',
    example: '</functions/v1/operations/v1?limit=50&cursor=eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl>; rel="next"',
  }),
  "X-Total-Count": z.string().regex(/^\d+$/).optional().openapi({
    description: "Number of items of the filter, when asked by `count`.",
    example: "1234",
  }),
});

/**
 * The key after which the page begins, or undefined for the first page.
 *
 * @param keySchema What the list's keys are made of.
 * @throws {Problem} `validation_failed` for a cursor that is not ours, of another list or of other filters.
 */
export async function cursorKey<Key>(c: ApiContext, keySchema: z.ZodType<Key>): Promise<Key | undefined> {
  const cursor = c.req.query("cursor");
  if (cursor === undefined) return undefined;
  if (Number(c.req.query("skip") ?? 0) > 0) throw invalidCursor("excludes skip");
  const payload = await readCursor(cursor);
  if (payload === undefined) throw invalidCursor("is not a cursor of this API");
  const { list, key } = payload;
  if (list !== listIdentity(c)) throw invalidCursor("belongs to another list or to other filters");
  return keySchema.parse(key);
}

function invalidCursor(message: string): Problem {
  return new Problem("validation_failed", `Not valid in the query: /cursor ${message}`, {
    errors: [{ in: "query", pointer: "/cursor", message, code: "invalid_cursor" }],
  });
}

/** Sets the headers of a page. */
export async function pageHeaders(c: ApiContext, page: Page<unknown>): Promise<void> {
  if (page.total !== null) c.header("X-Total-Count", String(page.total));
  if (page.next === null) return;
  const next = new URL(c.req.url);
  next.searchParams.delete("skip");
  next.searchParams.set("cursor", await writeCursor({ list: listIdentity(c), key: page.next }));
  c.header("Link", `</functions/v1${next.pathname}${next.search}>; rel="next"`);
}

/** The list that a cursor belongs to: its path and filters, whatever the order in which they are written. */
function listIdentity(c: ApiContext): string {
  const { searchParams, pathname } = new URL(c.req.url);
  for (const page of ["limit", "skip", "cursor", "count"]) searchParams.delete(page);
  searchParams.sort();
  return `${pathname.replace(/\/$/, "")}?${searchParams}`;
}
