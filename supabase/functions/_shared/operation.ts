/**
 * The operation as the API answers it: alone, in lists, and inside the answer to a report.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { addedMinutes, assetId, instantOut, key, minutes, quantity, text } from "./fields.ts";

export const Status = z.enum(["PLANNED", "RELEASED", "IN_PROGRESS", "ON_HOLD", "FINISHED", "CANCELLED"]).openapi(
  "Status",
  {
    description: "Where the operation stands. FINISHED and CANCELLED are final.",
    example: "RELEASED",
  },
);

export const ChangeType = z.enum(["INSERT", "UPDATE", "DELETE"]).openapi("ChangeType", {
  description: "Kind of a change in the source system's feed.",
  example: "INSERT",
});

export const HoldKind = z.enum(["PAUSED", "BLOCKED"]).openapi("HoldKind", {
  description: "PAUSED by an operator, or BLOCKED until a supervisor releases it.",
  example: "PAUSED",
});

export const Action = z.enum([
  "START",
  "STOP",
  "REPORT_QUANTITY",
  "COMPLETE",
  "FINISH",
  "RELEASE",
  "HOLD",
  "CANCEL",
  "REVERSE",
  "CORRECT",
]).openapi("Action", { description: "What happened to the operation.", example: "START" });

export const AllowedAction = z.object({
  action: Action,
  allowed: z.boolean().openapi({ description: "True when the caller may take it now.", example: false }),
  blocked_by: z.string().nullable().openapi({
    description: "Machine code of what stands in the way; null when allowed.",
    example: "workplace_busy",
  }),
}).openapi("AllowedAction", { description: "Whether the caller may take an action now." });

/** The key of an operation, as in its URL. */
export const operationKey = {
  order_no: key().openapi({ description: "Order number of the ERP.", example: "403860-001" }),
  asset_id: assetId().openapi({ description: "Number of the machine.", example: 1 }),
  operation_no: key().openapi({ description: "Number of the operation within its order.", example: "0010" }),
};

/** Fields of the plan, owned by the ERP and by planners, without their times. */
export const planFields = {
  reference_url: text(2048).nullable().openapi({
    description: "Link to drawings or work instructions, at most 2048 characters.",
    example: "https://dms.example.com/403860",
  }),
  activity_code: key().nullable().openapi({ description: "What is done, as a code.", example: "LASER" }),
  activity_description: text(500).nullable().openapi({
    description: "What is done, in words, at most 500 characters.",
    example: "Laser cutting, 3 mm steel",
  }),
  workplace_name: key().nullable().openapi({
    description: "Workplace where it is planned; decides who sees it.",
    example: "TruLaser 5060 (L76)",
  }),
  workplace_group: key().nullable().openapi({ description: "Group of interchangeable workplaces.", example: "Laser" }),
  qty_desired: quantity().nullable().openapi({ description: "Good pieces wanted; null = no limit.", example: 50 }),
  t_target_processing_min: minutes().nullable().openapi({
    description: "Planned processing time in minutes.",
    example: 90,
  }),
  t_target_setup_min: minutes().nullable().openapi({ description: "Planned setup time in minutes.", example: 15 }),
  t_target_lead_min: minutes().nullable().openapi({ description: "Planned lead time in minutes.", example: 120 }),
};

export const overrunTolerance = () =>
  z.number().min(0).max(100).openapi({
    description: "Good pieces allowed beyond the desired ones, in percent of these, 0 to 100.",
    example: 5,
  });

/** Fields of what happened, as a client may state them. */
export const executionFields = {
  qty_processed: quantity().openapi({ description: "All pieces run, scrap included.", example: 25 }),
  qty_scrap: quantity().openapi({ description: "Scrap among the pieces run.", example: 2 }),
  t_actual_processing_min: addedMinutes().nullable().openapi({
    description: "Actual processing time in minutes: the sum of its PROCESSING runs, the open one included.",
    example: 84.5,
  }),
  t_actual_setup_min: addedMinutes().nullable().openapi({
    description: "Actual setup time in minutes: the sum of its SETUP runs, the open one included.",
    example: 12,
  }),
  t_actual_lead_min: addedMinutes().nullable().openapi({
    description: "Minutes from actual start to actual end.",
    example: 110,
  }),
};

/** Answered minutes are sums of what was stated and of runs: more than can be stated. */
const summed = (stated: typeof executionFields.t_actual_lead_min) => stated.openapi({ maximum: 999_999_999 });

export const Operation = z.object({
  ...operationKey,
  ...planFields,
  status: Status,
  hold_kind: HoldKind.nullable().openapi({
    description: "Why it is ON_HOLD: PAUSED by an operator, or BLOCKED until a supervisor releases it; else null.",
    example: null,
  }),
  hold_reason_code: key().nullable().openapi({ description: "Reason code of the pause or the block.", example: null }),
  ...executionFields,
  t_actual_processing_min: summed(executionFields.t_actual_processing_min),
  t_actual_setup_min: summed(executionFields.t_actual_setup_min),
  t_actual_lead_min: summed(executionFields.t_actual_lead_min),
  qty_good: quantity().openapi({ description: "Good pieces: processed less scrap.", example: 23 }),
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
    description: "When it was finished, or cancelled after having run.",
    example: null,
  }),
  timestamp_ms: instantOut().nullable().openapi({
    description: "When the source system made this change.",
    example: "2026-11-22T15:00:00.000Z",
  }),
  change_type: ChangeType.nullable().openapi({
    description: "Kind of the source system's last change.",
    example: "INSERT",
  }),
  source_conflict: z.boolean().openapi({
    description: "True when the source deleted or cancelled it although work had begun.",
    example: false,
  }),
  version: z.int().min(1).openapi({ description: "Number of the last change; the ETag.", example: 3 }),
  created_at: instantOut().openapi({ description: "When the API first knew it.", example: "2026-11-22T15:00:01.000Z" }),
  updated_at: instantOut().openapi({ description: "When it last changed.", example: "2026-11-23T08:15:00.000Z" }),
}).openapi("Operation", {
  description: "One step of an order on a machine at a workplace: its plan and what has happened.",
});

export const OperationWithActions = Operation.extend({
  allowed_actions: z.array(AllowedAction).openapi({
    description: "What the caller may do now, and what stands in the way of the rest.",
  }),
}).openapi("OperationWithActions", { description: "An operation, and what the caller may do to it now." });

export type Operation = z.infer<typeof Operation>;
export type OperationWithActions = z.infer<typeof OperationWithActions>;
