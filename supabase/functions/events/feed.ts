import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { feedCursor, feedPosition } from "../_shared/feed.ts";
import { feedMoves } from "../_shared/feed_watch.ts";
import { Feed, FeedQuery } from "./schemas.ts";
import { beginWaiting } from "./waiting.ts";

/** Longest search among events that the filter excludes, before the answer reports how far the search came. */
const maxSearchMs = 1_000;

export const feed = endpoint({
  method: "get",
  path: "/events/v1/feed",
  operationId: "readFeed",
  tags: ["Events"],
  summary: "Follow events without missing one",
  description:
    "Returns events of the caller's workplaces in an order that never changes. A reader that resumes from `next_cursor` gets each " +
    "event exactly once, while any number of clients write. With `wait`, the answer comes as soon as an event arrives; a caller " +
    "without a workplace sees no events and gets the answer at once. At most 10 requests of a user and 50 of the secret key wait " +
    "at the same time. With `include=downtimes`, the page has events of downtimes beside them, in one order by `pos`.",
  security,
  request: { query: FeedQuery },
  responses: {
    200: json(Feed, "The next events; empty when there are none yet."),
    ...problems(["feed_reset", "rate_limited"]),
  },
}, async (c) => {
  const { after, limit, wait, include, workplace_name, action_type, order_no } = c.req.valid("query");
  const from = after === undefined ? undefined : await feedPosition(after);
  const read = (position = from) =>
    c.var.rpc("read_feed", {
      after_pos: position?.pos,
      generation: position?.generation,
      mark: position?.mark ?? undefined,
      workplace_names: workplace_name,
      action_types: action_type,
      order_no,
      take: limit,
      with_operations: include?.includes("operation"),
      with_downtimes: include?.includes("downtimes"),
    });

  const deadlineMs = performance.now() + wait * 1_000;
  const endWaiting = wait > 0 ? beginWaiting(c.var.session) : () => {};
  try {
    let page = await read();
    while (page.events.length + page.downtime_events.length === 0 && page.has_workplace && !c.req.raw.signal.aborted) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= (page.has_more ? -maxSearchMs : 0)) break;
      if (!page.has_more) await feedMoves(page, leftMs, c.req.raw.signal);
      page = await read(page);
    }
    // marks are of cursors, not of the contract
    const events = page.events.map(({ mark: _, ...event }) => event);
    const downtimes = include?.includes("downtimes")
      ? { downtime_events: page.downtime_events.map(({ mark: _, ...event }) => event) }
      : {};
    return c.json({ events, ...downtimes, next_cursor: await feedCursor(page) }, 200);
  } finally {
    endWaiting();
  }
});
