import { answerCreation, createdJson, idempotencyHeader, readIdempotency } from "../../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { requireTarget } from "./require-target.ts";
import { WebhookEndpointCreate, WebhookEndpointWithSecret } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints",
  operationId: "createWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Create a webhook endpoint",
  description:
    "For managers and above. The answer contains the secret that verifies the signatures; no other request shows it. At most 100 " +
    "endpoints can be enabled at the same time.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(WebhookEndpointCreate) },
  responses: {
    201: createdJson(WebhookEndpointWithSecret, "The new endpoint, with its secret."),
    ...commandProblems(["forbidden", "limit_reached", "secret_gone"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const url = await requireTarget(body.url);
  const answer = await c.var.rpc("create_webhook_endpoint", {
    endpoint: { ...body, url },
    idempotency: readIdempotency(c, body),
  });
  return c.json(answerCreation(c, answer, ({ id }) => ["webhooks", "v1", "endpoints", id]), 201);
});
