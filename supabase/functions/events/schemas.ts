/**
 * Requests of the resource `events`. The event itself is in ../_shared/event.ts, because transitions answer it too.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ItemAnswer } from "../_shared/batch.ts";
import { csvQuery } from "../_shared/csv.ts";
import { exampleCursor, maxCursorLength } from "../_shared/cursors.ts";
import type { Answer } from "../_shared/database.ts";
import { DowntimeEvent, downtimeFields, downtimeId } from "../_shared/downtime.ts";
import { OperationEvent } from "../_shared/event.ts";
import { feedFilter } from "../_shared/feed.ts";
import { instant, key, userId } from "../_shared/fields.ts";
import { listQuery, queryInteger, repeatable } from "../_shared/lists.ts";
import { Action, Operation } from "../_shared/operation.ts";
import { personId } from "../_shared/person.ts";
import { Report } from "../_shared/report.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_event: OperationEvent;
    report_events: Answer<ItemAnswer[]>;
  }
}

const place = downtimeFields.start.workplace_name;

const named = {
  downtime_id: downtimeId("The downtime. Without it, the one that is open at the workplace.").optional(),
  workplace_name: place,
  occurred_at: downtimeFields.end.occurred_at,
};

const downtimeAction = <Name extends string>(name: Name) =>
  z.literal(name).openapi({ description: "Command on a downtime.", example: name });

/** Commands on downtimes, as items of a batch: each names its workplace. */
const downtimeReports = [
  z.strictObject({ action_type: downtimeAction("DOWNTIME_START"), ...downtimeFields.start })
    .openapi("DowntimeStartReport", { description: "The workplace stands still: as `POST /downtimes/v1`." }),
  z.strictObject({ action_type: downtimeAction("DOWNTIME_END"), ...named, ...downtimeFields.end })
    .openapi("DowntimeEndReport", { description: "The workplace goes on: as `POST /downtimes/v1/{id}/end`." }),
  z.strictObject({ action_type: downtimeAction("DOWNTIME_CLASSIFY"), ...named, ...downtimeFields.classify })
    .openapi("DowntimeClassifyReport", { description: "Why: as `POST /downtimes/v1/{id}/classify`." }),
  z.strictObject({
    action_type: downtimeAction("DOWNTIME_SPLIT"),
    downtime_id: named.downtime_id,
    workplace_name: place,
    ...downtimeFields.split,
  }).openapi("DowntimeSplitReport", { description: "One stop, two causes: as `POST /downtimes/v1/{id}/split`." }),
  z.strictObject({ action_type: downtimeAction("DOWNTIME_CANCEL"), ...named, ...downtimeFields.cancel })
    .openapi("DowntimeCancelReport", { description: "It was none: as `POST /downtimes/v1/{id}/cancel`." }),
] as const;

export const BatchItem = z.discriminatedUnion("action_type", [...Report.options, ...downtimeReports]).openapi(
  "BatchItem",
  {
    description:
      "A report on an operation, or a command on a downtime. Fields that the action does not use are rejected.",
    example: { action_type: "DOWNTIME_END", workplace_name: "TruLaser 5060 (L76)" },
  },
);

/** Most reports of one batch. */
export const maxBatch = 1_000;

export const Batch = z.strictObject({
  events: z.array(z.looseObject({})).min(1).max(maxBatch).openapi({
    type: "array",
    items: { $ref: "#/components/schemas/BatchItem" },
    minItems: 1,
    maxItems: maxBatch,
    description: "Reports and commands on downtimes in the order in which they happened.",
  }),
  atomic: z.boolean().default(false).openapi({
    description: "True: the server records all events or none. False: a rejected event does not affect the others.",
    example: false,
  }),
}).openapi("Batch", {
  description: "Events that a terminal buffered while it was offline.",
  example: {
    events: [{
      id: "5b6f0a52-6e0e-4a53-9a7c-3f0f1f7f2a10",
      action_type: "START",
      order_no: "403860-001",
      operation_no: "0010",
      workplace_name: "TruLaser 5060 (L76)",
      occurred_at: "2026-11-20T08:15:00Z",
    }],
    atomic: false,
  },
});

export const EventQuery = z.strictObject({
  order_no: key().openapi({ description: "Order number.", example: "403860-001" }),
  operation_no: key().openapi({ description: "Operation number.", example: "0010" }),
  asset_id: queryInteger(1, 2_147_483_647).openapi({ description: "Number of the machine.", example: 1 }),
  action_type: repeatable(Action, { $ref: "#/components/schemas/Action" }).openapi({
    description: "Actions to list. Repeat the parameter for several.",
    example: ["START"],
  }),
  workplace_name: key().openapi({ description: "Workplace.", example: "TruLaser 5060 (L76)" }),
  user_id: userId("User who reported."),
  person_id: personId("Person who was signed in at the terminal that reported."),
  occurred_after: instant().openapi({ description: "Earliest time of the event.", example: "2026-11-23T00:00:00Z" }),
  occurred_before: instant().openapi({
    description: "Time before which the event happened.",
    example: "2026-11-24T00:00:00Z",
  }),
}).partial().extend({ ...listQuery, ...csvQuery("occurred_at,order_no,action_type") });

/** Key of an event in lists: when it was recorded, and its id. */
export const EventListKey = z.tuple([z.string(), z.string()]);

const FeedInclude = z.enum(["operation", "downtimes"]).openapi("FeedInclude", {
  description: "What the feed answers beside the events.",
  example: "operation",
});

export const FeedQuery = z.strictObject({
  after: z.string().min(1).max(maxCursorLength).optional().openapi({
    description: "`next_cursor` of the previous answer. Without it, the feed begins with the oldest stored event.",
    example: exampleCursor,
  }),
  limit: listQuery.limit,
  wait: queryInteger(0, 25).default(0).openapi({
    description: "Seconds to wait for an event when there is none yet, 0 to 25.",
    example: 20,
  }),
  ...feedFilter,
  include: repeatable(FeedInclude, { $ref: "#/components/schemas/FeedInclude" }).optional().openapi({
    description: "`operation`: each event has its operation as it is now. `downtimes`: the page has events of " +
      "downtimes, whatever `action_type` says; none with `order_no`.",
    example: ["operation"],
  }),
});

const FollowedEvent = OperationEvent.extend({
  operation: z.union([Operation, z.null()]).optional().openapi({
    description: "With `include=operation`: the operation as it is now; null when it was deleted or moved to a " +
      "workplace that the caller does not see.",
  }),
}).openapi("FollowedEvent", { description: "An event of the feed." });

export const Feed = z.object({
  events: z.array(FollowedEvent).openapi({
    description: "Events in the order of the feed. The events of one operation are in the order of op_seq.",
  }),
  downtime_events: z.array(DowntimeEvent).optional().openapi({
    description:
      "With `include=downtimes`: events of downtimes in the order of the feed. `pos` orders them and `events`.",
  }),
  next_cursor: z.string().openapi({
    description: "Cursor to resume from: send it as `after`. Always present.",
    example: exampleCursor,
  }),
}).openapi("Feed", { description: "A page of the event feed, with the cursor of the next one." });
