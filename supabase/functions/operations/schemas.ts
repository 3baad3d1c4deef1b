/**
 * What clients send about operations. What they get is in ../_shared/operation.ts, since reports answer it too.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ItemAnswer } from "../_shared/batch.ts";
import type { Answer, Page } from "../_shared/database.ts";
import { Phase, type ReportedEvent } from "../_shared/event.ts";
import { assetId, instant, instantOut, key, keySchema, text } from "../_shared/fields.ts";
import { flag, listQuery, repeatable } from "../_shared/lists.ts";
import {
  ChangeType,
  executionFields,
  type Operation,
  operationKey,
  type OperationWithActions,
  overrunTolerance,
  planFields,
  Status,
} from "../_shared/operation.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_operation: OperationWithActions;
    list_operations: Page<Operation>;
    create_operation: Answer<OperationWithActions>;
    update_operation: Answer<OperationWithActions>;
    delete_operation: undefined;
    update_operations: Answer<ItemAnswer[]>;
    import_operations: Answer<ItemAnswer[]>;
    transition_operation: Answer<ReportedEvent>;
    list_runs: Run[];
  }
}

export const OperationKey = z.object({
  ...operationKey,
  asset_id: z.string().regex(/^[1-9]\d{0,9}$/, "must be a number greater than 0").transform(Number).pipe(assetId())
    .openapi({
      type: "integer",
      minimum: 1,
      maximum: 2_147_483_647,
      description: "Number of the machine.",
      example: 1,
    }),
});

const plannedTimes = {
  planned_start_at: instant().nullable().openapi({ description: "Planned start.", example: "2026-11-24T08:00:00Z" }),
  planned_end_at: instant().nullable().openapi({
    description: "Planned end, later than the start.",
    example: "2026-11-24T10:00:00Z",
  }),
};

const actualTimes = {
  actual_start_at: instant().nullable().openapi({
    description: "Start of the first run.",
    example: "2026-11-20T08:15:00Z",
  }),
  actual_end_at: instant().nullable().openapi({ description: "End of the work.", example: "2026-11-20T10:05:00Z" }),
};

const source = {
  timestamp_ms: instant().nullable().openapi({
    description: "When the source system made this change.",
    example: "2026-11-22T15:00:00Z",
  }),
  change_type: ChangeType.nullable().openapi({ description: "Kind of the source system's change.", example: "UPDATE" }),
};

export const OperationCreate = z.strictObject({
  ...operationKey,
  ...z.object({
    ...planFields,
    ...plannedTimes,
    overrun_tolerance_pct: overrunTolerance(),
    status: Status,
    ...executionFields,
    ...actualTimes,
    ...source,
  }).partial().shape,
}).openapi("OperationCreate", {
  description:
    "A new operation. Begins PLANNED or RELEASED; one that brings another status, quantities or actual times begins with an event that explains them.",
  example: {
    order_no: "404100-001",
    asset_id: 1,
    operation_no: "0020",
    workplace_name: "TruLaser 5060 (L76)",
    activity_code: "LASER",
    status: "RELEASED",
    qty_desired: 50,
    planned_start_at: "2026-11-24T08:00:00Z",
    planned_end_at: "2026-11-24T10:00:00Z",
  },
});

export const OperationUpdate = z.strictObject({
  ...planFields,
  ...plannedTimes,
  overrun_tolerance_pct: overrunTolerance(),
  status: Status,
  ...executionFields,
  actual_start_at: instant().openapi({
    description: "Start of the first run; moves it when there was one.",
    example: "2026-11-20T08:15:00Z",
  }),
  actual_end_at: instant().openapi({
    description: "End of the work, with status FINISHED or CANCELLED or after it.",
    example: "2026-11-20T10:05:00Z",
  }),
  t_actual_processing_min: executionFields.t_actual_processing_min.unwrap().openapi({
    description: "Actual processing time in minutes, as a correction.",
    example: 84.5,
  }),
  t_actual_setup_min: executionFields.t_actual_setup_min.unwrap().openapi({
    description: "Actual setup time in minutes, as a correction.",
    example: 12,
  }),
  t_actual_lead_min: executionFields.t_actual_lead_min.unwrap().openapi({
    description: "Actual lead time in minutes, where start or end is not known.",
    example: 110,
  }),
  ...source,
  reason_code: key().openapi({
    description: "Why, for a new status that needs a reason; UNSPECIFIED when left out.",
    example: "MATERIAL",
  }),
  note: text(2000).openapi({
    description: "Words for the event log, at most 2000 characters.",
    example: "Material ran out",
  }),
}).partial().refine((patch) => Object.keys(patch).some((name) => name !== "reason_code" && name !== "note"), {
  error: "must change at least one field: a reason and a note go with a change",
  when: ({ issues }) => issues.length === 0,
}).openapi(
  "OperationUpdate",
  {
    description:
      "What shall be so afterwards. Plan fields are set; status, quantities and actual times are recorded as the events that lead there.",
    minProperties: 1,
    example: { qty_processed: 25, timestamp_ms: "2026-11-23T09:00:00Z", change_type: "UPDATE" },
  },
);

export const OperationQuery = z.strictObject({
  status: repeatable(Status).openapi({
    type: "array",
    items: { $ref: "#/components/schemas/Status" },
    minItems: 1,
    maxItems: 100,
    description: "Statuses to list; repeat the parameter for several.",
    example: ["IN_PROGRESS"],
  }),
  workplace_name: repeatable(key()).openapi({
    type: "array",
    items: keySchema,
    minItems: 1,
    maxItems: 100,
    description: "Workplaces to list; repeat the parameter for several.",
    example: ["TruLaser 5060 (L76)"],
  }),
  workplace_group: key().openapi({ description: "Group of workplaces.", example: "Laser" }),
  order_no: key().openapi({ description: "Order number.", example: "403860-001" }),
  activity_code: key().openapi({ description: "Activity.", example: "LASER" }),
  planned_start_after: instant().openapi({
    description: "Planned to start then or later.",
    example: "2026-11-23T00:00:00Z",
  }),
  planned_start_before: instant().openapi({ description: "Planned to start before.", example: "2026-11-24T00:00:00Z" }),
  has_remaining_qty: flag.openapi({
    type: "boolean",
    description: "True: not final, with fewer good pieces than desired. False: all others.",
    example: true,
  }),
  is_overdue: flag.openapi({
    type: "boolean",
    description: "True: not final although the planned end has passed. False: all others.",
    example: true,
  }),
  open_longer_than_h: z.string().regex(/^\d{1,5}(\.\d{1,3})?$/, "must be a number of hours").transform(Number).openapi({
    type: "number",
    minimum: 0,
    maximum: 99_999,
    description:
      "Running without an end for longer than this many hours: runs that somebody may have forgotten to stop.",
    example: 12,
  }),
  q: key().openapi({
    description: "Beginning of the order number, or of the description in any case.",
    example: "4038",
  }),
}).partial().extend(listQuery);

export const Step = z.strictObject({
  action: z.enum(["RELEASE", "START", "STOP", "COMPLETE", "FINISH", "HOLD", "CANCEL"]).openapi({
    description: "Step to take; quantities and corrections are reported as events.",
    example: "RELEASE",
  }),
  reason_code: key().optional().openapi({
    description: "Why: required for HOLD and CANCEL, and for a COMPLETE or FINISH short of the desired quantity.",
    example: "QUALITY",
  }),
  note: text(2000).optional().openapi({
    description: "Words for the event log, at most 2000 characters.",
    example: "Waiting for inspection",
  }),
  occurred_at: instant().optional().openapi({
    description: "When it happened; now when left out.",
    example: "2026-11-20T08:15:00Z",
  }),
  dry_run: z.boolean().optional().openapi({
    description: "True: answer what would happen, change nothing.",
    example: false,
  }),
}).openapi("Step", { description: "A step in the lifecycle.", example: { action: "RELEASE" } });

export const Run = z.object({
  run_no: z.int().min(1).openapi({ description: "Number within the operation: 1, 2, 3, ...", example: 1 }),
  phase: Phase,
  started_at: instantOut().openapi({ description: "When work began.", example: "2026-11-23T08:15:00.000Z" }),
  ended_at: instantOut().nullable().openapi({ description: "When it ceased; null while it runs.", example: null }),
  duration_min: z.number().min(0).openapi({
    description: "Duration in minutes; of the open run as far as it has come.",
    example: 42.5,
  }),
  start_event_id: z.guid().openapi({
    description: "Event that opened it.",
    example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10",
  }),
  end_event_id: z.guid().nullable().openapi({ description: "Event that closed it.", example: null }),
  user_id: z.guid().nullable().openapi({ description: "Who opened it; null for a server.", example: null }),
  user_email: z.string().nullable().openapi({ description: "Address of that user at the time.", example: null }),
}).openapi("Run", { description: "An uninterrupted stretch of work." });

export type Run = z.infer<typeof Run>;

/** Most rows of one import. */
export const maxRows = 1_000;

