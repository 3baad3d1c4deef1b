import { z } from "@hono/zod-openapi";
import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { QueuedOperation } from "../_shared/queue.ts";
import { QueueQuery, WorkplaceKey } from "./schemas.ts";

export const queue = endpoint({
  method: "get",
  path: "/workplaces/v1/{name}/queue",
  operationId: "listQueue",
  tags: ["Workplaces"],
  summary: "List the next operations",
  description:
    "Returns the open operations of the workplace: running ones first, the longest first, then by planned start. Each has the problem " +
    "that prevents its start. The list is empty for a workplace that the caller has no access to.",
  security,
  request: { params: WorkplaceKey, query: QueueQuery },
  responses: {
    200: json(z.array(QueuedOperation), "The queue."),
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { name } = c.req.valid("param");
  return c.json(await c.var.rpc("list_queue", { name, take: c.req.valid("query").limit }), 200);
});
