/**
 * The event as the API answers it: alone, in lists, and as the answer to a report or a step.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { instantOut, key, text } from "./fields.ts";
import { Action, operationKey, OperationWithActions, Status } from "./operation.ts";

export const Phase = z.enum(["SETUP", "PROCESSING"]).openapi("Phase", {
  description: "Kind of work: preparing the machine, or making pieces.",
  example: "PROCESSING",
});

export const Event = z.object({
  id: z.guid().openapi({ description: "Id of the event.", example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10" }),
  pos: z.int().min(1).nullable().openapi({
    description: "Position in the feed; null in the answer to its own report.",
    example: 4711,
  }),
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
  reverses_event_id: z.guid().nullable().openapi({ description: "Event that a REVERSE takes back.", example: null }),
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
  user_id: z.guid().nullable().openapi({
    description: "User who reported; null for a server that named none.",
    example: null,
  }),
  user_email: z.string().nullable().openapi({
    description: "Address of that user at the time; null once the person is forgotten.",
    example: null,
  }),
  webhook_success: z.boolean().openapi({
    description: "True once all webhooks of the event are delivered.",
    example: false,
  }),
  webhook_response: z.string().nullable().openapi({
    description:
      "Last answer of a webhook: its status and first 500 characters. For managers and above; null for others and in streams.",
    example: null,
  }),
  error_message: z.string().nullable().openapi({
    description: "Last delivery error of a webhook, likewise.",
    example: null,
  }),
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
