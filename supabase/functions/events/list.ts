import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { cursorKey, listHeaders, pageHeaders } from "../_shared/lists.ts";
import { Event } from "../_shared/event.ts";
import { EventQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/events/v1",
  operationId: "listEvents",
  tags: ["Events"],
  summary: "List events",
  description: "Events of the caller's workplaces, newest first. Filters combine with and.",
  security,
  request: { query: EventQuery },
  responses: {
    200: {
      description: "A page of events.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(Event) } },
    },
    ...problems([]),
  },
}, async (c) => {
  const { action_type, limit, skip, count, cursor: _, ...filters } = c.req.valid("query");
  const [before_created_at, before_id] = await cursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.callDatabase("list_events", {
    ...filters,
    action_types: action_type,
    before_created_at,
    before_id,
    skip,
    take: limit,
    count,
  });
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
