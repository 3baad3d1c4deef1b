import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { Operation } from "../_shared/operation.ts";
import { OperationQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/operations/v1",
  operationId: "listOperations",
  tags: ["Operations"],
  summary: "List operations",
  description:
    "Returns operations of the caller's workplaces that match all filters, ordered by order_no, operation_no, asset_id.",
  security,
  request: { query: OperationQuery },
  responses: {
    200: pageJson(Operation, "A page of operations."),
    ...problems([]),
  },
}, async (c) => {
  const { status, workplace_name, limit, skip, count, cursor: _, ...filters } = c.req.valid("query");
  const [after_order_no, after_operation_no, after_asset_id] =
    await readCursorKey(c, z.tuple([z.string(), z.string(), z.int()])) ?? [];
  const page = await c.var.rpc("list_operations", {
    ...filters,
    statuses: status,
    workplace_names: workplace_name,
    after_order_no,
    after_operation_no,
    after_asset_id,
    skip,
    take: limit,
    count,
  });
  return c.json(await answerPage(c, page), 200);
});
