import { json, problems, security } from "../_shared/contract.ts";
import { answerReport, orCsv } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { reportCost, scopeArguments } from "./arguments.ts";
import { LossReport } from "../_shared/plant_reports.ts";
import { LossQuery } from "./schemas.ts";
import { lossTable } from "./tables.ts";

export const losses = endpoint({
  method: "get",
  path: "/reports/v1/losses",
  operationId: "reportLosses",
  tags: ["Reports"],
  summary: "Report losses",
  description:
    "Returns the time that was not processing by category and reason, the most first. The minutes are those of the timeline.",
  security,
  "x-rate-limit": reportCost,
  request: { query: LossQuery },
  responses: {
    200: orCsv(json(LossReport, "The report.")),
    ...problems(["not_found"]),
  },
}, (c) => {
  const query = c.req.valid("query");
  return answerReport(c, query, lossTable, () => c.var.rpc("report_losses", scopeArguments(query)));
});
