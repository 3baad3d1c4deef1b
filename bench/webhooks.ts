/**
 * `deno run -A bench/webhooks.ts [messages]`: how many webhooks are delivered per second, and how late a single one is.
 * The stack is durable and in a process of its own, its timer dispatches once a second; this process has the receivers.
 */
import { startDurableStack } from "./durable_stack.ts";

const messages = Number(Deno.args[0] ?? 2_000);
const operation = { order_no: "B-1", operation_no: "0010", workplace_name: "Bench" };
const quantity = { ...operation, action_type: "REPORT_QUANTITY", qty_good: 1 };

const stack = await startDurableStack();
const headers = { apikey: stack.secretKey, "content-type": "application/json" };

async function send<Body>(method: string, path: string, body?: unknown): Promise<Body> {
  const response = await fetch(`${stack.functionsUrl}${path}`, { method, headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
  return text === "" ? undefined as Body : JSON.parse(text);
}

/** Received messages by the ids of their events. */
let arrived = new Map<string, number>();
let count = 0;
let reached: { count: number; resolve: () => void } | undefined;

const receiver = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
  const [, id = ""] = /"id"\s*:\s*"([^"]+)"/.exec(await request.text()) ?? [];
  arrived.set(id, performance.now());
  count++;
  if (reached !== undefined && count >= reached.count) reached.resolve();
  return new Response("ok");
});

function deliveries(wanted: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  reached = { count: wanted, resolve };
  if (count >= wanted) resolve();
  return promise;
}

async function withEndpoints(endpoints: number, run: () => Promise<void>): Promise<void> {
  arrived = new Map();
  count = 0;
  const made: string[] = [];
  for (let index = 0; index < endpoints; index++) {
    const url = `http://127.0.0.1:${receiver.addr.port}/${index}`;
    made.push((await send<{ id: string }>("POST", "/webhooks/v1/endpoints", { url })).id);
  }
  await run();
  for (const id of made) await send("DELETE", `/webhooks/v1/endpoints/${id}`);
}

await send("POST", "/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" });
await send("POST", "/events/v1", { ...operation, action_type: "START" });

for (const endpoints of [1, 10]) {
  await withEndpoints(endpoints, async () => {
    const events = Math.ceil(messages / endpoints);
    for (let from = 0; from < events; from += 1_000) {
      await send("POST", "/events/v1/batch", { events: Array(Math.min(1_000, events - from)).fill(quantity) });
    }
    const [before, began] = [count, performance.now()];
    await deliveries(events * endpoints);
    const perSecond = Math.round((count - before) / (performance.now() - began) * 1_000);
    console.log(`${endpoints} endpoint(s), ${events * endpoints} messages waiting: ${perSecond} deliveries/s`);
  });
}

await withEndpoints(1, async () => {
  const sent = new Map<string, number>();
  for (let round = 0; round < 200; round++) {
    const id = crypto.randomUUID();
    await send("POST", "/events/v1", { ...quantity, id });
    sent.set(id, performance.now());
    await new Promise((resume) => setTimeout(resume, 50));
  }
  await deliveries(sent.size);
  const lags = [...sent].map(([id, at]) => (arrived.get(id) ?? Infinity) - at).sort((a, b) => a - b);
  const at = (share: number) => Math.round(lags[Math.floor((lags.length - 1) * share)] ?? 0);
  console.log(`20 events/s: each arrived after its answer by p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
});

await receiver.shutdown();
await stack.stop();
Deno.exit(0);
