import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { cursorKey, listHeaders, pageHeaders } from "../_shared/lists.ts";
import { Operation } from "../_shared/operation.ts";
import { OperationQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/operations/v1",
  operationId: "listOperations",
  tags: ["Operations"],
  summary: "List operations",
  description:
    "Operations of the caller's workplaces, ordered by order_no, operation_no, asset_id. Filters combine with and.",
  security,
  request: { query: OperationQuery },
  responses: {
    200: {
      description: "A page of operations.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(Operation) } },
    },
    ...problems([]),
  },
}, async (c) => {
  const { status, workplace_name, limit, skip, count, cursor: _, ...filters } = c.req.valid("query");
  const [after_order_no, after_operation_no, after_asset_id] =
    await cursorKey(c, z.tuple([z.string(), z.string(), z.int()])) ?? [];
  const page = await c.var.callDatabase("list_operations", {
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
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
