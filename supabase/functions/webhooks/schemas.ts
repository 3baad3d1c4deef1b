/**
 * Webhooks: endpoints that are told of events, and what became of each delivery.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import type { FeedPosition } from "../_shared/feed.ts";
import { instant, instantOut, key, text } from "../_shared/fields.ts";
import { flag, listQuery, repeatable } from "../_shared/lists.ts";
import { Action } from "../_shared/operation.ts";
import type { Claimed } from "./attempt.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    list_webhook_endpoints: Page<WebhookEndpoint>;
    get_webhook_endpoint: WebhookEndpoint;
    create_webhook_endpoint: Answer<WebhookEndpointWithSecret>;
    update_webhook_endpoint: Answer<WebhookEndpoint>;
    delete_webhook_endpoint: undefined;
    rotate_webhook_secret: Answer<WebhookEndpointWithSecret>;
    test_webhook_endpoint: Answer<WebhookDelivery>;
    list_webhook_deliveries: Page<WebhookDelivery>;
    get_webhook_delivery: WebhookDeliveryWithAttempts;
    replay_webhook_delivery: Answer<WebhookDelivery>;
    replay_webhook_events: Answer<FeedPosition & { replayed: number; has_more: boolean }>;
    claim_deliveries: Claimed[];
    settle_delivery: { settled: boolean; status: string | null };
  }
}

const fields = {
  url: text(2048).openapi({
    description:
      "Where to send: https to a public host, port 443 or 8443 unless configured otherwise, without user and password.",
    example: "https://erp.example.com/hooks/mes",
  }),
  description: text(500).nullable().openapi({ description: "What it is for.", example: "Plan board of the ERP" }),
  action_types: z.array(Action).min(1).max(10).nullable().openapi({
    description: "Only events of these actions; null = all.",
    example: ["START", "FINISH"],
  }),
  workplace_names: z.array(key()).min(1).max(100).nullable().openapi({
    description: "Only events at these workplaces; null = all.",
    example: ["TruLaser 5060 (L76)"],
  }),
  order_prefix: key().nullable().openapi({
    description: "Only events of orders whose number begins so; null = all.",
    example: "4038",
  }),
  enabled: z.boolean().openapi({
    description:
      "False: nothing is sent, and events of this time are not queued; replay them when it is enabled again.",
    example: true,
  }),
};

const id = (description: string) => z.guid().openapi({ description, example: "7a3f0c52-9d1e-4b8f-a6c4-2e5d8b1f7c90" });

export const WebhookEndpoint = z.object({
  id: id("Id of the endpoint."),
  ...fields,
  disabled_reason: z.enum(["manual", "gone", "failing"]).nullable().openapi({
    description:
      "Why it is disabled: switched off (manual), it answered 410 (gone), or nothing but failures for 5 days (failing).",
    example: null,
  }),
  disabled_at: instantOut().nullable().openapi({ description: "Since when it is disabled.", example: null }),
  failing_since: instantOut().nullable().openapi({
    description: "First failure after the last success; null while it works.",
    example: null,
  }),
  paused_until: instantOut().nullable().openapi({
    description: "It asked for a pause (429, 502, 504, Retry-After) until then.",
    example: null,
  }),
  previous_secret_until: instantOut().nullable().openapi({
    description: "Until when the previous secret signs too; null when there is none.",
    example: null,
  }),
  version: z.int().min(1).openapi({ description: "Number of the last change; the ETag.", example: 1 }),
  created_at: instantOut().openapi({ description: "When it was made.", example: "2026-11-23T08:00:00.000Z" }),
  updated_at: instantOut().openapi({ description: "When it last changed.", example: "2026-11-23T08:00:00.000Z" }),
}).openapi("WebhookEndpoint", { description: "A URL that is told of events, and of which." });

export const WebhookEndpointWithSecret = WebhookEndpoint.extend({
  secret: z.string().openapi({
    description: "Verifies the signatures (Standard Webhooks). Shown here only: keep it.",
    example: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
  }),
}).openapi("WebhookEndpointWithSecret", { description: "An endpoint with its new secret." });

export const WebhookEndpointCreate = z.strictObject({ ...z.object(fields).partial().shape, url: fields.url })
  .openapi("WebhookEndpointCreate", {
    description: "A new endpoint: all events, unless filters say otherwise.",
    example: { url: "https://erp.example.com/hooks/mes", action_types: ["START", "FINISH"] },
  });

export const WebhookEndpointUpdate = z.strictObject(fields).partial()
  .refine((patch) => Object.keys(patch).length > 0, {
    error: "must have at least one field",
    when: ({ issues }) => issues.length === 0,
  })
  .openapi("WebhookEndpointUpdate", {
    description: "What shall be so afterwards.",
    minProperties: 1,
    example: { enabled: true },
  });

export const WebhookSecretRotation = z.strictObject({
  overlap_h: z.int().min(0).max(168).default(24).openapi({
    description: "Hours for which the previous secret signs too.",
    example: 24,
  }),
}).openapi("WebhookSecretRotation", { description: "How to rotate the secret.", example: { overlap_h: 24 } });

export const WebhookDelivery = z.object({
  id: id("Id of the delivery."),
  webhook_id: z.string().openapi({
    description: "Header webhook-id of all its attempts: receivers tell repetitions by it.",
    example: "msg_7a3f0c52-9d1e-4b8f-a6c4-2e5d8b1f7c90",
  }),
  endpoint_id: id("Endpoint it goes to."),
  event_id: z.guid().nullable().openapi({
    description: "Event it tells of; null for a ping.",
    example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10",
  }),
  type: z.string().openapi({ description: "Type of the message.", example: "operation.start" }),
  status: z.enum(["pending", "delivering", "delivered", "dead", "cancelled"]).openapi({
    description:
      "pending: waits for its (next) attempt; delivering: under way; delivered: answered 2xx; dead: given up, can be replayed; cancelled: its endpoint was deleted.",
    example: "delivered",
  }),
  attempt_count: z.int().min(0).openapi({ description: "Attempts so far.", example: 1 }),
  next_attempt_at: instantOut().nullable().openapi({
    description: "When it is due; while delivering, when it is taken for lost and due again; null when settled.",
    example: null,
  }),
  response_status: z.int().nullable().openapi({
    description: "HTTP status of the last answer; null when there was none.",
    example: 200,
  }),
  error_message: z.string().nullable().openapi({ description: "What went wrong last; null = nothing.", example: null }),
  created_at: instantOut().openapi({ description: "When it was queued.", example: "2026-11-23T08:15:00.120Z" }),
  settled_at: instantOut().nullable().openapi({
    description: "When it was delivered, given up or cancelled.",
    example: "2026-11-23T08:15:00.480Z",
  }),
}).openapi("WebhookDelivery", { description: "An event on its way to an endpoint." });

const WebhookAttempt = z.object({
  attempt_no: z.int().min(1).openapi({ description: "1, 2, 3, ...", example: 1 }),
  status: z.int().nullable().openapi({ description: "HTTP status; null when there was no answer.", example: 200 }),
  duration_ms: z.int().min(0).openapi({ description: "How long it took, in milliseconds.", example: 84 }),
  error_message: z.string().nullable().openapi({ description: "What went wrong; null = nothing.", example: null }),
  response: z.string().nullable().openapi({ description: "First 500 characters of the answer.", example: "ok" }),
  attempted_at: instantOut().openapi({ description: "When it ended.", example: "2026-11-23T08:15:00.480Z" }),
}).openapi("WebhookAttempt", { description: "What came of an attempt." });

export const WebhookDeliveryWithAttempts = WebhookDelivery.extend({
  attempts: z.array(WebhookAttempt).openapi({ description: "All attempts, the first one first." }),
}).openapi("WebhookDeliveryWithAttempts", { description: "A delivery and its attempts." });

export const WebhookReplay = z.strictObject({
  after: z.string().max(2_000).optional().openapi({
    description:
      "Cursor of the feed after which to begin; the oldest event kept when neither this nor `since` is given.",
    example: "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJsaXN0IjoiZmVlZCJ9.c2lnbmF0dXJl",
  }),
  since: instant().optional().openapi({
    description: "Or the time from which to begin.",
    example: "2026-11-23T08:00:00Z",
  }),
  until: z.string().max(2_000).optional().openapi({
    description: "Cursor of the feed up to which to go; the newest event when left out.",
    example: "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJsaXN0IjoiZmVlZCJ9.c2lnbmF0dXJl",
  }),
}).refine(({ after, since }) => after === undefined || since === undefined, {
  error: "excludes after",
  path: ["since"],
}).openapi("WebhookReplay", {
  description: "A stretch of the feed.",
  example: { since: "2026-11-23T08:00:00Z" },
});

export const WebhookReplayed = z.object({
  replayed: z.int().min(0).openapi({ description: "Deliveries that were queued.", example: 12 }),
  next_cursor: z.string().openapi({
    description: "Cursor of the feed where this call ended: go on with it as `after` when there is more.",
    example: "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJsaXN0IjoiZmVlZCJ9.c2lnbmF0dXJl",
  }),
  has_more: z.boolean().openapi({ description: "True when the stretch goes on.", example: false }),
}).openapi("WebhookReplayed", { description: "What was queued." });

export const DispatchQuery = z.strictObject({
  endpoint_id: repeatable(z.guid()).openapi({
    type: "array",
    items: { type: "string", format: "uuid" },
    minItems: 1,
    maxItems: 100,
    description: "Send to these endpoints only; repeat the parameter for several.",
    example: ["7a3f0c52-9d1e-4b8f-a6c4-2e5d8b1f7c90"],
  }),
}).partial();

export const Dispatched = z.object({
  claimed: z.int().min(0).openapi({ description: "Deliveries that were tried.", example: 3 }),
  delivered: z.int().min(0).openapi({ description: "Of these, delivered by now.", example: 2 }),
  failed: z.int().min(0).openapi({ description: "Of these, failed by now; the rest is still under way.", example: 1 }),
  has_more: z.boolean().openapi({ description: "True: more may be due, call again at once.", example: false }),
}).openapi("Dispatched", { description: "What a dispatcher did." });

export type WebhookEndpoint = z.infer<typeof WebhookEndpoint>;
export type WebhookEndpointWithSecret = z.infer<typeof WebhookEndpointWithSecret>;
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;
export type WebhookDeliveryWithAttempts = z.infer<typeof WebhookDeliveryWithAttempts>;
export type WebhookReplayed = z.infer<typeof WebhookReplayed>;
export type Dispatched = z.infer<typeof Dispatched>;

export const EndpointKey = z.object({ endpoint_id: id("Id of the endpoint.") });
export const DeliveryKey = z.object({ delivery_id: id("Id of the delivery.") });

export const EndpointQuery = z.strictObject({
  enabled: flag.openapi({ type: "boolean", description: "Enabled, or disabled.", example: true }),
}).partial().extend(listQuery);

export const DeliveryQuery = z.strictObject({
  endpoint_id: id("Endpoint."),
  event_id: z.guid().openapi({ description: "Event.", example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10" }),
  status: WebhookDelivery.shape.status.openapi({ description: "Status.", example: "dead" }),
}).partial().extend(listQuery);
