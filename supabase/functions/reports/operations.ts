import { z } from "@hono/zod-openapi";
import { json, problems, security } from "../_shared/contract.ts";
import { answerPages, orCsv } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { nextHeader } from "../_shared/lists.ts";
import { reportCost, scopeArguments } from "./arguments.ts";
import { PerformanceQuery, PerformanceReport } from "./schemas.ts";
import { operationTable } from "./tables.ts";

const table = { ...operationTable, key: z.tuple([z.string(), z.string(), z.number()]) };

export const operations = endpoint({
  method: "get",
  path: "/reports/v1/operations",
  operationId: "reportOperations",
  tags: ["Reports"],
  summary: "Report operations against their plan",
  description:
    "Returns the operations that were worked on in the window: planned and actual setup, processing and lead time, " +
    "variance of the schedule, throughput and first-pass yield.",
  security,
  "x-rate-limit": reportCost,
  request: { query: PerformanceQuery },
  responses: {
    200: orCsv(json(PerformanceReport, "A page of the report.", nextHeader)),
    ...problems(["not_found"]),
  },
}, (c) => {
  const query = c.req.valid("query");
  return answerPages(
    c,
    query,
    table,
    ([after_order_no, after_operation_no, after_asset_id], { take }) =>
      c.var.rpc("report_operations", {
        ...scopeArguments(query),
        after_order_no,
        after_operation_no,
        after_asset_id,
        take,
      }),
    ({ report }, operations) => ({ ...report, operations }),
  );
});
