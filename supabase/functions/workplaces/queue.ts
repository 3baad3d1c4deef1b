import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { QueuedOperation, QueueQuery, WorkplaceKey } from "./schemas.ts";

export const queue = endpoint({
  method: "get",
  path: "/workplaces/v1/{name}/queue",
  operationId: "listQueue",
  tags: ["Workplaces"],
  summary: "List what to do next",
  description:
    "The open operations of the workplace: those that run, longest first, then by planned start; each with what keeps it from being started. " +
    "Empty for a workplace that the caller does not work at.",
  security,
  request: { params: WorkplaceKey, query: QueueQuery },
  responses: {
    200: { description: "The queue.", content: { "application/json": { schema: z.array(QueuedOperation) } } },
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { name } = c.req.valid("param");
  return c.json(await c.var.callDatabase("list_queue", { name, take: c.req.valid("query").limit }), 200);
});
