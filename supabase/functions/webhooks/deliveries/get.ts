import { json, problems, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { DeliveryKey, WebhookDeliveryWithAttempts } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/webhooks/v1/deliveries/{delivery_id}",
  operationId: "getWebhookDelivery",
  tags: ["Webhooks"],
  summary: "Read a webhook delivery",
  description: "For managers and above. Returns the delivery with all its attempts.",
  security,
  request: { params: DeliveryKey },
  responses: {
    200: json(WebhookDeliveryWithAttempts, "The delivery."),
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => c.json(await c.var.rpc("get_webhook_delivery", c.req.valid("param")), 200));
