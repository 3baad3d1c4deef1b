/**
 * Arguments that several tools take.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { key } from "../../_shared/fields.ts";
import { operationKey } from "../../_shared/operation.ts";
import { isWindow, reportWindow, windowNeeded } from "../../_shared/plant_reports.ts";
import type { RateCost } from "../../_shared/rate_limiting.ts";

export { operationKey };

/** What a report costs, as over REST. */
export const reportCost: RateCost = { class: "heavy", units: 25 };

export const workplaceNames = z.array(key()).min(1).max(100).openapi({
  description: "Names of workplaces.",
  example: ["TruLaser 5060 (L76)"],
});

/** Window and scope of a report, and what a row of it is. */
export function reportArguments<More extends z.ZodRawShape>(keys: string[], more: More) {
  const { time_zone: _, ...window } = reportWindow;
  return z.strictObject({
    workplace_names: workplaceNames.optional(),
    workplace_group: key().optional().openapi({ description: "Group of workplaces.", example: "Laser" }),
    ...window,
    by: z.array(z.enum(keys)).min(1).max(4).optional().openapi({
      description: "What a row is. At most one each of workplace, group; shift, day, week, month; operation, order.",
      example: ["workplace", "day"],
    }),
    ...more,
  }).refine(isWindow, windowNeeded);
}
