/**
 * Webhook deliveries: events on their way to endpoints, with their attempts.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../../_shared/database.ts";
import { eventId, instantOut } from "../../_shared/fields.ts";
import { listQuery } from "../../_shared/lists.ts";
import { endpointId } from "../../_shared/webhook_endpoint.ts";

declare module "../../_shared/database.ts" {
  interface Answers {
    list_webhook_deliveries: Page<WebhookDelivery>;
    get_webhook_delivery: WebhookDeliveryWithAttempts;
    replay_webhook_delivery: Answer<WebhookDelivery>;
    test_webhook_endpoint: Answer<WebhookDelivery>;
  }
}

const deliveryId = z.guid().openapi({
  description: "Id of the delivery.",
  example: "2c9d4e61-7b0a-4f35-8e1d-5a6b7c8d9e0f",
});

const WebhookDeliveryStatus = z.enum(["pending", "delivering", "delivered", "dead", "cancelled"])
  .openapi("WebhookDeliveryStatus", {
    description:
      "pending: waits for its next attempt. delivering: an attempt is under way. delivered: the receiver answered 2xx. dead: all attempts failed; the delivery can be replayed. cancelled: the endpoint was deleted.",
    example: "delivered",
  });

export const WebhookDelivery = z.object({
  id: deliveryId,
  webhook_id: z.string().openapi({
    description: "Header webhook-id of all attempts, by which receivers recognise duplicates.",
    example: "msg_2c9d4e61-7b0a-4f35-8e1d-5a6b7c8d9e0f",
  }),
  endpoint_id: endpointId("Endpoint that receives the message."),
  event_id: eventId("Event that the message contains; null for a ping.").nullable(),
  type: z.string().openapi({ description: "Type of the message.", example: "operation.start" }),
  status: WebhookDeliveryStatus,
  attempt_count: z.int().min(0).openapi({ description: "Number of attempts so far.", example: 1 }),
  next_attempt_at: instantOut().nullable().openapi({
    description:
      "When the next attempt is due. While delivering: when the server presumes the attempt lost. Null once settled.",
    example: null,
  }),
  response_status: z.int().nullable().openapi({
    description: "HTTP status of the last answer; null when there was none.",
    example: 200,
  }),
  error_message: z.string().nullable().openapi({ description: "Last error; null = none.", example: null }),
  created_at: instantOut().openapi({
    description: "When the delivery was queued.",
    example: "2026-11-23T08:15:00.120Z",
  }),
  settled_at: instantOut().nullable().openapi({
    description: "When the delivery became delivered, dead or cancelled.",
    example: "2026-11-23T08:15:00.480Z",
  }),
}).openapi("WebhookDelivery", { description: "An event on its way to an endpoint." });

const WebhookAttempt = z.object({
  attempt_no: z.int().min(1).openapi({ description: "Number of the attempt: 1, 2, 3, ...", example: 1 }),
  status: z.int().nullable().openapi({ description: "HTTP status; null when there was no answer.", example: 200 }),
  duration_ms: z.int().min(0).openapi({ description: "Duration in milliseconds.", example: 84 }),
  error_message: z.string().nullable().openapi({ description: "Error of the attempt; null = none.", example: null }),
  response: z.string().nullable().openapi({ description: "First 500 characters of the answer.", example: "ok" }),
  attempted_at: instantOut().openapi({ description: "When the attempt ended.", example: "2026-11-23T08:15:00.480Z" }),
}).openapi("WebhookAttempt", { description: "Result of one attempt." });

export const WebhookDeliveryWithAttempts = WebhookDelivery.extend({
  attempts: z.array(WebhookAttempt).openapi({ description: "All attempts, oldest first." }),
}).openapi("WebhookDeliveryWithAttempts", { description: "A delivery with its attempts." });

export type WebhookDelivery = z.infer<typeof WebhookDelivery>;
export type WebhookDeliveryWithAttempts = z.infer<typeof WebhookDeliveryWithAttempts>;

export const DeliveryKey = z.object({ delivery_id: deliveryId });

export const DeliveryQuery = z.strictObject({
  endpoint_id: endpointId("Endpoint."),
  event_id: eventId("Event."),
  status: WebhookDeliveryStatus.openapi({ description: "Status of the delivery.", example: "dead" }),
}).partial().extend(listQuery);
