import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../../_shared/commands.ts";
import { problems, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { WebhookDelivery } from "../deliveries/schemas.ts";
import { EndpointKey } from "./schemas.ts";

export const sendPing = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints/{endpoint_id}/test",
  operationId: "testWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Send a ping to a webhook endpoint",
  description: "For managers and above. Queues a message of type `webhook.ping`. Read the delivery for its result.",
  security,
  request: { params: EndpointKey, headers: idempotencyHeader },
  responses: {
    202: commandJson(WebhookDelivery, "The ping is queued."),
    ...problems(["forbidden", "not_found", "endpoint_disabled"], { idempotent: true }),
  },
}, async (c) => {
  const answer = await c.var.rpc("test_webhook_endpoint", {
    ...c.req.valid("param"),
    idempotency: readIdempotency(c, undefined),
  });
  return c.json(answerCommand(c, answer), 202);
});
