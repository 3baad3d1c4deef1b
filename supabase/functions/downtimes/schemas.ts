/**
 * Downtimes: when workplaces stood still, and why.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { csvQuery } from "../_shared/csv.ts";
import type { Page } from "../_shared/database.ts";
import { Downtime, DowntimeCategory, downtimeFields, downtimeId } from "../_shared/downtime.ts";
import { instant, key, keySchema } from "../_shared/fields.ts";
import { flag, listQuery, repeatable } from "../_shared/lists.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_downtime: Downtime;
    list_downtimes: Page<Downtime>;
  }
}

export const DowntimeKey = z.object({ id: downtimeId("Id of the downtime.") });

export const DowntimeOpening = z.strictObject(downtimeFields.start)
  .refine(
    ({ occurred_at, ended_at }) => ended_at === undefined || occurred_at !== undefined && occurred_at <= ended_at,
    { error: "needs an occurred_at that is not later", path: ["ended_at"] },
  )
  .openapi("DowntimeOpening", {
    description: "A workplace stands still, or stood still.",
    example: { workplace_name: "TruLaser 5060 (L76)", reason_code: "TOOL", stop_runs: true },
  });

export const DowntimeEnding = z.strictObject(downtimeFields.end)
  .openapi("DowntimeEnding", { description: "The workplace goes on.", example: {} });

export const DowntimeClassification = z.strictObject(downtimeFields.classify)
  .openapi("DowntimeClassification", {
    description: "Why the workplace stood still.",
    example: { reason_code: "TOOL", note: "Nozzle" },
  });

export const DowntimeSplit = z.strictObject(downtimeFields.split)
  .openapi("DowntimeSplit", {
    description: "One stop, two causes.",
    example: { at: "2026-11-23T08:25:00Z", reason_code: "MATERIAL" },
  });

export const DowntimeCancellation = z.strictObject(downtimeFields.cancel)
  .openapi("DowntimeCancellation", {
    description: "The downtime was none.",
    example: { note: "Wrong workplace" },
  });

export const DowntimeQuery = z.strictObject({
  workplace_name: repeatable(key(), keySchema).openapi({
    description: "Workplaces. Repeat the parameter for several.",
    example: ["TruLaser 5060 (L76)"],
  }),
  open: flag.openapi({ description: "True: open downtimes only. False: ended ones only.", example: true }),
  unexplained: flag.openapi({
    description: "True: downtimes without a reason code only. False: those with one only.",
    example: true,
  }),
  category: DowntimeCategory,
  reason_code: repeatable(key(), keySchema).openapi({
    description: "Reason codes. Repeat the parameter for several.",
    example: ["TOOL"],
  }),
  from: instant().openapi({
    description: "Start of a window: downtimes that overlap it.",
    example: "2026-11-23T06:00:00Z",
  }),
  to: instant().openapi({ description: "End of the window, exclusive.", example: "2026-11-23T14:00:00Z" }),
  cancelled: flag.openapi({ description: "True: cancelled downtimes only. By default none of them.", example: true }),
}).partial().extend({ ...listQuery, ...csvQuery("workplace_name,started_at,duration_min") }).refine(
  ({ from, to }) => from === undefined || to === undefined || from <= to,
  {
    error: "must not be earlier than from",
    path: ["to"],
  },
);
