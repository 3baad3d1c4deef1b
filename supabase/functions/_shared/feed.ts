/**
 * Filters and cursors of the event feed, for the feed and the stream. A cursor holds a position and the generation of
 * the feed in which the position is valid.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { readCursor, writeCursor } from "./cursors.ts";
import type { DowntimeEvent } from "./downtime.ts";
import type { OperationEvent } from "./event.ts";
import { key, keySchema } from "./fields.ts";
import { repeatable } from "./lists.ts";
import { Action, type Operation } from "./operation.ts";
import { type FieldError, Problem } from "./problems.ts";
import { invalidValue } from "./validation.ts";

declare module "./database.ts" {
  interface Answers {
    read_feed: FeedPage;
  }
}

/** A page of the feed. On request, each event has its operation and its mark. */
export interface FeedPage extends FeedPosition {
  events: (OperationEvent & { operation?: Operation | null; mark?: string })[];
  /** Empty unless they were asked for. */
  downtime_events: (DowntimeEvent & { mark: string })[];
  has_more: boolean;
  /** False for a caller who has no workplace and therefore sees no event. */
  has_workplace: boolean;
}

const StreamInclude = z.enum(["downtimes"]).openapi("StreamInclude", {
  description: "downtimes: events of downtimes, whatever `action_type` says; none with `order_no`.",
  example: "downtimes",
});

/** Filters of the feed. */
export const feedFilter = {
  workplace_name: repeatable(key(), keySchema).optional().openapi({
    description: "Workplaces to follow. Repeat the parameter for several.",
    example: ["TruLaser 5060 (L76)"],
  }),
  action_type: repeatable(Action, { $ref: "#/components/schemas/Action" }).optional().openapi({
    description: "Actions to follow. Repeat the parameter for several.",
    example: ["FINISH"],
  }),
  order_no: key().optional().openapi({ description: "Order to follow.", example: "403860-001" }),
  include: repeatable(StreamInclude, { $ref: "#/components/schemas/StreamInclude" }).optional().openapi({
    description: "What to follow beside the events of operations. Repeat the parameter for several.",
    example: ["downtimes"],
  }),
};

/** Position of a reader in the feed. */
export interface FeedPosition {
  /** Generation of the feed: it changes when the database is restored. */
  generation: string;
  /** Position of the last event that the reader has read. */
  pos: number;
  /** Fingerprint of that event, which reveals another event at its position; null before the first event. */
  mark: string | null;
}

const Payload = z.object({
  list: z.literal("feed"),
  generation: z.string(),
  pos: z.int(),
  mark: z.string().nullable(),
});

/** Writes the cursor of a position; opaque to clients. */
export function feedCursor({ generation, pos, mark }: FeedPosition): Promise<string> {
  return writeCursor({ list: "feed", generation, pos, mark });
}

/**
 * Reads the position of a cursor.
 *
 * @param pointer Parameter that holds the cursor, for the problem.
 * @param part Part of the request that holds the parameter, for the problem.
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
  throw invalidValue(part, pointer, "is not a cursor of the feed", "invalid_cursor");
}

/** Returns whether the reader cannot resume from its cursor and has to start again. */
export function isFeedReset(error: unknown): boolean {
  if (!(error instanceof Problem)) return false;
  const { errors } = error.more;
  return error.code === "feed_reset" || Array.isArray(errors) && errors.some(({ code }) => code === "invalid_cursor");
}
