/**
 * Cursors of the feed: a position, and the life of the feed in which it has a meaning.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { sign, verify } from "hono/jwt";
import { cursorSecret } from "./lists.ts";
import { type FieldError, Problem } from "./problems.ts";

/** Where a reader of the feed stands. */
export interface FeedPosition {
  /** Name of the feed's life: another one after a restore of the database. */
  generation: string;
  /** Position of the last event that the reader has passed. */
  pos: number;
}

const Payload = z.object({ list: z.literal("feed"), generation: z.string(), pos: z.int() });

/** The cursor that stands for a position; opaque to clients. */
export function feedCursor({ generation, pos }: FeedPosition): Promise<string> {
  return sign({ list: "feed", generation, pos }, cursorSecret(), "HS256");
}

/**
 * The position that a cursor stands for.
 *
 * @param pointer Name of the parameter that holds it, for the problem.
 * @param part Where in the request it stands, likewise.
 * @throws {Problem} `validation_failed` for anything that is not a cursor of the feed.
 */
export async function feedPosition(
  cursor: string,
  pointer = "/after",
  part: FieldError["in"] = "query",
): Promise<FeedPosition> {
  const payload = await verify(cursor, cursorSecret(), "HS256").catch(() => undefined);
  const parsed = Payload.safeParse(payload);
  if (parsed.success) return { generation: parsed.data.generation, pos: parsed.data.pos };
  const message = "is not a cursor of the feed";
  throw new Problem("validation_failed", `Not valid in the ${part}: ${pointer} ${message}`, {
    errors: [{ in: part, pointer, message, code: "invalid_cursor" }],
  });
}
