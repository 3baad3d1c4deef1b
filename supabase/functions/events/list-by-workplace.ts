import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { answerList, csvQuery, tableJson } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationEvent } from "../_shared/event.ts";
import { key } from "../_shared/fields.ts";
import { listQuery } from "../_shared/lists.ts";
import { EventListKey } from "./schemas.ts";

const table = { name: "events", row: OperationEvent, key: EventListKey };

export const listByWorkplace = endpoint({
  method: "get",
  path: "/events/v1/workplace/{workplace_name}",
  operationId: "listEventsByWorkplace",
  tags: ["Events"],
  summary: "List the events of a workplace",
  description:
    "Returns events of one workplace, newest first, as the first service does. The list is empty for a workplace that the caller does not see.",
  security,
  request: {
    params: z.object({ workplace_name: key().openapi({ description: "Workplace.", example: "Trommelen-1" }) }),
    query: z.strictObject({ ...listQuery, ...csvQuery("occurred_at,order_no,action_type") }),
  },
  responses: {
    200: tableJson(OperationEvent, "A page of events."),
    ...problems([]),
  },
}, (c) => {
  const { workplace_name } = c.req.valid("param");
  return answerList(
    c,
    c.req.valid("query"),
    table,
    ([before_created_at, before_id], page) =>
      c.var.rpc("list_events", { workplace_name, before_created_at, before_id, ...page }),
  );
});