/** A row as the ERP sends it. */
export const importExample = {
  order_no: "404200-001",
  asset_id: 1,
  operation_no: "0010",
  workplace_name: "TruLaser 5060 (L76)",
  activity_code: "LASER",
  status: "RELEASED",
  qty_desired: 50,
  timestamp_ms: "2026-11-22T15:00:00Z",
  change_type: "INSERT",
};

export const ImportRow = z.strictObject({
  // not extended: in the contract, a closed object that is extended refuses every field
  ...OperationCreate.shape,
  status: Status.nullable().optional(),
  qty_processed: executionFields.qty_processed.nullable().optional(),
  qty_scrap: executionFields.qty_scrap.nullable().optional(),
  overrun_tolerance_pct: overrunTolerance().nullable().optional(),
  timestamp_ms: instant().openapi({
    description: "When the source system made this change: newer rows win.",
    example: "2026-11-22T15:00:00Z",
  }),
}).openapi("ImportRow", {
  description:
    "A row of the change feed. Fields that are left out keep their value. Without mode=takeover, status counts as far as RELEASED and CANCELLED, and what happened on the floor is not touched.",
  example: importExample,
});

/** Columns of a CSV that are numbers. */
export const csvNumbers: ReadonlySet<string> = new Set([
  "asset_id",
  "qty_desired",
  "qty_processed",
  "qty_scrap",
  "overrun_tolerance_pct",
  "t_target_processing_min",
  "t_target_setup_min",
  "t_target_lead_min",
  "t_actual_processing_min",
  "t_actual_setup_min",
  "t_actual_lead_min",
]);

