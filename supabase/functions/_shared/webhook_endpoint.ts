/**
 * The webhook endpoint as the API answers it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { instantOut, key, text, versionFields } from "./fields.ts";
import { Action } from "./operation.ts";

/** Id of an endpoint. */
export const endpointId = (description: string) =>
  z.guid().openapi({ description, example: "7a3f0c52-9d1e-4b8f-a6c4-2e5d8b1f7c90" });

export const endpointFields = {
  url: text(2048).openapi({
    description:
      "URL of the receiver: https to a public host, port 443 or 8443 unless configured otherwise, without user and password.",
    example: "https://erp.example.com/hooks/mes",
  }),
  description: text(500).nullable().openapi({
    description: "Purpose of the endpoint.",
    example: "Plan board of the ERP",
  }),
  action_types: z.array(Action).min(1).max(10).nullable().openapi({
    description: "Actions of the events of operations to send; null = all.",
    example: ["START", "FINISH"],
  }),
  workplace_names: z.array(key()).min(1).max(100).nullable().openapi({
    description: "Workplaces of the events to send; null = all.",
    example: ["TruLaser 5060 (L76)"],
  }),
  order_prefix: key().nullable().openapi({
    description: "Prefix of the order numbers of the events to send; null = all.",
    example: "4038",
  }),
  downtimes: z.boolean().openapi({
    description: "True: events of downtimes too, at these workplaces; by default false. None with an order_prefix.",
    example: true,
  }),
  enabled: z.boolean().openapi({
    description:
      "False: the server sends nothing and queues no events. Replay the events of this time when the endpoint is enabled again.",
    example: true,
  }),
};

const WebhookDisabledReason = z.enum(["manual", "gone", "failing"]).openapi("WebhookDisabledReason", {
  description:
    "manual: a manager switched it off. gone: the receiver answered 410. failing: all deliveries failed for 5 days.",
  example: "failing",
});

export const WebhookEndpoint = z.object({
  id: endpointId("Id of the endpoint."),
  ...endpointFields,
  disabled_reason: WebhookDisabledReason.nullable().openapi({
    description: "Why the endpoint is disabled; null while it is enabled.",
    example: null,
  }),
  disabled_at: instantOut().nullable().openapi({ description: "Since when the endpoint is disabled.", example: null }),
  failing_since: instantOut().nullable().openapi({
    description: "First failure after the last success; null while deliveries succeed.",
    example: null,
  }),
  paused_until: instantOut().nullable().openapi({
    description: "End of the pause that the receiver asked for by 429, 502, 504 or Retry-After.",
    example: null,
  }),
  previous_secret_until: instantOut().nullable().openapi({
    description: "Until when the previous secret signs, too; null when there is none.",
    example: null,
  }),
  ...versionFields,
}).openapi("WebhookEndpoint", { description: "A URL that receives events, and which events." });

export type WebhookEndpoint = z.infer<typeof WebhookEndpoint>;
