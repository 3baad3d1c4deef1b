/**
 * Webhook endpoints: URLs that receive events, and which events.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { exampleCursor, maxCursorLength } from "../../_shared/cursors.ts";
import type { Answer, Page } from "../../_shared/database.ts";
import type { FeedPosition } from "../../_shared/feed.ts";
import { instant, patchOf } from "../../_shared/fields.ts";
import { flag, listQuery } from "../../_shared/lists.ts";
import { endpointFields, endpointId, WebhookEndpoint } from "../../_shared/webhook_endpoint.ts";

declare module "../../_shared/database.ts" {
  interface Answers {
    list_webhook_endpoints: Page<WebhookEndpoint>;
    get_webhook_endpoint: WebhookEndpoint;
    create_webhook_endpoint: Answer<WebhookEndpointWithSecret>;
    update_webhook_endpoint: Answer<WebhookEndpoint>;
    delete_webhook_endpoint: undefined;
    rotate_webhook_secret: Answer<WebhookEndpointWithSecret>;
    replay_webhook_events: Answer<FeedPosition & { replayed: number; has_more: boolean }>;
  }
}

export const WebhookEndpointWithSecret = WebhookEndpoint.extend({
  secret: z.string().openapi({
    description: "Secret that verifies the signatures (Standard Webhooks). Only this answer shows it: store it.",
    example: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
  }),
}).openapi("WebhookEndpointWithSecret", { description: "An endpoint with its new secret." });

export const WebhookEndpointCreate = z.strictObject({
  ...z.object(endpointFields).partial().shape,
  url: endpointFields.url,
})
  .openapi("WebhookEndpointCreate", {
    description: "A new endpoint. By default it receives all events.",
    example: { url: "https://erp.example.com/hooks/mes", action_types: ["START", "FINISH"] },
  });

export const WebhookEndpointUpdate = patchOf(endpointFields)
  .openapi("WebhookEndpointUpdate", {
    description: "New values of the endpoint.",
    minProperties: 1,
    example: { enabled: true },
  });

export const WebhookSecretRotation = z.strictObject({
  overlap_h: z.int().min(0).max(168).default(24).openapi({
    description: "Hours for which the previous secret signs, too.",
    example: 24,
  }),
}).openapi("WebhookSecretRotation", { description: "Rotation of the secret.", example: { overlap_h: 24 } });

export const WebhookReplay = z.strictObject({
  after: z.string().max(maxCursorLength).optional().openapi({
    description:
      "Cursor of the event feed after which the range begins. Without this and `since`, the range begins with the " +
      "oldest stored event.",
    example: exampleCursor,
  }),
  since: instant().optional().openapi({
    description: "Time at which the range begins, instead of `after`.",
    example: "2026-11-23T08:00:00Z",
  }),
  until: z.string().max(maxCursorLength).optional().openapi({
    description: "Cursor of the event feed up to which the range goes; the newest event by default.",
    example: exampleCursor,
  }),
}).refine(({ after, since }) => after === undefined || since === undefined, {
  error: "excludes after",
  path: ["since"],
}).openapi("WebhookReplay", {
  description: "A range of the event feed.",
  example: { since: "2026-11-23T08:00:00Z" },
});

export const WebhookReplayed = z.object({
  replayed: z.int().min(0).openapi({ description: "Number of queued deliveries.", example: 12 }),
  next_cursor: z.string().openapi({
    description:
      "Cursor of the event feed at which the request ended: continue with it as `after` while `has_more` is true.",
    example: exampleCursor,
  }),
  has_more: z.boolean().openapi({ description: "True when the range has more events.", example: false }),
}).openapi("WebhookReplayed", { description: "Result of a replay." });

export type WebhookEndpointWithSecret = z.infer<typeof WebhookEndpointWithSecret>;
export type WebhookReplayed = z.infer<typeof WebhookReplayed>;

export const EndpointKey = z.object({ endpoint_id: endpointId("Id of the endpoint.") });

export const EndpointQuery = z.strictObject({
  enabled: flag.openapi({ description: "True: enabled endpoints only. False: disabled ones only.", example: true }),
}).partial().extend(listQuery);