export const ImportQuery = z.strictObject({
  mode: z.enum(["update", "takeover"]).default("update").openapi({
    description:
      "`update`: the ERP's plan. `takeover` (managers): rows of the first service with status, quantities and times.",
    example: "update",
  }),
  dry_run: flag.default(false).openapi({
    type: "boolean",
    default: false,
    description: "True: answer what would happen, change nothing.",
    example: true,
  }),
});

export const BulkUpdate = z.strictObject({
  filter: z.strictObject({
    status: z.array(Status).min(1).max(100).openapi({ description: "One of these statuses.", example: ["RELEASED"] }),
    workplace_name: z.array(key()).min(1).max(100).openapi({
      description: "One of these workplaces.",
      example: ["TruLaser 5060 (L76)"],
    }),
    workplace_group: key().openapi({ description: "Group of workplaces.", example: "Laser" }),
    order_no: key().openapi({ description: "Order number.", example: "403860-001" }),
    activity_code: key().openapi({ description: "Activity.", example: "LASER" }),
    planned_start_after: instant().openapi({
      description: "Planned to start then or later.",
      example: "2026-11-23T00:00:00Z",
    }),
    planned_start_before: instant().openapi({
      description: "Planned to start before.",
      example: "2026-11-24T00:00:00Z",
    }),
    has_remaining_qty: z.boolean().openapi({
      description: "Not final, with fewer good pieces than desired; or not so.",
      example: true,
    }),
    is_overdue: z.boolean().openapi({
      description: "Not final although the planned end has passed; or not so.",
      example: true,
    }),
    q: key().openapi({
      description: "Beginning of the order number, or of the description in any case.",
      example: "4038",
    }),
  }).partial().refine((filter) => Object.keys(filter).length > 0, "must have at least one condition").openapi(
    "OperationFilter",
    {
      description: "Which operations: those that meet all conditions, of which there must be one.",
      minProperties: 1,
    },
  ),
  patch: OperationUpdate,
  dry_run: z.boolean().default(true).openapi({
    description: "False: do it. Else tell what would happen.",
    example: true,
  }),
}).openapi("BulkUpdate", {
  description: "One change of many operations.",
  example: { filter: { order_no: "403860-001", status: ["PLANNED"] }, patch: { status: "RELEASED" }, dry_run: true },
});
