import { endpoint } from "../_shared/app.ts";
import { etagHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { EndpointKey, WebhookEndpoint } from "./schemas.ts";

export const getEndpoint = endpoint({
  method: "get",
  path: "/webhooks/v1/endpoints/{endpoint_id}",
  operationId: "getWebhookEndpoint",
  tags: ["Webhooks"],
  summary: "Read a webhook endpoint",
  description: "For managers and above: the endpoint and how it is doing, without its secret.",
  security,
  request: { params: EndpointKey },
  responses: {
    200: {
      description: "The endpoint.",
      headers: etagHeader,
      content: { "application/json": { schema: WebhookEndpoint } },
    },
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => {
  const found = await c.var.callDatabase("get_webhook_endpoint", c.req.valid("param"));
  // for If-Match only: how it is doing changes without its version
  c.header("ETag", `"${found.version}"`);
  return c.json(found, 200);
});
