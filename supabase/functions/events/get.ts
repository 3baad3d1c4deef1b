import { z } from "@hono/zod-openapi";
import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationEvent } from "../_shared/event.ts";
import { eventId } from "../_shared/fields.ts";

export const get = endpoint({
  method: "get",
  path: "/events/v1/{event_id}",
  operationId: "getEvent",
  tags: ["Events"],
  summary: "Read an event",
  security,
  request: { params: z.object({ event_id: eventId("Id of the event.") }) },
  responses: {
    200: json(OperationEvent, "The event."),
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { event_id } = c.req.valid("param");
  return c.json(await c.var.rpc("get_event", { id: event_id }), 200);
});
