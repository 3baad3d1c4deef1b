import { z } from "@hono/zod-openapi";
import { json, problems, security } from "../_shared/contract.ts";
import { answerRows, csvQuery, orCsv } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Run } from "../_shared/run.ts";
import { OperationKey } from "./schemas.ts";

export const listRuns = endpoint({
  method: "get",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}/runs",
  operationId: "listRuns",
  tags: ["Operations"],
  summary: "List the runs of an operation",
  description:
    "Returns the uninterrupted stretches of work, oldest first. The server derives them from the events, corrections included.",
  security,
  request: { params: OperationKey, query: z.strictObject(csvQuery("run_no,phase,duration_min")) },
  responses: {
    200: orCsv(json(z.array(Run), "All runs.")),
    ...problems(["not_found"]),
  },
}, (c) =>
  answerRows(
    c,
    c.req.valid("query"),
    { name: "runs", row: Run },
    () => c.var.rpc("list_runs", c.req.valid("param")),
  ));
