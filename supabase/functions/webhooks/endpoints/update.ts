import { answerChange, changedJson, changeHeaders, readIdempotency } from "../../_shared/commands.ts";
import { readIfMatch } from "../../_shared/conditional.ts";
import { commandProblems, jsonBody, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { requireTarget } from "./require-target.ts";
import { WebhookEndpoint } from "../../_shared/webhook_endpoint.ts";
import { EndpointKey, WebhookEndpointUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/webhooks/v1/endpoints/{endpoint_id}",
  operationId: "updateWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Change a webhook endpoint",
  description: "For managers and above. Queued deliveries go to the new URL. Filters apply to events from now on.",
  security,
  request: { params: EndpointKey, headers: changeHeaders, body: jsonBody(WebhookEndpointUpdate) },
  responses: {
    200: changedJson(WebhookEndpoint, "The changed endpoint."),
    ...commandProblems(["forbidden", "not_found", "limit_reached", "stale_version"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const patch = body.url === undefined ? body : { ...body, url: await requireTarget(body.url) };
  const answer = await c.var.rpc("update_webhook_endpoint", {
    ...c.req.valid("param"),
    patch,
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, body),
  });
  return c.json(answerChange(c, answer), 200);
});
