import { setEtag, versionedJson } from "../../_shared/conditional.ts";
import { problems, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { WebhookEndpoint } from "../../_shared/webhook_endpoint.ts";
import { EndpointKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/webhooks/v1/endpoints/{endpoint_id}",
  operationId: "getWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Read a webhook endpoint",
  description: "For managers and above. Returns the endpoint with the state of its deliveries, without its secret.",
  security,
  request: { params: EndpointKey },
  responses: {
    200: versionedJson(WebhookEndpoint, "The endpoint."),
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => {
  const found = await c.var.rpc("get_webhook_endpoint", c.req.valid("param"));
  // for If-Match only: the state of the deliveries changes without the version
  setEtag(c, found.version);
  return c.json(found, 200);
});
