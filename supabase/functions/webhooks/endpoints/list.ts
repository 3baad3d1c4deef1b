import { z } from "@hono/zod-openapi";
import { problems, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../../_shared/lists.ts";
import { WebhookEndpoint } from "../../_shared/webhook_endpoint.ts";
import { EndpointQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/webhooks/v1/endpoints",
  operationId: "listWebhookEndpoints",
  tags: ["Webhooks"],
  summary: "List webhook endpoints",
  description: "For managers and above. Returns all endpoints, oldest first.",
  security,
  request: { query: EndpointQuery },
  responses: {
    200: pageJson(WebhookEndpoint, "A page of endpoints."),
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_created_at, after_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_webhook_endpoints", { ...query, after_created_at, after_id, take: limit });
  return c.json(await answerPage(c, page), 200);
});
