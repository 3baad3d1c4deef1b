import { endpoint } from "../_shared/app.ts";
import { outliveAnswer } from "../_shared/background.ts";
import { problems } from "../_shared/contract.ts";
import type { CallDatabase } from "../_shared/database.ts";
import { attempt, type Claimed } from "./attempt.ts";
import { Dispatched, DispatchQuery } from "./schemas.ts";
import { targetRules } from "./target.ts";

/** Deliveries under way at once, half of them for endpoints with few under way. */
const places = 96;
const reserved = places / 2;
/** One call ends after so many, well within the platform's limit on processing time. */
const most = 200;
/** After so long nothing new is claimed: what is under way ends before the platform ends the request. */
const claiming_ms = 40_000;
/** While something slow is under way, how often to look for what came meanwhile. */
const poll_ms = 100;
/** Once nothing more is claimed, the answer waits so long for what is under way. */
const ending_ms = 500;
const settleAgain_ms = 1_000;
/** Several end at almost the same time: one claim for all of their places. */
const gather_ms = 10;

export const dispatch = endpoint({
  method: "post",
  path: "/webhooks/v1/dispatch",
  operationId: "dispatchWebhooks",
  tags: ["Webhooks"],
  summary: "Send what is due",
  description:
    "For schedulers, with the secret key: call it every second or so. Claims due deliveries under a lease, sends them and records " +
    "what came of it; may run in parallel with itself. Ends when nothing is due, at the latest after about a minute.",
  security: [{ secretKey: [] }],
  request: { query: DispatchQuery },
  responses: {
    200: { description: "What was done.", content: { "application/json": { schema: Dispatched } } },
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { endpoint_id } = c.req.valid("query");
  return c.json(await dispatchDue(c.var.callDatabase, endpoint_id), 200);
});

async function dispatchDue(callDatabase: CallDatabase, to_endpoints?: string[]): Promise<Dispatched> {
  const counts: Dispatched = { claimed: 0, delivered: 0, failed: 0, has_more: false };
  const rules = targetRules();
  const underWay = new Set<Promise<void>>();
  const until = performance.now() + claiming_ms;

  const deliver = async (delivery: Claimed) => {
    const outcome = await attempt(delivery, rules);
    const { id: delivery_id, lease_token, url } = delivery;
    const settle = () => callDatabase("settle_delivery", { delivery_id, lease_token, url, ...outcome });
    try {
      // the database may have been away for a moment only
      const { status } = await settle().catch(() => pause(settleAgain_ms).then(settle));
      counts[status === "delivered" ? "delivered" : "failed"]++;
    } catch (error) {
      // the lease ends, and it is sent again under the same webhook-id
      counts.failed++;
      console.error(JSON.stringify({ delivery_id, error: String(error) }));
    }
  };

  let mayClaim = true;
  let answerBy = Infinity;
  for (;;) {
    mayClaim &&= counts.claimed < most && performance.now() < until;
    if (!mayClaim) answerBy = Math.min(answerBy, performance.now() + ending_ms);
    const free = places - underWay.size;
    const take = mayClaim ? Math.min(free, most - counts.claimed) : 0;
    const beyond_share = Math.max(0, free - reserved);
    const claimed = take > 0
      ? await claim(() => callDatabase("claim_deliveries", { take, beyond_share, to_endpoints }), underWay)
      : [];
    counts.claimed += claimed.length;
    for (const delivery of claimed) {
      const done = deliver(delivery).finally(() => underWay.delete(done));
      underWay.add(done);
    }
    if (underWay.size === 0) break;
    if (performance.now() >= answerBy) {
      // a receiver that hangs must not keep a caller that waits from calling again
      outliveAnswer(Promise.all(underWay));
      break;
    }
    await Promise.race([...underWay, pause(poll_ms)]);
    if (underWay.size > 0) await pause(gather_ms);
  }
  counts.has_more = !mayClaim;
  return counts;
}

/** When the database goes away while something is under way, that is brought to its end first. */
async function claim(more: () => Promise<Claimed[]>, underWay: Set<Promise<void>>): Promise<Claimed[]> {
  try {
    return await more();
  } catch (error) {
    await Promise.allSettled(underWay);
    throw error;
  }
}

const pause = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));
