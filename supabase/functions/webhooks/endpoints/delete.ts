import { deleted } from "../../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../../_shared/conditional.ts";
import { problems, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { EndpointKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/webhooks/v1/endpoints/{endpoint_id}",
  operationId: "deleteWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Delete a webhook endpoint",
  description: "For managers and above. Cancels queued deliveries. Past deliveries can still be read.",
  security,
  request: { params: EndpointKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  await c.var.rpc("delete_webhook_endpoint", { ...c.req.valid("param"), if_match: readIfMatch(c) });
  return c.body(null, 204);
});
