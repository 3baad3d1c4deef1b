import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { answerList, filtersOf, tableJson } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Operation } from "../_shared/operation.ts";
import { OperationQuery } from "./schemas.ts";

const table = {
  name: "operations",
  row: Operation,
  key: z.tuple([z.string().nullable(), z.string(), z.string(), z.int()]),
};

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
    200: tableJson(Operation, "A page of operations."),
    ...problems([]),
  },
}, (c) => {
  const query = c.req.valid("query");
  const { status, workplace_name, ...filters } = filtersOf(query);
  return answerList(
    c,
    query,
    table,
    ([after_value, after_order_no, after_operation_no, after_asset_id], page) =>
      c.var.rpc("list_operations", {
        ...filters,
        statuses: status,
        workplace_names: workplace_name,
        after_value: after_value ?? undefined,
        after_order_no,
        after_operation_no,
        after_asset_id,
        ...page,
        with_actions: c.var.withActions,
      }),
  );
});
