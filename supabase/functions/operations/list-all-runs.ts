import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { answerList, tableJson } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { PlacedRun, RunQuery } from "./schemas.ts";

const table = { name: "runs", row: PlacedRun, key: z.tuple([z.string(), z.int(), z.int()]) };

export const listAllRuns = endpoint({
  method: "get",
  path: "/operations/v1/runs",
  operationId: "listAllRuns",
  tags: ["Operations"],
  summary: "List runs",
  description:
    "Returns the runs that overlap the window, at the caller's workplaces and of operations that the caller sees, ordered by " +
    "start. Without `from` and `to`, the window has no bounds.",
  security,
  request: { query: RunQuery },
  responses: {
    200: tableJson(PlacedRun, "A page of runs."),
    ...problems([]),
  },
}, (c) => {
  const query = c.req.valid("query");
  return answerList(
    c,
    query,
    table,
    ([after_started_at, after_operation_id, after_run_no], page) =>
      c.var.rpc("list_all_runs", {
        workplace_names: query.workplace_name,
        from_at: query.from,
        to_at: query.to,
        after_started_at,
        after_operation_id,
        after_run_no,
        ...page,
      }),
  );
});
