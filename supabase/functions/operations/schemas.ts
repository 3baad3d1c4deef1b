/**
 * What clients send about operations. What they get is in ../_shared/operation.ts, since reports answer it too.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { assetId, instant, key, text } from "../_shared/fields.ts";
import { listQuery, repeatable } from "../_shared/lists.ts";
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
    example: "2026-11-23T08:15:00Z",
  }),
  actual_end_at: instant().nullable().openapi({ description: "End of the work.", example: "2026-11-23T10:05:00Z" }),
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
    example: "2026-11-23T08:15:00Z",
  }),
  actual_end_at: instant().openapi({
    description: "End of the work, with status FINISHED or CANCELLED or after it.",
    example: "2026-11-23T10:05:00Z",
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
}).partial().refine((patch) => Object.keys(patch).length > 0, {
  error: "must have at least one field",
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

const flag = z.enum(["true", "false"]).transform((value) => value === "true");

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
    items: { type: "string", minLength: 1, maxLength: 64 },
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
  q: key().openapi({
    description: "Beginning of the order number, or of the description in any case.",
    example: "4038",
  }),
}).partial().extend(listQuery);
