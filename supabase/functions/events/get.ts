import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { Event } from "../_shared/event.ts";

export const get = endpoint({
  method: "get",
  path: "/events/v1/{event_id}",
  operationId: "getEvent",
  tags: ["Events"],
  summary: "Read an event",
  security,
  request: {
    params: z.object({
      event_id: z.guid().openapi({ description: "Id of the event.", example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10" }),
    }),
  },
  responses: {
    200: { description: "The event.", content: { "application/json": { schema: Event } } },
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { event_id } = c.req.valid("param");
  return c.json(await c.var.callDatabase("get_event", { id: event_id }), 200);
});
