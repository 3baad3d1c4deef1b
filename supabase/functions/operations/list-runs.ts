import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { OperationKey, Run } from "./schemas.ts";

export const listRuns = endpoint({
  method: "get",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}/runs",
  operationId: "listRuns",
  tags: ["Operations"],
  summary: "List the runs of an operation",
  description: "Its uninterrupted stretches of work, oldest first; derived from its events, corrections included.",
  security,
  request: { params: OperationKey },
  responses: {
    200: { description: "All runs.", content: { "application/json": { schema: z.array(Run) } } },
    ...problems(["not_found"]),
  },
}, async (c) => c.json(await c.var.callDatabase("list_runs", c.req.valid("param")), 200));
