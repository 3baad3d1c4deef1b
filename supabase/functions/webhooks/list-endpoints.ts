import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { cursorKey, listHeaders, pageHeaders } from "../_shared/lists.ts";
import { EndpointQuery, WebhookEndpoint } from "./schemas.ts";

export const listEndpoints = endpoint({
  method: "get",
  path: "/webhooks/v1/endpoints",
  operationId: "listWebhookEndpoints",
  tags: ["Webhooks"],
  summary: "List webhook endpoints",
  description: "For managers and above: all endpoints, the oldest first.",
  security,
  request: { query: EndpointQuery },
  responses: {
    200: {
      description: "A page of endpoints.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(WebhookEndpoint) } },
    },
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_created_at, after_id] = await cursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.callDatabase("list_webhook_endpoints", {
    ...query,
    after_created_at,
    after_id,
    take: limit,
  });
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
