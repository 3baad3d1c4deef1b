import { allKeys, Attribution, OeeReport } from "../../_shared/plant_reports.ts";
import { readTool } from "../tool.ts";
import { reportArguments, reportCost } from "./arguments.ts";

export const getOee = readTool({
  name: "get_oee",
  title: "Report OEE",
  description:
    "OEE by ISO 22400-2 with the time and the pieces that it is made of. reasons says why a figure is null: never put another " +
    "number in its place. Needs from and to, or shift_date and shift_code.",
  calls: "report_oee",
  cost: reportCost,
  args: reportArguments(allKeys, {
    attribution: Attribution.optional().openapi({
      description:
        "prorated (default): pieces are spread over the processing time since the report before. reported: they " +
        "are where they were reported.",
    }),
  }),
  answer: OeeReport.shape,
  read: ({ from: from_at, to: to_at, by: by_keys, ...scope }, { rpc }) =>
    rpc("report_oee", { ...scope, from_at, to_at, by_keys }),
});
