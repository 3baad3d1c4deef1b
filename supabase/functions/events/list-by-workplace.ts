import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { key } from "../_shared/fields.ts";
import { cursorKey, listHeaders, listQuery, pageHeaders } from "../_shared/lists.ts";
import { Event } from "../_shared/event.ts";

export const listByWorkplace = endpoint({
  method: "get",
  path: "/events/v1/workplace/{workplace_name}",
  operationId: "listEventsByWorkplace",
  tags: ["Events"],
  summary: "List the events of a workplace",
  description:
    "As the first service has it: events of one workplace, newest first. Empty for a workplace that the caller does not see.",
  security,
  request: {
    params: z.object({ workplace_name: key().openapi({ description: "Workplace.", example: "Trommelen-1" }) }),
    query: z.strictObject(listQuery),
  },
  responses: {
    200: {
      description: "A page of events.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(Event) } },
    },
    ...problems([]),
  },
}, async (c) => {
  const { limit, skip, count } = c.req.valid("query");
  const [before_created_at, before_id] = await cursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.callDatabase("list_events", {
    workplace_name: c.req.valid("param").workplace_name,
    before_created_at,
    before_id,
    skip,
    take: limit,
    count,
  });
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
