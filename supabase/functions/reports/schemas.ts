/**
 * Reports: where the time of workplaces went, and what was made in it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { csvQuery } from "../_shared/csv.ts";
import { type Page } from "../_shared/database.ts";
import { instantOut, key, keySchema, quantity } from "../_shared/fields.ts";
import { listQuery, repeatable } from "../_shared/lists.ts";
import { operationKey, Status } from "../_shared/operation.ts";
import { Phase } from "../_shared/event.ts";
import {
  allKeys,
  Attribution,
  count,
  detail,
  frame,
  isWindow,
  lossFields,
  minutesOut,
  ratio,
  Ratios,
  type ReportFrame,
  reportWindow,
  reportZone,
  rowFields,
  timeKeys,
  WholePieces,
  windowNeeded,
  workplaceName,
} from "../_shared/plant_reports.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    report_timeline: Timeline;
    report_scrap: ScrapReport;
    report_operations: Page<OperationPerformance> & { report: ReportFrame };
  }
}

// ---------------------------------------------------------------- requests

export const places = {
  workplace_name: repeatable(key(), keySchema).optional().openapi({
    description: "Workplaces of the report; repeat the parameter for several. By default all that the caller sees.",
    example: ["TruLaser 5060 (L76)"],
  }),
  workplace_group: key().optional().openapi({ description: "Group of workplaces.", example: "Laser" }),
};

/** Parameters of CSV, of which `time_zone` is one of the report. */
const csv = (exampleColumns: string) => ({ ...csvQuery(exampleColumns), time_zone: reportZone });

const keysOf = (keys: string[], description: string) =>
  repeatable(z.enum(keys as [string, ...string[]]), { type: "string" }).optional().openapi({
    description,
    example: ["workplace", "day"],
  });

const byText =
  "What a row is. Repeat the parameter to combine at most one each of workplace, group; shift, day, week, month";

/** Elements into which the time of a workplace is parted, with the time outside of shifts. */
const TimeElement = z.enum(["OFF", "PDOT", "APT", "AUST", "ADET", "ADOT"]).openapi("TimeElement", {
  description: "Time element of ISO 22400-2. OFF: outside of shifts.",
  example: "ADET",
});

const attribution = Attribution.optional().openapi({
  description:
    "Where in time pieces are. prorated (default): spread over the processing time since the report before. reported: where they were reported.",
  example: "prorated",
});

export const OeeQuery = z.strictObject({
  ...places,
  ...reportWindow,
  by: keysOf(allKeys, `${byText}; operation, order.`),
  attribution,
  ...csv("workplace_name,period,oee"),
}).refine(isWindow, windowNeeded);

export const LossQuery = z.strictObject({
  ...places,
  ...reportWindow,
  by: keysOf(timeKeys, `${byText}.`),
  ...csv("workplace_name,category,reason_code,minutes"),
}).refine(isWindow, windowNeeded);

export const ScrapQuery = z.strictObject({
  ...places,
  ...reportWindow,
  by: keysOf(allKeys, `${byText}; operation, order.`),
  ...csv("workplace_name,reason_code,sq"),
}).refine(isWindow, windowNeeded);

export const TimelineQuery = z.strictObject({
  workplace_name: workplaceName(),
  ...reportWindow,
  ...csv("from,to,bucket,detail"),
}).refine(isWindow, windowNeeded);

export const PerformanceQuery = z.strictObject({
  ...places,
  ...reportWindow,
  limit: listQuery.limit,
  cursor: listQuery.cursor,
  ...csv("order_no,operation_no,processing_efficiency"),
}).refine(isWindow, windowNeeded);

export const SummaryQuery = z.strictObject({ ...places, ...csv("at,running,late") });

// ---------------------------------------------------------------- answers

const TimelineInterval = z.object({
  from: instantOut().openapi({ description: "Begin.", example: "2026-11-24T10:10:00.000Z" }),
  to: instantOut().openapi({ description: "End, excluded.", example: "2026-11-24T10:50:00.000Z" }),
  from_local: z.string().openapi({ description: "Begin on local clocks.", example: "2026-11-24T11:10:00.000" }),
  to_local: z.string().openapi({ description: "End on local clocks.", example: "2026-11-24T11:50:00.000" }),
  minutes: minutesOut("Length in minutes.", 40),
  bucket: TimeElement,
  detail: detail(
    "Cause: no_shift, no_calendar, break, closed, planned_stop, planned_downtime, processing, setup, fault, " +
      "paused, blocked, idle or unknown.",
  ),
  reason_code: lossFields.reason_code,
  source: z.string().nullable().openapi({
    description: "What says so: calendar, run, event, machine, or downtime with who opened it.",
    example: "event",
  }),
  operations: z.array(
    z.object({
      ...operationKey,
      phase: Phase,
      share: z.number().openapi({ description: "Part of the workplace that the operation had.", example: 1 }),
    }).openapi("TimelineOperation", { description: "An operation that ran in the interval." }),
  ).openapi({ description: "What ran, outside of planned busy time, too." }),
  slots: z.union([
    z.object({
      apt: count("Places in production.", 2),
      aust: count("Places in setup.", 1),
      adet: z.int().nullable().openapi({ description: "Places delayed.", example: 0 }),
      adot: z.int().nullable().openapi({ description: "Places down.", example: 1 }),
    }).openapi("TimelineSlots", { description: "Places of the workplace by what they do." }),
    z.null(),
  ]).openapi({ description: "For time_basis SLOTS: the places in each element; else null." }),
}).openapi("TimelineInterval", { description: "An interval in which nothing changes." });

