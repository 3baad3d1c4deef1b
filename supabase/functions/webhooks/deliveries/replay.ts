import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../../_shared/commands.ts";
import { problems, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { DeliveryKey, WebhookDelivery } from "./schemas.ts";

export const replay = endpoint({
  method: "post",
  path: "/webhooks/v1/deliveries/{delivery_id}/replay",
  operationId: "replayWebhookDelivery",
  tags: ["Webhooks"],
  summary: "Send a webhook delivery again",
  description:
    "For managers and above. The delivery is due now, whatever its status, with the same webhook-id and the full schedule of retries.",
  security,
  request: { params: DeliveryKey, headers: idempotencyHeader },
  responses: {
    202: commandJson(WebhookDelivery, "The delivery is queued."),
    ...problems(["forbidden", "not_found", "endpoint_disabled"], { idempotent: true }),
  },
}, async (c) => {
  const answer = await c.var.rpc("replay_webhook_delivery", {
    ...c.req.valid("param"),
    idempotency: readIdempotency(c, undefined),
  });
  return c.json(answerCommand(c, answer), 202);
});
