import { endpoint } from "../_shared/app.ts";
import { ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { EndpointKey } from "./schemas.ts";

export const deleteEndpoint = endpoint({
  method: "delete",
  path: "/webhooks/v1/endpoints/{endpoint_id}",
  operationId: "deleteWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Delete a webhook endpoint",
  description: "For managers and above. What is queued is cancelled; past deliveries can still be read.",
  security,
  request: { params: EndpointKey, headers: ifMatchHeader },
  responses: {
    204: { description: "It is deleted." },
    ...problems(["malformed_request", "forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  await c.var.callDatabase("delete_webhook_endpoint", { ...c.req.valid("param"), if_match: ifMatch(c) });
  return c.body(null, 204);
});
