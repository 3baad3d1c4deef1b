/**
 * Pages of the tools that list: 20 rows unless the call says otherwise, and a cursor to go on.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { maxCursorLength, readCursor, writeCursor } from "../_shared/cursors.ts";
import type { Page } from "../_shared/database.ts";
import { invalidValue } from "../_shared/validation.ts";

/** Argument of tools that list. */
export const limit = z.int().min(1).max(100).default(20).openapi({
  description: "Most rows of the answer, 1 to 100.",
  example: 20,
});

/** Arguments of tools whose lists have pages. */
export const pageArguments = {
  limit,
  cursor: z.string().max(maxCursorLength).optional().openapi({
    description: "next_cursor of the previous page. Send the same filters with it.",
  }),
};

/** Member of the answers of these tools. */
export const nextCursor = z.string().nullable().openapi({
  description: "Send it as cursor, with the same filters, for the next page; null on the last one.",
});

/** A list: its tool and its filters. */
interface List<Key> {
  tool: string;
  filters: object;
  /** Schema of the key of a row. */
  key: z.ZodType<Key>;
}

const digestOf = (filters: object) =>
  createHash("sha256").update(JSON.stringify(Object.entries(filters).sort())).digest("base64url").slice(0, 16);

const identityOf = ({ tool, filters }: List<unknown>) => `mcp/${tool}?${digestOf(filters)}`;

/**
 * Returns the key after which the page begins; undefined for the first page.
 *
 * @throws {Problem} `validation_failed` for a cursor of another list or of other filters.
 */
export async function startOf<Key>(list: List<Key>, cursor: string | undefined): Promise<Key | undefined> {
  if (cursor === undefined) return undefined;
  const payload = await readCursor(cursor);
  const key = list.key.safeParse(payload?.key);
  if (payload?.list === identityOf(list) && key.success) return key.data;
  throw invalidValue("body", "/cursor", "is not a cursor of this tool and these filters", "invalid_cursor");
}

/** Returns the cursor of the next page. */
export async function cursorAfter<Key>(list: List<Key>, { next }: Page<unknown>): Promise<string | null> {
  return next === null ? null : await writeCursor({ list: identityOf(list), key: next });
}
