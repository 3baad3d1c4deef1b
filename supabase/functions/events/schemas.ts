/**
 * What clients report and ask for. What they get is in ../_shared/event.ts, since steps of planners answer it too.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ItemAnswer } from "../_shared/batch.ts";
import type { Answer, Page } from "../_shared/database.ts";
import { Event, Phase, type ReportedEvent } from "../_shared/event.ts";
import { feedFilter } from "../_shared/feed.ts";
import { addedMinutes, assetId, instant, key, quantity, text } from "../_shared/fields.ts";
import { listQuery, queryInteger, repeatable } from "../_shared/lists.ts";
import { Action, operationKey } from "../_shared/operation.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_event: Event;
    list_events: Page<Event>;
    report_event: Answer<ReportedEvent>;
    report_events: Answer<ItemAnswer[]>;
  }
}

const maxData_bytes = 16 * 1024;

/** Any JSON: what was read from a body is nothing else, so it is not looked at again. */
const anyJson = () => z.custom<z.core.util.JSONType>();

/** The client's own object, stored as it is. */
const operationData = () =>
  z.record(z.string(), anyJson())
    .refine(
      (data) => new TextEncoder().encode(JSON.stringify(data)).length <= maxData_bytes,
      "must be at most 16 KiB of JSON",
    )
    .nullable()
    .openapi({
      type: ["object", "null"],
      additionalProperties: true,
      description: "Free JSON object, kept as sent, at most 16 KiB.",
      example: { machine_program: "P-4711" },
    });

/** Members of every report. */
const subject = {
  order_no: operationKey.order_no,
  operation_no: operationKey.operation_no,
  workplace_name: key().openapi({ description: "Workplace of the operation.", example: "TruLaser 5060 (L76)" }),
  asset_id: assetId().optional().openapi({
    description: "Machine, when the order has the operation on several.",
    example: 1,
  }),
  id: z.guid().optional().openapi({
    description: "Made by the terminal: the same report again under the same id is the same event.",
    example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10",
  }),
  occurred_at: instant().optional().openapi({
    description: "When it happened; now when left out. At most 60 seconds ahead of the server's clock, and for " +
      "machines and operators at most 31 days behind it, unless the plant sets another limit.",
    example: "2026-11-20T08:15:00Z",
  }),
  note: text(2000).optional().openapi({
    description: "Words for the log, at most 2000 characters.",
    example: "Second shift",
  }),
  operation_data: operationData().optional(),
  user_id: z.guid().nullable().optional().openapi({
    description: "User who reports: with a user's token only that user, with the secret key any.",
    example: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01",
  }),
  user_email: text(320).nullable().optional().openapi({
    description: "Address of that user, likewise.",
    example: "operator@example.com",
  }),
  dry_run: z.boolean().optional().openapi({
    description: "True: answer what would happen, change nothing.",
    example: false,
  }),
};

const reason = (kind: string) =>
  key().optional().openapi({ description: `Reason code of kind ${kind}.`, example: "MATERIAL" });

const quantities = {
  qty_good: quantity().optional().openapi({ description: "Good pieces made since the last report.", example: 10 }),
  qty_scrap: quantity().optional().openapi({ description: "Pieces scrapped since the last report.", example: 1 }),
};

const difference = () => z.int().min(-2_147_483_647).max(2_147_483_647).optional();

const action = <Name extends string>(name: Name) =>
  z.literal(name).openapi({ description: "What happened.", example: name });