export const Timeline = z.object({
  ...frame,
  workplace_name: workplaceName(),
  intervals: z.array(TimelineInterval).openapi({
    description: "The intervals from begin to end of the window, cut at now: gapless and without overlap.",
  }),
}).openapi("Timeline", { description: "The partition of time from which all figures are made." });

export type Timeline = z.infer<typeof Timeline>;

export const ScrapReport = z.object({
  ...frame,
  buckets: z.array(
    z.object({
      ...rowFields,
      pieces: WholePieces,
      scrap_ratio: Ratios.shape.scrap_ratio,
      share: ratio("Part of all scrap of the report.", 1),
      scrap: z.array(
        z.object({
          reason_code: key().nullable().openapi({
            description: "Reason code of the scrap; null = none.",
            example: "SURFACE",
          }),
          sq: z.int().openapi({ description: "Scrapped pieces.", example: 8 }),
          count: count("Number of reports.", 2),
          share: ratio("Part of the scrap of the row.", 0.727273),
        }).openapi("ScrapOfReason", { description: "Scrap with one reason." }),
      ).openapi({ description: "Scrap by reason, the most first." }),
    }).openapi("ScrapBucket", { description: "One row of the report of scrap." }),
  ).openapi({ description: "The rows: without a key of time, those with the most scrap first; at most 10,000." }),
}).openapi("ScrapReport", { description: "Scrap by reason." });

export type ScrapReport = z.infer<typeof ScrapReport>;

const nullableMinutes = (description: string, example: number) =>
  z.number().nullable().openapi({ description, example });

const TargetAndActual = z.object({
  target_min: nullableMinutes("Planned minutes.", 90),
  actual_min: nullableMinutes("Actual minutes, the open run included.", 100),
  variance_min: nullableMinutes("actual_min - target_min.", 10),
  efficiency: ratio("target_min / actual_min.", 0.9),
}).openapi("TargetAndActual", { description: "Planned and actual minutes." });

export const OperationPerformance = z.object({
  ...operationKey,
  workplace_name: workplaceName().nullable(),
  status: Status,
  qty_desired: quantity().nullable().openapi({ description: "Good pieces wanted; null = no limit.", example: 50 }),
  pieces: WholePieces,
  per_piece_min: nullableMinutes("Planned minutes per piece; null = unknown.", 0.8),
  setup: TargetAndActual,
  processing: TargetAndActual,
  lead: TargetAndActual,
  effectiveness: ratio("per_piece_min x pieces / actual processing.", 0.868571),
  planned_start_at: instantOut().nullable().openapi({
    description: "Planned start.",
    example: "2026-11-24T08:00:00.000Z",
  }),
  planned_end_at: instantOut().nullable().openapi({ description: "Planned end.", example: "2026-11-24T10:00:00.000Z" }),
  actual_start_at: instantOut().nullable().openapi({
    description: "Actual start.",
    example: "2026-11-24T08:05:00.000Z",
  }),
  actual_end_at: instantOut().nullable().openapi({ description: "Actual end.", example: "2026-11-24T10:20:00.000Z" }),
  start_variance_min: nullableMinutes("Minutes from planned to actual start; negative = early.", 5),
  end_variance_min: nullableMinutes("Minutes from planned to actual end; negative = early.", 20),
  throughput_per_h: ratio("Pieces per hour of processing.", 65.142857),
  first_pass_yield: ratio("Good pieces / pieces as they were first reported.", 0.971053),
  reasons: z.record(z.string(), z.string()).openapi({
    description: "For values that are null, why.",
    example: { end_variance_min: "not_finished" },
  }),
}).openapi("OperationPerformance", { description: "An operation against its plan." });

export type OperationPerformance = z.infer<typeof OperationPerformance>;

export const PerformanceReport = z.object({
  ...frame,
  operations: z.array(OperationPerformance).openapi({ description: "A page of the operations, by their keys." }),
}).openapi("PerformanceReport", { description: "Operations that were worked on, against their plan." });
