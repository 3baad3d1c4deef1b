import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, locationHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { requireTarget } from "./require-target.ts";
import { WebhookEndpointCreate, WebhookEndpointWithSecret } from "./schemas.ts";

export const createEndpoint = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints",
  operationId: "createWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Create a webhook endpoint",
  description:
    "For managers and above. The answer has the secret that verifies the signatures; it is not shown again. At most 100 endpoints " +
    "are enabled at a time.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: WebhookEndpointCreate } } },
  },
  responses: {
    201: {
      description: "As created, with its secret.",
      headers: locationHeader.extend(etagHeader.shape).extend(replayedHeader.shape),
      content: { "application/json": { schema: WebhookEndpointWithSecret } },
    },
    ...problems(["forbidden", "limit_reached", "secret_gone"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const url = await requireTarget(body.url);
  const answer = await c.var.callDatabase("create_webhook_endpoint", {
    endpoint: { ...body, url },
    idempotency: idempotency(c, body),
  });
  const created = answerBody(c, answer);
  c.header("ETag", `"${created.version}"`);
  c.header("Location", `/functions/v1/webhooks/v1/endpoints/${created.id}`);
  return c.json(created, 201);
});
