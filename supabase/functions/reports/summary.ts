import { json, problems, security } from "../_shared/contract.ts";
import { answerReport, orCsv } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { reportCost } from "./arguments.ts";
import { Summary } from "../_shared/plant_reports.ts";
import { SummaryQuery } from "./schemas.ts";
import { summaryTable } from "./tables.ts";

export const summary = endpoint({
  method: "get",
  path: "/reports/v1/summary",
  operationId: "reportSummary",
  tags: ["Reports"],
  summary: "Report what goes on now",
  description:
    "Returns open operations by status, running, late and blocked ones, unexplained stops and the pieces of today: one call for a dashboard.",
  security,
  "x-rate-limit": reportCost,
  request: { query: SummaryQuery },
  responses: {
    200: orCsv(json(Summary, "The report.")),
    ...problems(["not_found"]),
  },
}, (c) => {
  const query = c.req.valid("query");
  const { workplace_name: workplace_names, workplace_group, time_zone } = query;
  return answerReport(
    c,
    query,
    summaryTable,
    () => c.var.rpc("report_summary", { workplace_names, workplace_group, time_zone }),
  );
});
