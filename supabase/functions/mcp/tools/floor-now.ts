import { z } from "@hono/zod-openapi";
import { Downtime } from "../../_shared/downtime.ts";
import { key } from "../../_shared/fields.ts";
import { Operation } from "../../_shared/operation.ts";
import { Summary } from "../../_shared/plant_reports.ts";
import { limit } from "../pages.ts";
import { readTool } from "../tool.ts";
import { reportCost, workplaceNames } from "./arguments.ts";

declare module "../../_shared/database.ts" {
  interface Answers {
    floor_now: { summary: Summary; running: Operation[] | null; stopped: Downtime[] | null };
  }
}

export const floorNow = readTool({
  name: "floor_now",
  title: "What goes on now",
  description:
    "Counts of open, running, late and blocked operations, today's pieces, the operations that run now and the " +
    "workplaces that stand still. Begin with it.",
  calls: "floor_now",
  cost: reportCost,
  args: z.strictObject({
    workplace_names: workplaceNames.optional(),
    workplace_group: key().optional().openapi({ description: "Group of workplaces.", example: "Laser" }),
    limit,
  }),
  answer: {
    summary: Summary,
    running: z.array(Operation).nullable().openapi({
      description: "Operations that run; null when the scopes of the API key do not open them.",
    }),
    stopped: z.array(Downtime).nullable().openapi({
      description: "Downtimes that last; null when the scopes of the API key do not open them.",
    }),
  },
  read: ({ limit: take, ...scope }, { rpc }) => rpc("floor_now", { ...scope, take }),
});
