import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { feedCursor, feedPosition } from "../_shared/feed.ts";
import { EndpointKey, WebhookReplay, WebhookReplayed } from "./schemas.ts";

export const replayEvents = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints/{endpoint_id}/replay",
  operationId: "replayWebhookEvents",
  tags: ["Webhooks"],
  summary: "Send a stretch of the feed to a webhook endpoint",
  description:
    "For managers and above: queues the events that the endpoint's filter wants, sent before or not, also those of before it existed. " +
    "A call goes through at most 1,000 events of the feed; go on with `next_cursor` while `has_more`.",
  security,
  request: {
    params: EndpointKey,
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: WebhookReplay } } },
  },
  responses: {
    202: {
      description: "They are queued.",
      headers: replayedHeader,
      content: { "application/json": { schema: WebhookReplayed } },
    },
    ...problems(["forbidden", "not_found", "endpoint_disabled", "feed_reset"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const after = body.after === undefined ? undefined : await feedPosition(body.after, "/after", "body");
  const until = body.until === undefined ? undefined : await feedPosition(body.until, "/until", "body");
  const answer = await c.var.callDatabase("replay_webhook_events", {
    ...c.req.valid("param"),
    after_pos: after?.pos,
    after_mark: after?.mark ?? undefined,
    until_pos: until?.pos,
    until_mark: until?.mark ?? undefined,
    generation: after?.generation ?? until?.generation,
    since: body.since,
    idempotency: idempotency(c, body),
  });
  const { replayed, has_more, ...position } = answerBody(c, answer);
  return c.json({ replayed, next_cursor: await feedCursor(position), has_more }, 202);
});
