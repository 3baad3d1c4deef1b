/**
 * Workplaces: where operations are made, and how many at once.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { instantOut, key } from "../_shared/fields.ts";
import { flag, listQuery } from "../_shared/lists.ts";
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
    description: "Operations that may run here at once; null = no limit.",
    example: 1,
  }),
  active: z.boolean().openapi({ description: "False once the workplace is no longer used.", example: true }),
};

export const Workplace = z.object({
  name: name(),
  ...fields,
  version: z.int().min(1).openapi({ description: "Number of the last change; the ETag.", example: 1 }),
  created_at: instantOut().openapi({ description: "When it was made.", example: "2026-11-22T15:00:01.000Z" }),
  updated_at: instantOut().openapi({ description: "When it last changed.", example: "2026-11-22T15:00:01.000Z" }),
}).openapi("Workplace", { description: "A machine, a cell, a bench." });

export const WorkplaceNow = Workplace.extend({
  running_operations: z.array(Operation).openapi({
    description: "What runs there now, longest first, as far as the caller sees it.",
  }),
}).openapi("WorkplaceNow", { description: "A workplace, and what runs there." });

export const QueuedOperation = OperationWithActions.extend({
  blocked_by: z.string().nullable().openapi({
    description: "Machine code of what keeps the caller from starting it now; null when nothing does.",
    example: "workplace_busy",
  }),
}).openapi("QueuedOperation", {
  description: "An open operation of a workplace, and what stands in the way of its start.",
});

export type Workplace = z.infer<typeof Workplace>;
export type WorkplaceNow = z.infer<typeof WorkplaceNow>;
export type QueuedOperation = z.infer<typeof QueuedOperation>;

export const WorkplaceKey = z.object({ name: name() });

export const WorkplaceCreate = z.strictObject({ name: name(), ...z.object(fields).partial().shape }).openapi(
  "WorkplaceCreate",
  {
    description: "A new workplace, active and without a limit unless said otherwise.",
    example: { name: "TruBend 7036 (B71)", workplace_group: "Bending", capacity: 1 },
  },
);

export const WorkplaceUpdate = z.strictObject(fields).partial()
  .refine((patch) => Object.keys(patch).length > 0, {
    error: "must have at least one field",
    when: ({ issues }) => issues.length === 0,
  })
  .openapi("WorkplaceUpdate", {
    description: "What shall be so afterwards.",
    minProperties: 1,
    example: { capacity: 2 },
  });

export const WorkplaceQuery = z.strictObject({
  workplace_group: key().openapi({ description: "Group.", example: "Laser" }),
  active: flag.openapi({ type: "boolean", description: "Used, or no longer used.", example: true }),
}).partial().extend(listQuery);

export const QueueQuery = z.strictObject({ limit: listQuery.limit });
