/**
 * What goes on at a workplace now: the state of its machine, and what stops it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Constants } from "./database.types.ts";
import { DowntimeCategory, downtimeId, DowntimeSource } from "./downtime.ts";
import { instantOut, key } from "./fields.ts";

export const MachineState = z.enum(Constants.public.Enums.machine_state).openapi("MachineState", {
  description: "State of a machine. UNKNOWN is neither idle nor down.",
  example: "RUNNING",
});

export const MachineStateNow = z.object({
  state: MachineState,
  since: instantOut().openapi({ description: "When this state began.", example: "2026-11-23T08:15:00.000Z" }),
  heard_at: instantOut().openapi({
    description: "Last signal. After `signal_timeout_s` without another one, the state is UNKNOWN.",
    example: "2026-11-23T08:20:00.000Z",
  }),
}).openapi("MachineStateNow", { description: "What the machine said last." });

export const WorkplaceStop = z.object({
  downtime_id: downtimeId(
    "The open downtime; null for a machine that is DOWN for longer than `micro_stop_s` and has not signalled since.",
  ).nullable(),
  category: DowntimeCategory,
  reason_code: key().nullable().openapi({ description: "Why; null = unexplained.", example: null }),
  since: instantOut().openapi({ description: "Since when.", example: "2026-11-23T08:15:00.000Z" }),
  source: DowntimeSource,
}).openapi("WorkplaceStop", { description: "What stops a workplace now." });
