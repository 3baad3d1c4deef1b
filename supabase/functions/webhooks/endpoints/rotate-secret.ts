import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { EndpointKey, WebhookEndpointWithSecret, WebhookSecretRotation } from "./schemas.ts";

export const rotateSecret = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints/{endpoint_id}/rotate",
  operationId: "rotateWebhookSecret",
  tags: ["Webhooks"],
  summary: "Rotate the secret of a webhook endpoint",
  description:
    "For managers and above. Until the previous secret expires, messages carry signatures by both secrets, so that receivers can " +
    "change over in between.",
  security,
  request: { params: EndpointKey, headers: idempotencyHeader, body: jsonBody(WebhookSecretRotation) },
  responses: {
    200: commandJson(WebhookEndpointWithSecret, "The endpoint with its new secret."),
    ...commandProblems(["forbidden", "not_found", "secret_gone"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("rotate_webhook_secret", {
    ...c.req.valid("param"),
    ...body,
    idempotency: readIdempotency(c, body),
  });
  return c.json(answerCommand(c, answer), 200);
});
