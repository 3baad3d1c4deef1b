/**
 * Events: what clients report, and what they read of it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { assetId, instant, instantOut, key, quantity, text } from "../_shared/fields.ts";
import { listQuery, queryInteger, repeatable } from "../_shared/lists.ts";
import { Action, operationKey, OperationWithActions, Status } from "../_shared/operation.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_event: Event;
    list_events: Page<Event>;
    report_event: Answer<ReportedEvent>;
  }
}

const Phase = z.enum(["SETUP", "PROCESSING"]).openapi("Phase", {
  description: "Kind of work: preparing the machine, or making pieces.",
  example: "PROCESSING",
});

const maxData_bytes = 16 * 1024;

/** The client's own object, stored as it is. */
const operationData = () =>
  z.record(z.string(), z.json())
    .refine(
      (data) => new TextEncoder().encode(JSON.stringify(data)).length <= maxData_bytes,
      "must be at most 16 KiB of JSON",
    )
    .openapi({
      type: "object",
      additionalProperties: true,
      description: "Free JSON object, kept as sent, at most 16 KiB.",
      example: { machine_program: "P-4711" },
    });

export const Event = z.object({
  id: z.uuid().openapi({ description: "Id of the event.", example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10" }),
  action_type: Action,
  ...operationKey,
  workplace_name: key().nullable().openapi({
    description: "Workplace at the time of the event.",
    example: "TruLaser 5060 (L76)",
  }),
  op_seq: z.int().min(1).openapi({
    description: "Position among the events of its operation: 1, 2, 3, ... without gaps.",
    example: 1,
  }),
  status_before: Status.nullable().openapi({
    description: "Status before; null for the opening event of an operation that arrived with work done.",
    example: "RELEASED",
  }),
  status_after: Status,
  occurred_at: instantOut().openapi({ description: "When it happened.", example: "2026-11-23T08:15:00.000Z" }),
  phase: Phase.nullable().openapi({
    description: "What a START begins; null for other actions.",
    example: "PROCESSING",
  }),
  qty_good: z.int().openapi({ description: "Good pieces added; the signed difference for a CORRECT.", example: 0 }),
  qty_scrap: z.int().openapi({
    description: "Scrapped pieces added; the signed difference for a CORRECT.",
    example: 0,
  }),
  reason_code: key().nullable().openapi({ description: "Why, as a reason code.", example: null }),
  note: text(2000).nullable().openapi({ description: "Words of the reporter.", example: null }),
  reverses_event_id: z.uuid().nullable().openapi({ description: "Event that a REVERSE takes back.", example: null }),
  changes: z.record(z.string(), z.object({ before: z.json(), after: z.json() })).nullable().openapi({
    type: ["object", "null"],
    additionalProperties: {
      type: "object",
      properties: { before: { description: "Value before." }, after: { description: "Value after." } },
      required: ["before", "after"],
    },
    description: "What a CORRECT changed, by field; null for other actions.",
    example: null,
  }),
  operation_data: z.record(z.string(), z.json()).nullable().openapi({
    type: ["object", "null"],
    additionalProperties: true,
    description: "The client's own JSON object.",
    example: { machine_program: "P-4711" },
  }),
  user_id: z.uuid().nullable().openapi({
    description: "User who reported; null for a server that named none.",
    example: null,
  }),
  user_email: z.string().nullable().openapi({ description: "Address of that user at the time.", example: null }),
  webhook_success: z.boolean().openapi({
    description: "True once all webhooks of the event are delivered.",
    example: false,
  }),
  webhook_response: z.string().nullable().openapi({ description: "Last answer of a webhook.", example: null }),
  error_message: z.string().nullable().openapi({ description: "Last delivery error of a webhook.", example: null }),
  created_at: instantOut().openapi({
    description: "When the server heard of it.",
    example: "2026-11-23T08:15:00.120Z",
  }),
}).openapi("Event", { description: "Something that happened to an operation. Events are never changed." });

export const ReportedEvent = Event.extend({
  operation: z.union([OperationWithActions, z.null()]).openapi({
    description: "The operation after the event; null when a repeated report's operation is gone.",
  }),
}).openapi("ReportedEvent", { description: "An event, and the operation after it." });

export type Event = z.infer<typeof Event>;
export type ReportedEvent = z.infer<typeof ReportedEvent>;

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
    description: "When it happened; now when left out. At most 60 seconds ahead of the server's clock.",
    example: "2026-11-23T08:15:00Z",
  }),
  note: text(2000).optional().openapi({
    description: "Words for the log, at most 2000 characters.",
    example: "Second shift",
  }),
  operation_data: operationData().nullable().optional(),
  user_id: z.guid().nullable().optional().openapi({
    description: "User who reports: with a user's token only himself, with the secret key any.",
    example: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01",
  }),
  user_email: text(320).nullable().optional().openapi({
    description: "His address, likewise.",
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

/** A report takes the fields that its action uses; any other is refused. */
export const Report = z.discriminatedUnion("action_type", [
  z.strictObject({
    action_type: z.literal("START"),
    ...subject,
    phase: Phase.optional().openapi({ description: "What begins; PROCESSING when left out.", example: "SETUP" }),
  }).openapi("StartReport", { description: "Work begins, resumes, or changes its phase." }),
  z.strictObject({ action_type: z.literal("STOP"), ...subject, reason_code: reason("STOP") })
    .openapi("StopReport", { description: "Work pauses; any operator resumes it." }),
  z.strictObject({ action_type: z.literal("REPORT_QUANTITY"), ...subject, ...quantities, reason_code: reason("SCRAP") })
    .openapi("QuantityReport", { description: "Pieces were made or scrapped." }),
  z.strictObject({ action_type: z.literal("COMPLETE"), ...subject, ...quantities, reason_code: reason("SHORTFALL") })
    .openapi("CompleteReport", {
      description: "All done: books the missing pieces as good, or those given, and closes.",
    }),
  z.strictObject({ action_type: z.literal("FINISH"), ...subject, reason_code: reason("SHORTFALL") })
    .openapi("FinishReport", { description: "Closes as reported so far; a shortfall needs a reason." }),
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
