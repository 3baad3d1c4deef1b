import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { DeliveryKey, WebhookDeliveryWithAttempts } from "./schemas.ts";

export const getDelivery = endpoint({
  method: "get",
  path: "/webhooks/v1/deliveries/{delivery_id}",
  operationId: "getWebhookDelivery",
  tags: ["Webhooks"],
  summary: "Read a webhook delivery",
  description: "For managers and above: the delivery with all its attempts.",
  security,
  request: { params: DeliveryKey },
  responses: {
    200: {
      description: "The delivery.",
      content: { "application/json": { schema: WebhookDeliveryWithAttempts } },
    },
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => c.json(await c.var.callDatabase("get_webhook_delivery", c.req.valid("param")), 200));
