import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { EndpointKey, WebhookEndpointWithSecret, WebhookSecretRotation } from "./schemas.ts";

export const rotateSecret = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints/{endpoint_id}/rotate",
  operationId: "rotateWebhookSecret",
  tags: ["Webhooks"],
  summary: "Rotate the secret of a webhook endpoint",
  description:
    "For managers and above. Messages carry signatures by both secrets until the previous one ends, so that receivers can change over in between.",
  security,
  request: {
    params: EndpointKey,
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: WebhookSecretRotation } } },
  },
  responses: {
    200: {
      description: "The endpoint with its new secret.",
      headers: replayedHeader,
      content: { "application/json": { schema: WebhookEndpointWithSecret } },
    },
    ...problems(["forbidden", "not_found", "secret_gone"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.callDatabase("rotate_webhook_secret", {
    ...c.req.valid("param"),
    ...body,
    idempotency: idempotency(c, body),
  });
  return c.json(answerBody(c, answer), 200);
});
