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
    "Returns operations of the caller's workplaces that match all filters, in the order of `sort`. An operation that changes while " +
    "you follow the pages of `updated_at` moves: read the feed to miss no change.",
  security,
  request: { query: OperationQuery },
  responses: {
    200: pageJson(Operation, "A page of operations."),
    ...problems([]),
  },
}, async (c) => {
  const { status, workplace_name, limit, skip, count, cursor: _, ...filters } = c.req.valid("query");
  const [after_value, after_order_no, after_operation_no, after_asset_id] =
    await readCursorKey(c, z.tuple([z.string().nullable(), z.string(), z.string(), z.int()])) ?? [];
  const page = await c.var.rpc("list_operations", {
    ...filters,
    statuses: status,
    workplace_names: workplace_name,
    after_value: after_value ?? undefined,
    after_order_no,
    after_operation_no,
    after_asset_id,
    skip,
    take: limit,
    count,
  });
  return c.json(await answerPage(c, page), 200);
});
