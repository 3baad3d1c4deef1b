/**
 * Requests of the resource `operations`. The operation itself is in ../_shared/operation.ts, because reports answer it
 * too.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ItemAnswer } from "../_shared/batch.ts";
import type { Answer, Page } from "../_shared/database.ts";
import { Phase, type ReportedEvent } from "../_shared/event.ts";
import { assetId, eventId, instant, instantOut, key, keySchema, reportFields, userId } from "../_shared/fields.ts";
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
    description: "Time of the change in the source system.",
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

/** Form of a filter: text in a query, JSON in a body. */
interface FilterForm {
  many: <Item extends z.ZodType>(item: Item, items: Parameters<typeof repeatable>[1]) => z.ZodType<z.output<Item>[]>;
  flag: z.ZodType<boolean>;
  hours: z.ZodType<number>;
}

const maxHours = 99_999;

const inQuery: FilterForm = {
  many: repeatable,
  flag,
  hours: z.string().regex(/^\d{1,5}(\.\d{1,3})?$/, "must be a number of hours").transform(Number)
    .openapi({ type: "number", minimum: 0, maximum: maxHours }),
};

const inBody: FilterForm = {
  many: (item) => z.array(item).min(1).max(100),
  flag: z.boolean(),
  hours: z.number().min(0).max(maxHours),
};

/** Filters of operations. An operation has to match all of them. */
const operationFilters = ({ many, flag, hours }: FilterForm) => ({
  status: many(Status, { $ref: "#/components/schemas/Status" }).openapi({
    description: "Statuses. A list takes several by repeating the parameter.",
    example: ["IN_PROGRESS"],
  }),
  workplace_name: many(key(), keySchema).openapi({
    description: "Workplaces. A list takes several by repeating the parameter.",
    example: ["TruLaser 5060 (L76)"],
  }),
  workplace_group: key().openapi({ description: "Group of workplaces.", example: "Laser" }),
  order_no: key().openapi({ description: "Order number.", example: "403860-001" }),
  activity_code: key().openapi({ description: "Code of the activity.", example: "LASER" }),
  planned_start_after: instant().openapi({
    description: "Earliest planned start.",
    example: "2026-11-23T00:00:00Z",
  }),
  planned_start_before: instant().openapi({
    description: "Time before which the planned start lies.",
    example: "2026-11-24T00:00:00Z",
  }),
  has_remaining_qty: flag.openapi({
    description: "True: open operations with fewer good pieces than desired. False: all others.",
    example: true,
  }),
  is_overdue: flag.openapi({
    description: "True: open operations whose planned end has passed. False: all others.",
    example: true,
  }),
  open_longer_than_h: hours.openapi({
    description: "Operations whose open run is longer than this number of hours, probably because nobody stopped it.",
    example: 12,
  }),
  q: key().openapi({
    description: "Prefix of the order number, or of the description in any case.",
    example: "4038",
  }),
  has_parked: flag.openapi({
    description:
      "True: operations with pieces that were counted beyond the limit and wait for a supervisor. False: all others.",
    example: true,
  }),
});

const Sort = z.enum([
  "order_no",
  "-order_no",
  "planned_start_at",
  "-planned_start_at",
  "planned_end_at",
  "-planned_end_at",
  "updated_at",
  "-updated_at",
]).openapi("OperationSort", {
  description:
    "Order of a list of operations; `-` = descending. Equal ones, and those of `order_no`, are ordered by order_no, " +
    "operation_no and asset_id. Operations without the time come last in both directions. Default: order_no.",
});

export const OperationQuery = z.strictObject(operationFilters(inQuery)).partial().extend({
  // a default would be filled in by Swagger UI
  sort: Sort.optional().openapi({ example: "planned_start_at" }),
  ...listQuery,
});

const TransitionAction = z.enum(["RELEASE", "START", "STOP", "COMPLETE", "FINISH", "HOLD", "CANCEL"])
  .openapi("TransitionAction", {
    description: "Action to perform. Report quantities and corrections as events.",
    example: "START",
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

export const Run = z.object({
  run_no: z.int().min(1).openapi({ description: "Number of the run within the operation: 1, 2, 3, ...", example: 1 }),
  phase: Phase,
  started_at: instantOut().openapi({ description: "Start of the run.", example: "2026-11-23T08:15:00.000Z" }),
  ended_at: instantOut().nullable().openapi({ description: "End of the run; null while it is open.", example: null }),
  duration_min: z.number().min(0).openapi({
    description: "Duration in minutes; for an open run, until now.",
    example: 42.5,
  }),
  start_event_id: eventId("Event that opened the run."),
  end_event_id: eventId("Event that closed the run; null while it is open.").nullable().openapi({ example: null }),
  user_id: userId("User who opened the run; null for a server.").nullable().openapi({ example: null }),
  user_email: z.string().nullable().openapi({ description: "E-mail address of that user at the time.", example: null }),
}).openapi("Run", { description: "An uninterrupted stretch of work." });

export type Run = z.infer<typeof Run>;

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
