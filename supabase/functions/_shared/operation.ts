/**
 * The operation as the API answers it: alone, in lists, and in the answer to a report.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Constants } from "./database.types.ts";
import { addedMinutes, assetId, instantOut, key, minutes, quantity, text, versionFields } from "./fields.ts";

/** The closed sets of the database. */
const { action, change_type, hold_kind, status } = Constants.public.Enums;

export const Status = z.enum(status).openapi(
  "Status",
  {
    description: "Status of the operation. FINISHED and CANCELLED are final.",
    example: "RELEASED",
  },
);

export const ChangeType = z.enum(change_type).openapi("ChangeType", {
  description: "Kind of a change in the source system.",
  example: "INSERT",
});

export const HoldKind = z.enum(hold_kind).openapi("HoldKind", {
  description: "PAUSED: an operator stopped the work. BLOCKED: a supervisor has to release the operation.",
  example: "PAUSED",
});

export const Action = z.enum(action).openapi("Action", {
  description: "Action that an event reports.",
  example: "START",
});

export const TransitionAction = z.enum(["RELEASE", "START", "STOP", "COMPLETE", "FINISH", "HOLD", "CANCEL"])
  .openapi("TransitionAction", {
    description: "Action to perform. Report quantities and corrections as events.",
    example: "START",
  });

export const AllowedAction = z.object({
  action: Action,
  allowed: z.boolean().openapi({ description: "True when the caller may perform the action now.", example: false }),
  blocked_by: z.string().nullable().openapi({
    description: "Machine code of the problem that prevents the action; null when it is allowed.",
    example: "workplace_busy",
  }),
}).openapi("AllowedAction", { description: "Whether the caller may perform an action now." });

/** Key of an operation, as in its URL. */
export const operationKey = {
  order_no: key().openapi({ description: "Order number in the ERP.", example: "403860-001" }),
  asset_id: assetId().openapi({ description: "Number of the machine.", example: 1 }),
  operation_no: key().openapi({ description: "Number of the operation within its order.", example: "0010" }),
};

/** Fields of the plan, which the ERP and planners own, without the planned times. */
export const planFields = {
  reference_url: text(2048).nullable().openapi({
    description: "Link to drawings or work instructions, at most 2048 characters.",
    example: "https://dms.example.com/403860",
  }),
  activity_code: key().nullable().openapi({ description: "Code of the activity.", example: "LASER" }),
  activity_description: text(500).nullable().openapi({
    description: "Description of the activity, at most 500 characters.",
    example: "Laser cutting, 3 mm steel",
  }),
  workplace_name: key().nullable().openapi({
    description: "Workplace where the operation is planned. It decides who sees the operation.",
    example: "TruLaser 5060 (L76)",
  }),
  workplace_group: key().nullable().openapi({ description: "Group of interchangeable workplaces.", example: "Laser" }),
  qty_desired: quantity().nullable().openapi({
    description: "Number of good pieces to make; null = no limit.",
    example: 50,
  }),
  t_target_processing_min: minutes().nullable().openapi({
    description: "Planned processing time in minutes.",
    example: 90,
  }),
  t_target_setup_min: minutes().nullable().openapi({ description: "Planned setup time in minutes.", example: 15 }),
  t_target_lead_min: minutes().nullable().openapi({ description: "Planned lead time in minutes.", example: 120 }),
  t_target_per_piece_min: minutes().nullable().openapi({
    description: "Planned minutes per piece run; null = t_target_processing_min / qty_desired. Reports measure by it.",
    example: 0.8,
  }),
};

export const overrunTolerance = () =>
  z.number().min(0).max(100).openapi({
    description: "Overrun of good pieces that is allowed, in percent of qty_desired, 0 to 100.",
    example: 5,
  });

/** Fields of the execution, as a client may set them. */
export const executionFields = {
  qty_processed: quantity().openapi({ description: "Pieces processed, scrap included.", example: 25 }),
  qty_scrap: quantity().openapi({ description: "Scrapped pieces among the processed ones.", example: 2 }),
  t_actual_processing_min: addedMinutes().nullable().openapi({
    description: "Actual processing time in minutes: the sum of the PROCESSING runs, the open one included.",
    example: 84.5,
  }),
  t_actual_setup_min: addedMinutes().nullable().openapi({
    description: "Actual setup time in minutes: the sum of the SETUP runs, the open one included.",
    example: 12,
  }),
  t_actual_lead_min: addedMinutes().nullable().openapi({
    description: "Minutes from actual start to actual end.",
    example: 110,
  }),
};

/** Answered minutes are sums of set minutes and of runs, so they have a higher maximum. */
const summed = (minutes: typeof executionFields.t_actual_lead_min) => minutes.openapi({ maximum: 999_999_999 });

export const Operation = z.object({
  ...operationKey,
  ...planFields,
  status: Status,
  hold_kind: HoldKind.nullable().openapi({
    description: "Kind of the hold while the status is ON_HOLD; else null.",
    example: null,
  }),
  hold_reason_code: key().nullable().openapi({ description: "Reason code of the pause or the block.", example: null }),
  ...executionFields,
  t_actual_processing_min: summed(executionFields.t_actual_processing_min),
  t_actual_setup_min: summed(executionFields.t_actual_setup_min),
  t_actual_lead_min: summed(executionFields.t_actual_lead_min),
  qty_good: quantity().openapi({ description: "Good pieces: processed minus scrapped.", example: 23 }),
  qty_parked: quantity().openapi({
    description: "Pieces counted beyond what the operation may have, in no total until a supervisor settles them.",
    example: 0,
  }),
  overrun_tolerance_pct: overrunTolerance(),
  planned_start_at: instantOut().nullable().openapi({
    description: "Planned start.",
    example: "2026-11-23T08:00:00.000Z",
  }),
  planned_end_at: instantOut().nullable().openapi({ description: "Planned end.", example: "2026-11-23T10:00:00.000Z" }),
  actual_start_at: instantOut().nullable().openapi({
    description: "Start of the first run.",
    example: "2026-11-23T08:15:00.000Z",
  }),
  actual_end_at: instantOut().nullable().openapi({
    description: "When the operation was finished, or was cancelled after it ran.",
    example: null,
  }),
  timestamp_ms: instantOut().nullable().openapi({
    description: "Time of the last change in the source system.",
    example: "2026-11-22T15:00:00.000Z",
  }),
  change_type: ChangeType.nullable().openapi({
    description: "Kind of the last change in the source system.",
    example: "INSERT",
  }),
  source_conflict: z.boolean().openapi({
    description: "True when the source system deleted or cancelled the operation although work had begun.",
    example: false,
  }),
  ...versionFields,
}).openapi("Operation", {
  description: "One operation of an order on a machine at a workplace: its plan and its execution.",
});

export const OperationWithActions = Operation.extend({
  allowed_actions: z.array(AllowedAction).openapi({
    description: "Actions that the caller may perform now, and the problem that prevents each of the others.",
  }),
}).openapi("OperationWithActions", { description: "An operation, with the actions that the caller may perform now." });

export type Operation = z.infer<typeof Operation>;
export type OperationWithActions = z.infer<typeof OperationWithActions>;
