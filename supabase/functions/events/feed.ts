import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { feedCursor, feedPosition } from "../_shared/feed.ts";
import { feedMoves } from "../_shared/feed_watch.ts";
import { Feed, FeedQuery } from "./schemas.ts";
import { beginWaiting } from "./waiting.ts";

/** How long a request goes through events that its filter leaves out before it answers with where it is. */
const searchTime_ms = 1_000;

export const feed = endpoint({
  method: "get",
  path: "/events/v1/feed",
  operationId: "readFeed",
  tags: ["Events"],
  summary: "Follow events without missing one",
  description:
    "Events of the caller's workplaces, in an order that never changes behind a reader: whoever reads on from `next_cursor` gets each event " +
    "exactly once, however many write at the same time. With `wait` the answer comes as soon as there is an event; at once to " +
    "a caller without a workplace, who sees none. At most 10 requests of a user and 50 of the secret key wait at once.",
  security,
  request: { query: FeedQuery },
  responses: {
    200: {
      description: "The next events; none when there are none yet.",
      content: { "application/json": { schema: Feed } },
    },
    ...problems(["feed_reset", "rate_limited"]),
  },
}, async (c) => {
  const { after, limit, wait, workplace_name, action_type, order_no } = c.req.valid("query");
  const from = after === undefined ? undefined : await feedPosition(after);
  const read = (position = from) =>
    c.var.callDatabase("read_feed", {
      after_pos: position?.pos,
      generation: position?.generation,
      mark: position?.mark ?? undefined,
      workplace_names: workplace_name,
      action_types: action_type,
      order_no,
      take: limit,
    });

  const deadline = performance.now() + wait * 1_000;
  const endWaiting = wait > 0 ? beginWaiting(c.var.session) : () => {};
  try {
    let page = await read();
    while (page.events.length === 0 && page.has_workplace && !c.req.raw.signal.aborted) {
      const left_ms = deadline - performance.now();
      if (left_ms <= (page.has_more ? -searchTime_ms : 0)) break;
      if (!page.has_more) await feedMoves(page, left_ms, c.req.raw.signal);
      page = await read(page);
    }
    return c.json({ events: page.events, next_cursor: await feedCursor(page) }, 200);
  } finally {
    endWaiting();
  }
});
