/**
 * What readers of the feed and of the stream share: filters, and cursors. A cursor is a position, and the life of the
 * feed in which it has a meaning.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { readCursor, writeCursor } from "./cursors.ts";
import type { Event } from "./event.ts";
import { key, keySchema } from "./fields.ts";
import { repeatable } from "./lists.ts";
import { Action, type Operation } from "./operation.ts";
import { type FieldError, Problem } from "./problems.ts";

declare module "./database.ts" {
  interface Answers {
    read_feed: FeedPage;
  }
}

/** What the database answers for a read of the feed; when it was asked for, with each event's operation and mark. */
export interface FeedPage extends FeedPosition {
  events: (Event & { operation?: Operation | null; mark?: string })[];
  has_more: boolean;
  /** False for a caller who sees no event, however long they wait. */
  has_workplace: boolean;
}

/** What of the feed is followed. */
export const feedFilter = {
  workplace_name: repeatable(key()).optional().openapi({
    type: "array",
    items: keySchema,
    minItems: 1,
    maxItems: 100,
    description: "Workplaces to follow; repeat the parameter for several.",
    example: ["TruLaser 5060 (L76)"],
  }),
  action_type: repeatable(Action).optional().openapi({
    type: "array",
    items: { $ref: "#/components/schemas/Action" },
    minItems: 1,
    maxItems: 100,
    description: "Actions to follow; repeat the parameter for several.",
    example: ["FINISH"],
  }),
  order_no: key().optional().openapi({ description: "Order to follow.", example: "403860-001" }),
};

/** Where a reader of the feed stands. */
export interface FeedPosition {
  /** Name of the feed's life: another one after a restore of the database. */
  generation: string;
  /** Position of the last event that the reader has passed. */
  pos: number;
  /** What that event is known by, so that it is noticed when another one stands there; null where none is. */
  mark: string | null;
}

const Payload = z.object({
  list: z.literal("feed"),
  generation: z.string(),
  pos: z.int(),
  mark: z.string().nullable(),
});

/** The cursor that stands for a position; opaque to clients. */
export function feedCursor({ generation, pos, mark }: FeedPosition): Promise<string> {
  return writeCursor({ list: "feed", generation, pos, mark });
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
  const parsed = Payload.safeParse(await readCursor(cursor));
  if (parsed.success) {
    const { generation, pos, mark } = parsed.data;
    return { generation, pos, mark };
  }
  const message = "is not a cursor of the feed";
  throw new Problem("validation_failed", `Not valid in the ${part}: ${pointer} ${message}`, {
    errors: [{ in: part, pointer, message, code: "invalid_cursor" }],
  });
}

/** Whether the problem is that reading cannot go on from the cursor, and has to begin afresh. */
export function isFeedReset(error: unknown): boolean {
  if (!(error instanceof Problem)) return false;
  const { errors } = error.more;
  return error.code === "feed_reset" || Array.isArray(errors) && errors.some(({ code }) => code === "invalid_cursor");
}
