/**
 * The board: what goes on at workplaces now.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Constants } from "../_shared/database.types.ts";
import { Phase } from "../_shared/event.ts";
import { instantOut, key } from "../_shared/fields.ts";
import { Operation } from "../_shared/operation.ts";
import { MachineStateNow, WorkplaceStop } from "../_shared/workplace_now.ts";
import { count, Pieces, ratio, ReportScope, TimeLoss, workplaceName } from "../_shared/plant_reports.ts";
import { places } from "./schemas.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    report_board: Board;
  }
}

export const BoardQuery = z.strictObject({
  ...places,
  workplace_group: places.workplace_group.openapi({
    description: "Group of workplaces. A board ticket has one already.",
  }),
  include: z.enum(["oee"]).optional().openapi({
    description:
      "oee: OEE of the shift that takes place now. It costs as much as a report: ask for it once a minute, and for the rest when something has happened.",
    example: "oee",
  }),
});

const WorkplaceState = z.enum(Constants.public.Enums.workplace_state).openapi("WorkplaceState", {
  description:
    "What the workplace does now, the first that applies: `down` (a downtime is open, or the machine is DOWN), " +
    "`running` (an operation is in PROCESSING), `setup`, `off_shift` (its calendar has no shift now), `paused` or `blocked` " +
    "(work has begun and waits), `unknown` (the machine is silent), `idle`.",
  example: "running",
});

const { order_no, asset_id, operation_no, activity_code, activity_description, ...operation } = Operation.shape;

const BoardOperation = z.object({
  ...{
    order_no,
    asset_id,
    operation_no,
    workplace_name: operation.workplace_name,
    activity_code,
    activity_description,
  },
  status: operation.status,
  hold_kind: operation.hold_kind,
  hold_reason_code: operation.hold_reason_code,
  phase: Phase.nullable().openapi({ description: "Phase of the open run; null while none is open." }),
  running_since: instantOut().nullable().openapi({
    description: "Start of the open run; null while none is open.",
    example: "2026-11-24T08:15:00.000Z",
  }),
  qty_desired: operation.qty_desired,
  qty_good: operation.qty_good,
  qty_scrap: operation.qty_scrap,
  t_target_setup_min: operation.t_target_setup_min,
  t_target_processing_min: operation.t_target_processing_min,
  t_actual_setup_min: operation.t_actual_setup_min,
  t_actual_processing_min: operation.t_actual_processing_min,
  planned_start_at: operation.planned_start_at,
  planned_end_at: operation.planned_end_at,
  expected_end_at: instantOut().nullable().openapi({
    description:
      "When it will be done at its pace: the minutes per good piece so far, or those of the plan before the first one. " +
      "Null when neither tells, and for what does not run.",
    example: "2026-11-24T10:05:00.000Z",
  }),
}).openapi("BoardOperation", { description: "An operation as a board shows it: its plan and its progress." });

const BoardShift = z.object({
  shift_date: z.iso.date().openapi({ description: "Local date on which the shift begins.", example: "2026-11-24" }),
  shift_code: key().openapi({ description: "Code of the shift.", example: "EARLY" }),
  from: instantOut().openapi({ description: "Begin of the shift.", example: "2026-11-24T05:00:00.000Z" }),
  to: instantOut().openapi({ description: "End of the shift.", example: "2026-11-24T13:00:00.000Z" }),
  break_until: instantOut().nullable().openapi({ description: "End of the break of now; null = none.", example: null }),
}).openapi("BoardShift", { description: "The shift that takes place now." });

const BoardStop = z.object({
  ...WorkplaceStop.shape,
  reason_description: z.string().nullable().openapi({ description: "The reason in words.", example: null }),
}).openapi("BoardStop", { description: "What stops the workplace now." });

const BoardOee = z.object({
  from: instantOut().openapi({ description: "Begin of the shift.", example: "2026-11-24T05:00:00.000Z" }),
  to: instantOut().openapi({ description: "Now.", example: "2026-11-24T09:30:00.000Z" }),
  oee: ratio("availability x effectiveness x quality_weighted.", 0.656),
  availability: ratio("APT / PBT.", 0.777778),
  effectiveness: ratio("Target time of the pieces / APT, of operations whose target is known.", 0.868571),
  quality_weighted: ratio("Good pieces / all pieces, each with the weight of its target time.", 0.971053),
  partial: z.boolean().openapi({
    description: "True when the target of some operations is not known.",
    example: false,
  }),
  pieces: Pieces,
  losses: z.array(TimeLoss).openapi({ description: "Lost time by reason, the most first, at most five." }),
  reasons: z.record(z.string(), z.string()).openapi({
    description: "For each ratio that is null, why, as in the report OEE.",
    example: { oee: "no_target_time" },
  }),
}).openapi("BoardOee", { description: "OEE of the shift until now, as the report OEE has it." });

const BoardWorkplace = z.object({
  name: workplaceName(),
  workplace_group: key().nullable().openapi({ description: "Group of interchangeable workplaces.", example: "Laser" }),
  state: WorkplaceState,
  since: instantOut().nullable().openapi({
    description: "Since when; null when nothing tells.",
    example: "2026-11-24T08:15:00.000Z",
  }),
  shift: z.union([BoardShift, z.null()]).openapi({ description: "Null outside of shifts, and without a calendar." }),
  next_shift_at: instantOut().nullable().openapi({
    description: "Outside of shifts: begin of the next one within a week; else null.",
    example: null,
  }),
  running_count: count("Operations that run.", 1),
  running: z.array(BoardOperation).openapi({ description: "What runs, the longest first, at most ten." }),
  next: z.array(BoardOperation).openapi({ description: "The next three of the queue." }),
  stop: z.union([BoardStop, z.null()]).openapi({
    description: "What stops the workplace; without a `reason_code` it is unexplained. Null when nothing does.",
  }),
  machine_state: z.union([MachineStateNow, z.null()]).openapi({
    description: "State of the machine; null before its first signal.",
  }),
  oee: z.union([BoardOee, z.null()]).openapi({
    description: "With `include=oee`, in a shift; else null.",
  }),
}).openapi("BoardWorkplace", { description: "A workplace as a board shows it." });

export const Board = z.object({
  at: instantOut().openapi({ description: "When this was so.", example: "2026-11-24T09:30:00.000Z" }),
  scope: ReportScope,
  workplaces: z.array(BoardWorkplace).openapi({ description: "The workplaces that are in use, by name." }),
  late: z.object({
    count: count("Open operations whose planned end has passed.", 4),
    operations: z.array(BoardOperation).openapi({ description: "The latest of them, at most 20." }),
  }).openapi("BoardLate", { description: "What is late." }),
}).openapi("Board", { description: "What goes on at workplaces now, without the name of a person." });

export type Board = z.infer<typeof Board>;
