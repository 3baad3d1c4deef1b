import { outliveAnswer } from "../../_shared/background.ts";
import { json, problems } from "../../_shared/contract.ts";
import type { Rpc } from "../../_shared/database.ts";
import { endpoint } from "../../_shared/endpoint.ts";
import { attempt, type Claimed } from "./attempt.ts";
import { Dispatched, DispatchQuery } from "./schemas.ts";
import { targetRules } from "./target.ts";

/** Most attempts at the same time. Half of them are reserved for endpoints with few attempts under way. */
const slots = 96;
const reservedSlots = slots / 2;
/** Most deliveries of one request, well within the platform's limit of processing time. */
const maxDeliveries = 200;
/** Time after which the request claims no more, so that its attempts end before the platform ends the request. */
const claimingMs = 40_000;
/** Time between two claims while slow attempts are under way. */
const pollMs = 100;
/** Longest time that the answer waits for attempts once nothing more is claimed. */
const endingMs = 500;
/** Time until the second try to record a result. */
const settleAgainMs = 1_000;
/** Time to gather attempts that end almost together, so that one claim fills all their slots. */
const gatherMs = 10;

export const dispatch = endpoint({
  method: "post",
  path: "/webhooks/v1/dispatch",
  operationId: "dispatchWebhooks",
  tags: ["Webhooks"],
  summary: "Send due deliveries",
  description:
    "For schedulers, with the secret key: call it about every second. Claims due deliveries under a lease, sends them and records " +
    "the results. Several requests may run in parallel. Ends when nothing is due, at the latest after about a minute.",
  security: [{ secretKey: [] }],
  request: { query: DispatchQuery },
  responses: {
    200: json(Dispatched, "Numbers of deliveries."),
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { endpoint_id } = c.req.valid("query");
  return c.json(await dispatchDue(c.var.rpc, endpoint_id), 200);
});

async function dispatchDue(rpc: Rpc, to_endpoints?: string[]): Promise<Dispatched> {
  const counts: Dispatched = { claimed: 0, delivered: 0, failed: 0, has_more: false };
  const rules = targetRules();
  const underWay = new Set<Promise<void>>();
  const claimUntilMs = performance.now() + claimingMs;

  const deliver = async (delivery: Claimed) => {
    const outcome = await attempt(delivery, rules);
    const { id: delivery_id, lease_token, url } = delivery;
    const settle = () => rpc("settle_delivery", { delivery_id, lease_token, url, ...outcome });
    try {
      // the database may be unavailable for a moment only
      const { status } = await settle().catch(() => pause(settleAgainMs).then(settle));
      counts[status === "delivered" ? "delivered" : "failed"]++;
    } catch (error) {
      // the lease expires, and the message is sent again with the same webhook-id
      counts.failed++;
      console.error(JSON.stringify({ delivery_id, error: String(error) }));
    }
  };

  let mayClaim = true;
  let answerByMs = Infinity;
  for (;;) {
    mayClaim &&= counts.claimed < maxDeliveries && performance.now() < claimUntilMs;
    if (!mayClaim) answerByMs = Math.min(answerByMs, performance.now() + endingMs);
    const free = slots - underWay.size;
    const take = mayClaim ? Math.min(free, maxDeliveries - counts.claimed) : 0;
    const beyond_share = Math.max(0, free - reservedSlots);
    const claimed = take > 0
      ? await claim(() => rpc("claim_deliveries", { take, beyond_share, to_endpoints }), underWay)
      : [];
    counts.claimed += claimed.length;
    for (const delivery of claimed) {
      const done = deliver(delivery).finally(() => underWay.delete(done));
      underWay.add(done);
    }
    if (underWay.size === 0) break;
    if (performance.now() >= answerByMs) {
      // a receiver that hangs must not delay the next request of the scheduler
      outliveAnswer(Promise.all(underWay));
      break;
    }
    await Promise.race([...underWay, pause(pollMs)]);
    if (underWay.size > 0) await pause(gatherMs);
  }
  counts.has_more = !mayClaim;
  return counts;
}

/** Claims deliveries. When the database fails, the attempts under way end before the error is raised. */
async function claim(more: () => Promise<Claimed[]>, underWay: Set<Promise<void>>): Promise<Claimed[]> {
  try {
    return await more();
  } catch (error) {
    await Promise.allSettled(underWay);
    throw error;
  }
}

const pause = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));
