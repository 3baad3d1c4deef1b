import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader, ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { requireTarget } from "./require-target.ts";
import { EndpointKey, WebhookEndpoint, WebhookEndpointUpdate } from "./schemas.ts";

export const updateEndpoint = endpoint({
  method: "patch",
  path: "/webhooks/v1/endpoints/{endpoint_id}",
  operationId: "updateWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Change a webhook endpoint",
  description: "For managers and above. What is queued goes to the new URL; filters hold for events from now on.",
  security,
  request: {
    params: EndpointKey,
    headers: ifMatchHeader.extend(idempotencyHeader.shape),
    body: { required: true, content: { "application/json": { schema: WebhookEndpointUpdate } } },
  },
  responses: {
    200: {
      description: "As changed.",
      headers: etagHeader.extend(replayedHeader.shape),
      content: { "application/json": { schema: WebhookEndpoint } },
    },
    ...problems(["forbidden", "not_found", "limit_reached", "stale_version"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const patch = body.url === undefined ? body : { ...body, url: await requireTarget(body.url) };
  const answer = await c.var.callDatabase("update_webhook_endpoint", {
    ...c.req.valid("param"),
    patch,
    if_match: ifMatch(c),
    idempotency: idempotency(c, body),
  });
  const changed = answerBody(c, answer);
  c.header("ETag", `"${changed.version}"`);
  return c.json(changed, 200);
});
