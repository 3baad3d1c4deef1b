import { json, problems, security } from "../_shared/contract.ts";
import { answerReport, orCsv } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { reportCost, scopeArguments } from "./arguments.ts";
import { ScrapQuery, ScrapReport } from "./schemas.ts";
import { scrapTable } from "./tables.ts";

export const scrap = endpoint({
  method: "get",
  path: "/reports/v1/scrap",
  operationId: "reportScrap",
  tags: ["Reports"],
  summary: "Report scrap",
  description:
    "Returns scrap by reason, where and when it was reported; with \`by\` also by workplace, time, operation or order. Pieces that were taken back are not in it.",
  security,
  "x-rate-limit": reportCost,
  request: { query: ScrapQuery },
  responses: {
    200: orCsv(json(ScrapReport, "The report.")),
    ...problems(["not_found"]),
  },
}, (c) => {
  const query = c.req.valid("query");
  return answerReport(c, query, scrapTable, () => c.var.rpc("report_scrap", scopeArguments(query)));
});
