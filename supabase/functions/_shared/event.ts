/**
 * The event as the API answers it: alone, in lists, and in the answer to a report or a transition.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Page } from "./database.ts";
import { Constants } from "./database.types.ts";
import { eventId, instantOut, key, text, userId } from "./fields.ts";
import { Action, operationKey, OperationWithActions, Status } from "./operation.ts";
import { NamedPerson } from "./person.ts";

declare module "./database.ts" {
  interface Answers {
    list_events: Page<OperationEvent>;
  }
}

export const Phase = z.enum(Constants.public.Enums.phase).openapi("Phase", {
  description: "Kind of work: SETUP prepares the machine, PROCESSING makes pieces.",
  example: "PROCESSING",
});

/** JSON object of the client. A value read from a body or from the database is JSON: zod does not check it again. */
export const OperationData = z.record(z.string(), z.custom<z.core.util.JSONType>()).openapi("OperationData", {
  type: "object",
  additionalProperties: true,
  description: "JSON object of the client, stored as sent, at most 16 KiB.",
  example: { machine_program: "P-4711" },
});

const FieldChange = z.object({ before: z.json(), after: z.json() }).openapi("FieldChange", {
  type: "object",
  properties: {
    before: { description: "Value before.", example: "2026-11-23T08:15:00.000Z" },
    after: { description: "Value after.", example: "2026-11-23T08:10:00.000Z" },
  },
  required: ["before", "after"],
  description: "Value of a field before and after a correction.",
});

const FieldChanges = z.record(z.string(), FieldChange).openapi("FieldChanges", {
  description: "Corrected fields by name.",
  example: { actual_start_at: { before: "2026-11-23T08:15:00.000Z", after: "2026-11-23T08:10:00.000Z" } },
});

const Reporter = z.object({
  kind: z.enum(["integration"]).openapi({ description: "An API key.", example: "integration" }),
  id: z.guid().openapi({ description: "Id of the key.", example: "9b2c4d1e-6f70-4a85-b3c9-0d1e2f3a4b5c" }),
  name: z.string().openapi({ description: "Name of the key now.", example: "Gateway hall 2" }),
}).openapi("Reporter", { description: "The machine or integration that reported." });

/** Who reported, where it was no user. */
export const ReportedBy = z.union([Reporter, z.null()]).openapi({
  description: "The API key that reported; null for users and for the secret key.",
  example: null,
});

export const OperationEvent = z.object({
  id: eventId("Id of the event."),
  pos: z.int().min(1).nullable().openapi({
    description: "Position in the event feed; null in the answer to the report itself.",
    example: 4711,
  }),
  action_type: Action,
  ...operationKey,
  workplace_name: key().nullable().openapi({
    description: "Workplace at the time of the event.",
    example: "TruLaser 5060 (L76)",
  }),
  op_seq: z.int().min(1).openapi({
    description: "Number of the event within its operation: 1, 2, 3, ... without gaps.",
    example: 1,
  }),
  status_before: Status.nullable().openapi({
    description: "Status before the event; null for the opening event of an operation that was created with work done.",
    example: "RELEASED",
  }),
  status_after: Status,
  occurred_at: instantOut().openapi({ description: "When it happened.", example: "2026-11-23T08:15:00.000Z" }),
  phase: Phase.nullable().openapi({
    description: "Phase that a START begins; null for other actions.",
    example: "PROCESSING",
  }),
  qty_good: z.int().openapi({
    description: "Good pieces as reported: taken back by a REVERSE, the signed difference of a CORRECT, else added.",
    example: 0,
  }),
  qty_scrap: z.int().openapi({ description: "Scrapped pieces as reported, like qty_good.", example: 0 }),
  delta_good: z.int().openapi({
    description: "Good pieces that the event adds to its operation; negative when it takes pieces back. The sum over " +
      "all events of an operation is its qty_good.",
    example: 0,
  }),
  delta_scrap: z.int().openapi({
    description: "Scrapped pieces that the event adds to its operation, like delta_good.",
    example: 0,
  }),
  qty_parked: z.int().openapi({
    description:
      "Good pieces beyond what the operation may have, kept apart by `overrun` park; negative for a CORRECT " +
      "that settles them. In no total.",
    example: 0,
  }),
  reason_code: key().nullable().openapi({ description: "Reason code.", example: null }),
  note: text(2000).nullable().openapi({ description: "Note of the reporter.", example: null }),
  reverses_event_id: eventId("Event that a REVERSE takes back.").nullable().openapi({ example: null }),
  changes: FieldChanges.nullable().openapi({
    description: "Fields that a CORRECT changed; null for other actions.",
    example: null,
  }),
  operation_data: OperationData.nullable(),
  user_id: userId("User who reported; null for an API key, and for a server that named none.").nullable().openapi({
    example: null,
  }),
  user_email: z.string().nullable().openapi({
    description: "E-mail address of that user at the time; null once the person is forgotten.",
    example: null,
  }),
  reported_by: ReportedBy,
  person: z.union([NamedPerson, z.null()]).openapi({
    description: "Person who was signed in at the terminal that reported (`X-Acting-For`); null when nobody was.",
  }),
  webhook_success: z.boolean().openapi({
    description: "True once all webhook deliveries of the event have succeeded.",
    example: false,
  }),
  webhook_response: z.string().nullable().openapi({
    description:
      "Last answer of a webhook receiver: status and first 500 characters. For managers and above; null for others and in streams.",
    example: null,
  }),
  error_message: z.string().nullable().openapi({
    description: "Last delivery error of a webhook. For managers and above; null for others and in streams.",
    example: null,
  }),
  created_at: instantOut().openapi({
    description: "When the server recorded the event.",
    example: "2026-11-23T08:15:00.120Z",
  }),
}).openapi("OperationEvent", { description: "Something that happened to an operation. An event never changes." });

export const ReportedEvent = OperationEvent.extend({
  operation: OperationWithActions,
}).openapi("ReportedEvent", { description: "An event, with the operation after it." });

export type OperationEvent = z.infer<typeof OperationEvent>;
export type ReportedEvent = z.infer<typeof ReportedEvent>;
