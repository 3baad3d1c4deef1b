import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { cursorKey, listHeaders, pageHeaders } from "../_shared/lists.ts";
import { DeliveryQuery, WebhookDelivery } from "./schemas.ts";

export const listDeliveries = endpoint({
  method: "get",
  path: "/webhooks/v1/deliveries",
  operationId: "listWebhookDeliveries",
  tags: ["Webhooks"],
  summary: "List webhook deliveries",
  description:
    "For managers and above: deliveries of the last 90 days, newest first. Filters combine with and. Events that wait for a " +
    "dispatcher become deliveries first, about 1,000 a call.",
  security,
  request: { query: DeliveryQuery },
  responses: {
    200: {
      description: "A page of deliveries.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(WebhookDelivery) } },
    },
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [before_created_at, before_id] = await cursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.callDatabase("list_webhook_deliveries", {
    ...query,
    before_created_at,
    before_id,
    take: limit,
  });
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
