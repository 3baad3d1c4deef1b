import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { EndpointKey, WebhookDelivery } from "./schemas.ts";

export const testEndpoint = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints/{endpoint_id}/test",
  operationId: "testWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Send a ping to a webhook endpoint",
  description:
    "For managers and above: queues a message of type `webhook.ping`. Read the delivery for what came of it.",
  security,
  request: { params: EndpointKey, headers: idempotencyHeader },
  responses: {
    202: {
      description: "The ping is queued.",
      headers: replayedHeader,
      content: { "application/json": { schema: WebhookDelivery } },
    },
    ...problems(["malformed_request", "forbidden", "not_found", "endpoint_disabled"], { idempotent: true }),
  },
}, async (c) => {
  const answer = await c.var.callDatabase("test_webhook_endpoint", {
    ...c.req.valid("param"),
    idempotency: idempotency(c, undefined),
  });
  return c.json(answerBody(c, answer), 202);
});