/** A report takes the fields that its action uses; any other is refused. */
export const Report = z.discriminatedUnion("action_type", [
  z.strictObject({
    action_type: action("START"),
    ...subject,
    phase: Phase.optional().openapi({ description: "What begins; PROCESSING when left out.", example: "SETUP" }),
  }).openapi("StartReport", { description: "Work begins, resumes, or changes its phase." }),
  z.strictObject({ action_type: action("STOP"), ...subject, reason_code: reason("STOP") })
    .openapi("StopReport", { description: "Work pauses; any operator resumes it." }),
  z.strictObject({ action_type: action("REPORT_QUANTITY"), ...subject, ...quantities, reason_code: reason("SCRAP") })
    .openapi("QuantityReport", { description: "Pieces were made or scrapped." }),
  z.strictObject({ action_type: action("COMPLETE"), ...subject, ...quantities, reason_code: reason("SHORTFALL") })
    .openapi("CompleteReport", {
      description: "All done: books the missing pieces as good, or those given, and closes.",
    }),
  z.strictObject({ action_type: action("FINISH"), ...subject, reason_code: reason("SHORTFALL") })
    .openapi("FinishReport", { description: "Closes as reported so far; a shortfall needs a reason." }),
  z.strictObject({ action_type: action("RELEASE"), ...subject })
    .openapi("ReleaseReport", { description: "Supervisors: the operation may be started, or its block is lifted." }),
  z.strictObject({ action_type: action("HOLD"), ...subject, reason_code: reason("HOLD") })
    .openapi("HoldReport", { description: "Supervisors: blocked until a RELEASE; needs a reason." }),
  z.strictObject({ action_type: action("CANCEL"), ...subject, reason_code: reason("CANCEL") })
    .openapi("CancelReport", { description: "Supervisors: will not be made, or not be finished; needs a reason." }),
  z.strictObject({
    action_type: action("REVERSE"),
    ...subject,
    reverses_event_id: z.guid().openapi({
      description: "REPORT_QUANTITY or COMPLETE of this operation whose pieces are taken back.",
      example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10",
    }),
    qty_good: quantity().optional().openapi({
      description: "Good pieces to take back; without quantities all that is left of the event.",
      example: 3,
    }),
    qty_scrap: quantity().optional().openapi({ description: "Scrapped pieces to take back.", example: 0 }),
  }).openapi("ReverseReport", {
    description: "Takes back all or part of a quantity; a finished operation is reopened (supervisors).",
  }),
  z.strictObject({
    action_type: action("CORRECT"),
    ...subject,
    qty_good: difference().openapi({
      description: "Good pieces too few (positive) or too many (negative) so far.",
      example: -2,
    }),
    qty_scrap: difference().openapi({
      description: "Scrapped pieces too few (positive) or too many (negative) so far.",
      example: 2,
    }),
    actual_start_at: instant().optional().openapi({
      description: "When work really began.",
      example: "2026-11-23T08:10:00Z",
    }),
    actual_end_at: instant().optional().openapi({
      description: "When work really ended, for a finished operation.",
      example: "2026-11-20T10:05:00Z",
    }),
    t_actual_setup_min: addedMinutes().optional().openapi({
      description: "Actual setup time in minutes.",
      example: 12,
    }),
    t_actual_processing_min: addedMinutes().optional().openapi({
      description: "Actual processing time in minutes.",
      example: 84.5,
    }),
    t_actual_lead_min: addedMinutes().optional().openapi({
      description: "Actual lead time in minutes, where start or end is not known.",
      example: 110,
    }),
  }).openapi("CorrectReport", {
    description: "Supervisors: what was reported wrongly; before and after stand in the event.",
  }),
]).openapi("Report", {
  description: "What happened to an operation. Fields that the action does not use are refused.",
  example: {
    action_type: "START",
    order_no: "403860-001",
    operation_no: "0010",
    workplace_name: "TruLaser 5060 (L76)",
    operation_data: { status: "RELEASED", qty_desired: 50 },
  },
});

/** Most reports of one batch. */
export const maxBatch = 1_000;

export const Batch = z.strictObject({
  events: z.array(z.looseObject({})).min(1).max(maxBatch).openapi({
    type: "array",
    items: { $ref: "#/components/schemas/Report" },
    minItems: 1,
    maxItems: maxBatch,
    description: "Reports in the order in which they happened.",
  }),
  atomic: z.boolean().default(false).openapi({
    description: "True: all of them or none. False: one that is refused does not stop the rest.",
    example: false,
  }),
}).openapi("Batch", {
  description: "What a terminal collected while it was offline.",
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
  asset_id: queryInteger(1, 2_147_483_647).openapi({ description: "Machine.", example: 1 }),
  action_type: repeatable(Action).openapi({
    type: "array",
    items: { $ref: "#/components/schemas/Action" },
    minItems: 1,
    maxItems: 100,
    description: "Actions to list; repeat the parameter for several.",
    example: ["START"],
  }),
  workplace_name: key().openapi({ description: "Workplace.", example: "TruLaser 5060 (L76)" }),
  user_id: z.guid().openapi({ description: "User who reported.", example: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01" }),
  occurred_after: instant().openapi({ description: "Happened then or later.", example: "2026-11-23T00:00:00Z" }),
  occurred_before: instant().openapi({ description: "Happened before.", example: "2026-11-24T00:00:00Z" }),
}).partial().extend(listQuery);

export const FeedQuery = z.strictObject({
  after: z.string().min(1).max(2_000).optional().openapi({
    description: "`next_cursor` of the read before; left out: from the oldest event that is kept.",
    example: "eyJhbGciOiJIUzI1NiJ9.eyJwb3MiOjQ3MTF9.c2lnbmF0dXJl",
  }),
  limit: listQuery.limit,
  wait: queryInteger(0, 25).default(0).openapi({
    description: "Seconds to wait for an event when there is none yet, 0 to 25.",
    example: 20,
  }),
  ...feedFilter,
});

export const Feed = z.object({
  events: z.array(Event).openapi({
    description: "Events in the order of the feed, each operation's in the order of its op_seq.",
  }),
  next_cursor: z.string().openapi({
    description: "Where to go on: send it as `after`. Always there.",
    example: "eyJhbGciOiJIUzI1NiJ9.eyJwb3MiOjQ3MTF9.c2lnbmF0dXJl",
  }),
}).openapi("Feed", { description: "A piece of the feed, and where it goes on." });
