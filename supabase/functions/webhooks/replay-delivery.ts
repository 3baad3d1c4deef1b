import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { DeliveryKey, WebhookDelivery } from "./schemas.ts";

export const replayDelivery = endpoint({
  method: "post",
  path: "/webhooks/v1/deliveries/{delivery_id}/replay",
  operationId: "replayWebhookDelivery",
  tags: ["Webhooks"],
  summary: "Send a webhook delivery again",
  description:
    "For managers and above: it is due now, whatever became of it before, under the same webhook-id and with the whole schedule of retries.",
  security,
  request: { params: DeliveryKey, headers: idempotencyHeader },
  responses: {
    202: {
      description: "It is queued.",
      headers: replayedHeader,
      content: { "application/json": { schema: WebhookDelivery } },
    },
    ...problems(["malformed_request", "forbidden", "not_found", "endpoint_disabled"], { idempotent: true }),
  },
}, async (c) => {
  const answer = await c.var.callDatabase("replay_webhook_delivery", {
    ...c.req.valid("param"),
    idempotency: idempotency(c, undefined),
  });
  return c.json(answerBody(c, answer), 202);
});
