import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationEvent } from "../_shared/event.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { EventQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/events/v1",
  operationId: "listEvents",
  tags: ["Events"],
  summary: "List events",
  description: "Returns events of the caller's workplaces that match all filters, newest first.",
  security,
  request: { query: EventQuery },
  responses: {
    200: pageJson(OperationEvent, "A page of events."),
    ...problems([]),
  },
}, async (c) => {
  const { action_type, limit, skip, count, cursor: _, ...filters } = c.req.valid("query");
  const [before_created_at, before_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_events", {
    ...filters,
    action_types: action_type,
    before_created_at,
    before_id,
    skip,
    take: limit,
    count,
  });
  return c.json(await answerPage(c, page), 200);
});
