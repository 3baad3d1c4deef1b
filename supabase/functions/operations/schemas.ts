/**
 * Requests of the resource `operations`. The operation itself is in ../_shared/operation.ts, because reports answer it
 * too.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ItemAnswer } from "../_shared/batch.ts";
import type { Answer, Page } from "../_shared/database.ts";
import { assetId, instant, key, keySchema, reportFields } from "../_shared/fields.ts";
import { csvQuery } from "../_shared/csv.ts";
import { listQuery, repeatable } from "../_shared/lists.ts";
import {
  ChangeType,
  executionFields,
  operationKey,
  type OperationWithActions,
  overrunTolerance,
  planFields,
  Status,
} from "../_shared/operation.ts";
import { inBody, inQuery, operationFilters, OperationSort } from "../_shared/operation_filters.ts";
import { Run } from "../_shared/run.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    create_operation: Answer<OperationWithActions>;
    update_operation: Answer<OperationWithActions>;
    delete_operation: undefined;
    update_operations: Answer<ItemAnswer[]>;
    list_runs: Run[];
    list_all_runs: Page<PlacedRun>;
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
    description: "Planned end, later than the planned start.",
    example: "2026-11-24T10:00:00Z",
  }),
};

const actualTimes = {
  actual_start_at: instant().nullable().openapi({
    description: "Actual start: the start of the first run.",
    example: "2026-11-20T08:15:00Z",
  }),
  actual_end_at: instant().nullable().openapi({
    description: "Actual end of the work.",
    example: "2026-11-20T10:05:00Z",
  }),
};

const source = {
  timestamp_ms: instant().nullable().openapi({
    description: "Time of the change in the source system, at most 24 h ahead of the server's clock.",
    example: "2026-11-22T15:00:00Z",
  }),
  change_type: ChangeType.nullable().openapi({
    description: "Kind of the change in the source system.",
    example: "UPDATE",
  }),
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
    "A new operation, PLANNED or RELEASED. An operation with another status, quantities or actual times gets an opening event that explains them.",
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
    description: "Actual start. It moves the start of the first run, if there is one.",
    example: "2026-11-20T08:15:00Z",
  }),
  actual_end_at: instant().openapi({
    description: "Actual end of the work, together with the status FINISHED or CANCELLED, or after it.",
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
    description: "Actual lead time in minutes, when start or end is unknown.",
    example: 110,
  }),
  ...source,
  reason_code: key().openapi({
    description: "Reason code of a new status that needs one; UNSPECIFIED by default.",
    example: "MATERIAL",
  }),
  note: reportFields.note,
}).partial().refine((patch) => Object.keys(patch).some((name) => name !== "reason_code" && name !== "note"), {
  error: "must change at least one field: a reason and a note go with a change",
  when: ({ issues }) => issues.length === 0,
}).openapi(
  "OperationUpdate",
  {
    description:
      "New values of the operation. The server sets fields of the plan, and records events for status, quantities and actual times.",
    minProperties: 1,
    example: { qty_processed: 25, timestamp_ms: "2026-11-23T09:00:00Z", change_type: "UPDATE" },
  },
);

export const OperationQuery = z.strictObject(operationFilters(inQuery)).partial().extend({
  // a default would be filled in by Swagger UI
  sort: OperationSort.optional().openapi({ example: "planned_start_at" }),
  ...listQuery,
  ...csvQuery("order_no,operation_no,status"),
});

export const PlacedRun = z.object({
  ...operationKey,
  workplace_name: key().nullable().openapi({
    description: "Workplace where the run was started. The plan may have moved the operation since.",
    example: "TruLaser 5060 (L76)",
  }),
  ...Run.shape,
}).openapi("PlacedRun", { description: "An uninterrupted stretch of work, with its operation and workplace." });

export type PlacedRun = z.infer<typeof PlacedRun>;

export const RunQuery = z.strictObject({
  workplace_name: repeatable(key(), keySchema).openapi({
    description: "Workplaces where the runs were started. Repeat the parameter for several.",
    example: ["TruLaser 5060 (L76)"],
  }),
  from: instant().openapi({
    description: "Start of the window: runs that end after it, and open ones.",
    example: "2026-11-23T00:00:00Z",
  }),
  to: instant().openapi({
    description: "End of the window: runs that start before it.",
    example: "2026-11-24T00:00:00Z",
  }),
}).partial().extend({ ...listQuery, ...csvQuery("order_no,started_at,duration_min") });

export const BulkUpdate = z.strictObject({
  filter: z.strictObject(operationFilters(inBody)).partial()
    .refine((filter) => Object.keys(filter).length > 0, "must have at least one condition")
    .openapi("OperationFilter", {
      description: "Filter of operations, with at least one condition. An operation has to match all conditions.",
      minProperties: 1,
    }),
  patch: OperationUpdate,
  dry_run: z.boolean().default(true).openapi({
    description: "False: the server changes the operations. True: the answer shows what would happen.",
    example: true,
  }),
}).openapi("BulkUpdate", {
  description: "One change of many operations.",
  example: { filter: { order_no: "403860-001", status: ["PLANNED"] }, patch: { status: "RELEASED" }, dry_run: true },
});
