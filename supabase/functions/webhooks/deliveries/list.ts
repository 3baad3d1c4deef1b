import { z } from "@hono/zod-openapi";
import { problems, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../../_shared/lists.ts";
import { DeliveryQuery, WebhookDelivery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/webhooks/v1/deliveries",
  operationId: "listWebhookDeliveries",
  tags: ["Webhooks"],
  summary: "List webhook deliveries",
  description:
    "For managers and above. Returns deliveries of the last 90 days that match all filters, newest first. First queues up to " +
    "about 1,000 events that wait for a dispatcher.",
  security,
  request: { query: DeliveryQuery },
  responses: {
    200: pageJson(WebhookDelivery, "A page of deliveries."),
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [before_created_at, before_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_webhook_deliveries", { ...query, before_created_at, before_id, take: limit });
  return c.json(await answerPage(c, page), 200);
});
