import { LossReport, timeKeys } from "../../_shared/plant_reports.ts";
import { readTool } from "../tool.ts";
import { reportArguments, reportCost } from "./arguments.ts";

export const getLosses = readTool({
  name: "get_losses",
  title: "Report losses",
  description:
    "Where the time of workplaces went that was not processing, by category and reason, the most first. Needs from " +
    "and to, or shift_date and shift_code.",
  calls: "report_losses",
  cost: reportCost,
  args: reportArguments(timeKeys, {}),
  answer: LossReport.shape,
  read: ({ from: from_at, to: to_at, by: by_keys, ...scope }, { rpc }) =>
    rpc("report_losses", { ...scope, from_at, to_at, by_keys }),
});
