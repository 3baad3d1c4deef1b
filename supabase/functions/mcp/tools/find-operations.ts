import { z } from "@hono/zod-openapi";
import { Operation } from "../../_shared/operation.ts";
import { inBody, operationFilters, OperationSort } from "../../_shared/operation_filters.ts";
import { cursorAfter, nextCursor, pageArguments, startOf } from "../pages.ts";
import { readTool } from "../tool.ts";

const key = z.tuple([z.string().nullable(), z.string(), z.string(), z.int()]);

export const findOperations = readTool({
  name: "find_operations",
  title: "Find operations",
  description:
    "Operations that match all filters: late ones by is_overdue, running ones by status IN_PROGRESS, those of an order by " +
    "order_no. q finds by the beginning of an order number or of a description.",
  calls: "list_operations",
  args: z.strictObject({
    ...z.object(operationFilters(inBody)).partial().shape,
    sort: OperationSort.optional(),
    ...pageArguments,
  }),
  answer: { operations: z.array(Operation), next_cursor: nextCursor },
  read: async ({ limit: take, cursor, ...filters }, { rpc }) => {
    const list = { tool: "find_operations", filters, key };
    const [after_value, after_order_no, after_operation_no, after_asset_id] = await startOf(list, cursor) ?? [];
    const { status, workplace_name, ...others } = filters;
    const page = await rpc("list_operations", {
      ...others,
      statuses: status,
      workplace_names: workplace_name,
      after_value: after_value ?? undefined,
      after_order_no,
      after_operation_no,
      after_asset_id,
      take,
    });
    return { operations: page.items, next_cursor: await cursorAfter(list, page) };
  },
});
