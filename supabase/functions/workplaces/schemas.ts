/**
 * Workplaces: where operations run, and how many at once.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { csvQuery } from "../_shared/csv.ts";
import { Constants } from "../_shared/database.types.ts";
import { eventId, instant, key, patchOf, versionFields } from "../_shared/fields.ts";
import { flag, listQuery, prefix } from "../_shared/lists.ts";
import { Operation } from "../_shared/operation.ts";
import { MachineState, MachineStateNow, WorkplaceStop } from "../_shared/workplace_now.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_workplace: WorkplaceNow;
    list_workplaces: Page<ListedWorkplace>;
    create_workplace: Answer<Workplace>;
    update_workplace: Answer<Workplace>;
    delete_workplace: undefined;
    report_machine_state: Answer<SignalledWorkplace>;
  }
}

const name = () => key().openapi({ description: "Name on the shop floor.", example: "TruLaser 5060 (L76)" });

const TimeBasis = z.enum(Constants.public.Enums.time_basis).openapi("TimeBasis", {
  description:
    "How reports count the time in which operations overlap. UNIT: once. SLOTS: for each of `capacity` places.",
  example: "UNIT",
});

const fields = {
  workplace_group: key().nullable().openapi({ description: "Group of interchangeable workplaces.", example: "Laser" }),
  capacity: z.int().min(1).max(2_147_483_647).nullable().openapi({
    description: "Largest number of operations that may run at the same time; null = no limit.",
    example: 1,
  }),
  active: z.boolean().openapi({ description: "False when the workplace is no longer used.", example: true }),
  calendar_name: key().nullable().openapi({
    description: "Calendar by which the workplace plans to work; null = none, and no planned time in reports.",
    example: "Two shifts",
  }),
  time_basis: TimeBasis,
  micro_stop_s: z.int().min(0).max(86_400).openapi({
    description: "Seconds for which the machine may be DOWN without that being a downtime; by default 0.",
    example: 120,
  }),
  signal_timeout_s: z.int().min(1).max(86_400).nullable().openapi({
    description: "Seconds without a signal after which the state of the machine is UNKNOWN; null = never.",
    example: 300,
  }),
};

export const Workplace = z.object({
  name: name(),
  ...fields,
  ...versionFields,
}).openapi("Workplace", { description: "A machine, a cell or a bench." });

const nowFields = {
  stopped_by: z.union([WorkplaceStop, z.null()]).openapi({
    description: "What stops the workplace now; null when nothing does, or the caller does not see it.",
  }),
  machine_state: z.union([MachineStateNow, z.null()]).openapi({
    description: "State of the machine; null before its first signal, or when the caller does not see it.",
  }),
};

export const WorkplaceNow = Workplace.extend({
  running_operations: z.array(Operation).openapi({
    description: "Operations that run there now and that the caller sees, the longest first.",
  }),
  ...nowFields,
}).openapi("WorkplaceNow", {
  description: "A workplace, with the operations that run there, what stops it and the state of its machine.",
});

export const SignalledWorkplace = z.object({ workplace_name: name(), ...nowFields }).openapi("SignalledWorkplace", {
  description: "A workplace after a signal of its machine.",
});

export const MachineSignal = z.strictObject({
  state: MachineState,
  occurred_at: instant().optional().openapi({
    description: "When the state began, or was seen again; the server's time by default.",
    example: "2026-11-23T08:15:00Z",
  }),
  id: eventId("Id that the machine generates. The same signal sent again with the same id has no second effect.")
    .optional(),
}).openapi("MachineSignal", { description: "What a machine says of itself.", example: { state: "DOWN" } });

export const ListedWorkplace = Workplace.extend({
  running_operations: z.array(Operation).optional().openapi({
    description: "With `include=running`: operations that run there now and that the caller sees, the longest first, " +
      "at most 100.",
  }),
}).openapi("ListedWorkplace", { description: "A workplace of a list." });

export type Workplace = z.infer<typeof Workplace>;
export type ListedWorkplace = z.infer<typeof ListedWorkplace>;
export type SignalledWorkplace = z.infer<typeof SignalledWorkplace>;
export type WorkplaceNow = z.infer<typeof WorkplaceNow>;

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
  include: z.enum(["running"]).openapi({
    description: "`running`: each workplace has the operations that run there now.",
    example: "running",
  }),
}).partial().extend({ ...listQuery, ...csvQuery("name,workplace_group,capacity") });

export const QueueQuery = z.strictObject({ limit: listQuery.limit });
