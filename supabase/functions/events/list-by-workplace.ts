import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationEvent } from "../_shared/event.ts";
import { key } from "../_shared/fields.ts";
import { answerPage, listQuery, pageJson, readCursorKey } from "../_shared/lists.ts";

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
    query: z.strictObject(listQuery),
  },
  responses: {
    200: pageJson(OperationEvent, "A page of events."),
    ...problems([]),
  },
}, async (c) => {
  const { limit, skip, count } = c.req.valid("query");
  const [before_created_at, before_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_events", {
    workplace_name: c.req.valid("param").workplace_name,
    before_created_at,
    before_id,
    skip,
    take: limit,
    count,
  });
  return c.json(await answerPage(c, page), 200);
});
