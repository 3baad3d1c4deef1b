import { json, problems, security } from "../_shared/contract.ts";
import { answerReport, orCsv } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { reportCost, scopeArguments } from "./arguments.ts";
import { OeeReport } from "../_shared/plant_reports.ts";
import { OeeQuery } from "./schemas.ts";
import { oeeTable } from "./tables.ts";

export const oee = endpoint({
  method: "get",
  path: "/reports/v1/oee",
  operationId: "reportOee",
  tags: ["Reports"],
  summary: "Report OEE",
  description:
    "Returns the time elements of ISO 22400-2, pieces and ratios of the workplaces that the caller sees, with what they are " +
    "made of and the reason of each null. docs/reports.md explains each number.",
  security,
  "x-rate-limit": reportCost,
  request: { query: OeeQuery },
  responses: {
    200: orCsv(json(OeeReport, "The report.")),
    ...problems(["not_found"]),
  },
}, (c) => {
  const query = c.req.valid("query");
  return answerReport(c, query, oeeTable, () => c.var.rpc("report_oee", scopeArguments(query)));
});
