/**
 * Reports and transitions as clients send them.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer } from "./database.ts";
import { OperationData, Phase, type ReportedEvent } from "./event.ts";
import { addedMinutes, assetId, eventId, instant, key, quantity, reportFields, text, userId } from "./fields.ts";
import { operationKey, TransitionAction } from "./operation.ts";

declare module "./database.ts" {
  interface Answers {
    report_event: Answer<ReportedEvent>;
    transition_operation: Answer<ReportedEvent>;
  }
}

const maxDataBytes = 16 * 1024;

/** Returns whether the text has at most so many bytes of UTF-8, which has 1 to 3 for each UTF-16 unit. */
const fits = (text: string, maxBytes: number) =>
  3 * text.length <= maxBytes || (text.length <= maxBytes && new TextEncoder().encode(text).length <= maxBytes);

const operationData = () =>
  OperationData.refine((data) => fits(JSON.stringify(data), maxDataBytes), "must be at most 16 KiB of JSON").nullable();

/** Fields of every report. */
const subject = {
  order_no: operationKey.order_no,
  operation_no: operationKey.operation_no,
  workplace_name: key().openapi({ description: "Workplace of the operation.", example: "TruLaser 5060 (L76)" }),
  asset_id: assetId().optional().openapi({
    description: "Number of the machine. Required when the order has the operation on several machines.",
    example: 1,
  }),
  id: eventId("Id that the terminal generates. The same report sent again with the same id is the same event.")
    .optional(),
  ...reportFields,
  operation_data: operationData().optional(),
  user_id: userId("User who reports. With a user's token only that user, with the secret key any user.").nullable()
    .optional(),
  user_email: text(320).nullable().optional().openapi({
    description: "E-mail address of the user who reports, under the same rule as user_id.",
    example: "operator@example.com",
  }),
};

const reason = (kind: string) =>
  key().optional().openapi({ description: `Reason code of kind ${kind}.`, example: "MATERIAL" });

const Overrun = z.enum(["refuse", "park"]).openapi("Overrun", {
  description: "What becomes of good pieces beyond what the operation may have: `refuse` rejects the report, `park` " +
    "books what fits and keeps the rest as qty_parked. Default: refuse.",
  example: "park",
});

const quantities = {
  qty_good: quantity().optional().openapi({ description: "Good pieces made since the last report.", example: 10 }),
  qty_scrap: quantity().optional().openapi({ description: "Pieces scrapped since the last report.", example: 1 }),
  overrun: Overrun.optional(),
};

const difference = () => z.int().min(-2_147_483_647).max(2_147_483_647).optional();

const action = <Name extends string>(name: Name) =>
  z.literal(name).openapi({ description: "Action that the event reports.", example: name });

/** A report takes the fields that its action uses. Any other field is rejected. */
export const Report = z.discriminatedUnion("action_type", [
  z.strictObject({
    action_type: action("START"),
    ...subject,
    phase: Phase.optional().openapi({ description: "Phase that begins; PROCESSING by default.", example: "SETUP" }),
  }).openapi("StartReport", { description: "Work begins, resumes, or changes its phase." }),
  z.strictObject({ action_type: action("STOP"), ...subject, reason_code: reason("STOP") })
    .openapi("StopReport", { description: "Work pauses. Any operator can resume it." }),
  z.strictObject({ action_type: action("REPORT_QUANTITY"), ...subject, ...quantities, reason_code: reason("SCRAP") })
    .openapi("QuantityReport", { description: "Pieces were made or scrapped." }),
  z.strictObject({ action_type: action("COMPLETE"), ...subject, ...quantities, reason_code: reason("SHORTFALL") })
    .openapi("CompleteReport", {
      description:
        "All pieces are done. Books the given pieces, or all missing pieces as good, and finishes the operation.",
    }),
  z.strictObject({ action_type: action("FINISH"), ...subject, reason_code: reason("SHORTFALL") })
    .openapi("FinishReport", {
      description: "Finishes the operation with the pieces reported so far. A shortfall needs a reason.",
    }),
  z.strictObject({ action_type: action("RELEASE"), ...subject })
    .openapi("ReleaseReport", {
      description: "For supervisors. Permits the start of the operation, or ends its block.",
    }),
  z.strictObject({ action_type: action("HOLD"), ...subject, reason_code: reason("HOLD") })
    .openapi("HoldReport", { description: "For supervisors. Blocks the operation until a RELEASE; needs a reason." }),
  z.strictObject({ action_type: action("CANCEL"), ...subject, reason_code: reason("CANCEL") })
    .openapi("CancelReport", {
      description: "For supervisors. Cancels the operation, before or after work began; needs a reason.",
    }),
  z.strictObject({
    action_type: action("REVERSE"),
    ...subject,
    reverses_event_id: eventId("REPORT_QUANTITY or COMPLETE of this operation whose pieces are reversed."),
    qty_good: quantity().optional().openapi({
      description: "Good pieces to reverse. Without quantities, all remaining pieces of the event are reversed.",
      example: 3,
    }),
    qty_scrap: quantity().optional().openapi({ description: "Scrapped pieces to reverse.", example: 0 }),
  }).openapi("ReverseReport", {
    description:
      "Reverses all or part of a reported quantity. A finished operation is reopened, which needs a supervisor.",
  }),
  z.strictObject({
    action_type: action("CORRECT"),
    ...subject,
    qty_good: difference().openapi({
      description: "Difference to add to the good pieces: positive or negative.",
      example: -2,
    }),
    qty_scrap: difference().openapi({
      description: "Difference to add to the scrapped pieces: positive or negative.",
      example: 2,
    }),
    qty_parked: z.int().min(-2_147_483_647).max(0).optional().openapi({
      description:
        "Difference to add to the parked pieces, negative: settles them as qty_good or qty_scrap say, or drops them.",
      example: -2,
    }),
    actual_start_at: instant().optional().openapi({
      description: "Actual start of the work.",
      example: "2026-11-23T08:10:00Z",
    }),
    actual_end_at: instant().optional().openapi({
      description: "Actual end of the work, for a finished operation.",
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
      description: "Actual lead time in minutes, when start or end is unknown.",
      example: 110,
    }),
  }).openapi("CorrectReport", {
    description: "For supervisors. Corrects reported values. The event holds each value before and after.",
  }),
]).openapi("Report", {
  description: "What happened to an operation. Fields that the action does not use are rejected.",
  example: {
    action_type: "START",
    order_no: "403860-001",
    operation_no: "0010",
    workplace_name: "TruLaser 5060 (L76)",
  },
});

export const Transition = z.strictObject({
  action: TransitionAction,
  reason_code: key().optional().openapi({
    description:
      "Reason code. Required for HOLD and CANCEL, and for COMPLETE or FINISH with fewer good pieces than desired.",
    example: "QUALITY",
  }),
  ...reportFields,
}).openapi("Transition", { description: "A transition of the lifecycle.", example: { action: "START" } });
