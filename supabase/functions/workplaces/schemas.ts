/**
 * Workplaces: where operations run, and how many at once.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { key, patchOf, versionFields } from "../_shared/fields.ts";
import { flag, listQuery, prefix } from "../_shared/lists.ts";
import { Operation, OperationWithActions } from "../_shared/operation.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_workplace: WorkplaceNow;
    list_workplaces: Page<Workplace>;
    list_queue: QueuedOperation[];
    create_workplace: Answer<Workplace>;
    update_workplace: Answer<Workplace>;
    delete_workplace: undefined;
  }
}

const name = () => key().openapi({ description: "Name on the shop floor.", example: "TruLaser 5060 (L76)" });

const fields = {
  workplace_group: key().nullable().openapi({ description: "Group of interchangeable workplaces.", example: "Laser" }),
  capacity: z.int().min(1).max(2_147_483_647).nullable().openapi({
    description: "Largest number of operations that may run at the same time; null = no limit.",
    example: 1,
  }),
  active: z.boolean().openapi({ description: "False when the workplace is no longer used.", example: true }),
};

export const Workplace = z.object({
  name: name(),
  ...fields,
  ...versionFields,
}).openapi("Workplace", { description: "A machine, a cell or a bench." });

export const WorkplaceNow = Workplace.extend({
  running_operations: z.array(Operation).openapi({
    description: "Operations that run there now and that the caller sees, the longest first.",
  }),
}).openapi("WorkplaceNow", { description: "A workplace, with the operations that run there." });

// not extended: generators would have to merge two types of workplace_name
export const QueuedOperation = z.object({
  ...OperationWithActions.shape,
  workplace_name: name().openapi({ description: "The workplace of the queue." }),
  blocked_by: z.string().nullable().openapi({
    description:
      "Machine code of the problem that prevents the caller from starting the operation now; null when there is none.",
    example: "workplace_busy",
  }),
}).openapi("QueuedOperation", {
  description: "An open operation of a workplace, with the problem that prevents its start.",
});

export type Workplace = z.infer<typeof Workplace>;
export type WorkplaceNow = z.infer<typeof WorkplaceNow>;
export type QueuedOperation = z.infer<typeof QueuedOperation>;

export const WorkplaceKey = z.object({ name: name() });

export const WorkplaceCreate = z.strictObject({ name: name(), ...z.object(fields).partial().shape }).openapi(
  "WorkplaceCreate",
  {
    description: "A new workplace, by default active and without a limit of operations.",
    example: { name: "TruBend 7036 (B71)", workplace_group: "Bending", capacity: 1 },
  },
);

export const WorkplaceUpdate = patchOf(fields)
  .openapi("WorkplaceUpdate", {
    description: "New values of the workplace.",
    minProperties: 1,
    example: { capacity: 2 },
  });

export const WorkplaceQuery = z.strictObject({
  workplace_group: key().openapi({ description: "Group of workplaces.", example: "Laser" }),
  active: flag.openapi({ description: "True: active workplaces only. False: inactive ones only.", example: true }),
  q: prefix("Prefix of the name, in any case.", "trulaser"),
}).partial().extend(listQuery);

export const QueueQuery = z.strictObject({ limit: listQuery.limit });
