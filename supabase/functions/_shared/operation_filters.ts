/**
 * Filters and orders of operations: those of lists, bulk changes and language models.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Page } from "./database.ts";
import { instant, key, keySchema } from "./fields.ts";
import { flag, repeatable } from "./lists.ts";
import { type Operation, type OperationWithActions, Status } from "./operation.ts";

declare module "./database.ts" {
  interface Answers {
    get_operation: OperationWithActions;
    list_operations: Page<Operation>;
  }
}

/** Form of a filter: text in a query, JSON in a body. */
export interface FilterForm {
  many: <Item extends z.ZodType>(item: Item, items: Parameters<typeof repeatable>[1]) => z.ZodType<z.output<Item>[]>;
  flag: z.ZodType<boolean>;
  hours: z.ZodType<number>;
}

const maxHours = 99_999;

export const inQuery: FilterForm = {
  many: repeatable,
  flag,
  hours: z.string().regex(/^\d{1,5}(\.\d{1,3})?$/, "must be a number of hours").transform(Number)
    .openapi({ type: "number", minimum: 0, maximum: maxHours }),
};

export const inBody: FilterForm = {
  many: (item) => z.array(item).min(1).max(100),
  flag: z.boolean(),
  hours: z.number().min(0).max(maxHours),
};

/** Filters of operations. An operation has to match all of them. */
export const operationFilters = ({ many, flag, hours }: FilterForm) => ({
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
  updated_after: instant().openapi({
    description: "Earliest last change of the operation.",
    example: "2026-11-23T00:00:00Z",
  }),
  source_conflict: flag.openapi({
    description:
      "True: operations that the source system deleted or cancelled although work had begun. False: all others.",
    example: true,
  }),
});

export const OperationSort = z.enum([
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
