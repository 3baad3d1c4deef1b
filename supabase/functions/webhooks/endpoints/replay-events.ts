import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../../_shared/contract.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { feedCursor, feedPosition } from "../../_shared/feed.ts";
import { EndpointKey, WebhookReplay, WebhookReplayed } from "./schemas.ts";

export const replayEvents = endpoint({
  method: "post",
  path: "/webhooks/v1/endpoints/{endpoint_id}/replay",
  operationId: "replayWebhookEvents",
  tags: ["Webhooks"],
  summary: "Send a range of the event feed to a webhook endpoint",
  description:
    "For managers and above. Queues the events of the range that match the endpoint's filters, whether they were sent before or " +
    "not, including events from before the endpoint existed. A request covers at most 1,000 events of the feed; continue with " +
    "`next_cursor` while `has_more` is true.",
  security,
  request: { params: EndpointKey, headers: idempotencyHeader, body: jsonBody(WebhookReplay) },
  responses: {
    202: commandJson(WebhookReplayed, "The events are queued."),
    ...commandProblems(["forbidden", "not_found", "endpoint_disabled", "feed_reset"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const after = body.after === undefined ? undefined : await feedPosition(body.after, "/after", "body");
  const until = body.until === undefined ? undefined : await feedPosition(body.until, "/until", "body");
  const answer = await c.var.rpc("replay_webhook_events", {
    ...c.req.valid("param"),
    after_pos: after?.pos,
    after_mark: after?.mark ?? undefined,
    until_pos: until?.pos,
    until_mark: until?.mark ?? undefined,
    generation: after?.generation ?? until?.generation,
    since: body.since,
    idempotency: readIdempotency(c, body),
  });
  const { replayed, has_more, ...position } = answerCommand(c, answer);
  return c.json({ replayed, next_cursor: await feedCursor(position), has_more }, 202);
});
