import { z } from "@hono/zod-openapi";
import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationKey, Run } from "./schemas.ts";

export const listRuns = endpoint({
  method: "get",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}/runs",
  operationId: "listRuns",
  tags: ["Operations"],
  summary: "List the runs of an operation",
  description:
    "Returns the uninterrupted stretches of work, oldest first. The server derives them from the events, corrections included.",
  security,
  request: { params: OperationKey },
  responses: {
    200: json(z.array(Run), "All runs."),
    ...problems(["not_found"]),
  },
}, async (c) => c.json(await c.var.rpc("list_runs", c.req.valid("param")), 200));
