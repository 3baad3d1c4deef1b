/**
 * `deno run -A bench/stream.ts [streams] [seconds]`: how late events are, and what streams cost. One process is the
 * isolate of the function; this one has the stack, a writer and the readers: half Server-Sent Events, half WebSockets,
 * each following everything.
 */
import { startStack } from "../local/stack.ts";
import { startIsolate } from "./isolate.ts";

const [count = 500, seconds = 20] = Deno.args.filter((arg) => /^\d+$/.test(arg)).map(Number);
const eventsPerSecond = 20;

/** Streams that one user may have. */
const streamsOfUser = 10;

await bench();

async function bench(): Promise<void> {
  const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: () => {} });
  const { isolate, base } = await startIsolate("stream_isolate.ts", stack);
  const memory = async () => {
    const { rss, heapUsed } = await (await fetch(`${base}/memory`)).json();
    const { stdout } = await new Deno.Command("ps", { args: ["-o", "time=", "-p", String(isolate.pid)] }).output();
    const cpu = new TextDecoder().decode(stdout).trim();
    return { rss_mib: Math.round(rss / 1_048_576), heap_mib: Math.round(heapUsed / 1_048_576), cpu };
  };
  const headers = { apikey: stack.keys.secretKey };
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`${stack.url}/functions/v1${path}`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
  };
  const operation = { order_no: "B-1", operation_no: "0010", workplace_name: "Bench" };
  await post("/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" });
  await post("/events/v1", { ...operation, action_type: "START" });

  const signUp = async (): Promise<Record<string, string>> => {
    const response = await fetch(`${stack.url}/auth/v1/signup`, {
      method: "POST",
      headers: { apikey: stack.keys.publishableKey, "content-type": "application/json" },
      body: JSON.stringify({ email: `${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() }),
    });
    const { user, access_token } = await response.json();
    const granted = await fetch(`${stack.url}/functions/v1/profiles/v1/${user.id}`, {
      method: "PATCH",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify({ workplace_access: [operation.workplace_name] }),
    });
    if (!granted.ok) throw new Error(await granted.text());
    await granted.body?.cancel();
    return { authorization: `Bearer ${access_token}` };
  };
  const readers: Record<string, string>[] = [];
  while (readers.length < count / streamsOfUser) readers.push(await signUp());

  const lags: Record<string, number[]> = { sse: [], websocket: [] };
  // what the client sent it at is in the event itself, so that all is counted from the request on
  // (parsing 500 copies would be the bench's own lag)
  const take = (transport: string, text: string) => {
    const [, at] = /"sent":([\d.]+)/.exec(text) ?? [];
    if (at !== undefined) lags[transport]?.push(performance.timeOrigin + performance.now() - Number(at));
  };
  const follow = async (headers: Record<string, string>) => {
    const response = await fetch(`${base}/stream/v1/events`, { headers });
    let rest = "";
    const ready = Promise.withResolvers<void>();
    (async () => {
      for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        ready.resolve();
        const blocks = (rest + text).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) take("sse", block);
      }
    })().catch(() => {});
    await ready.promise;
  };
  const connect = async (headers: Record<string, string>) => {
    const socket = new WebSocket(`${base.replace("http", "ws")}/stream/v1/ws`, { headers });
    const ready = Promise.withResolvers<void>();
    socket.onmessage = ({ data }) => {
      ready.resolve();
      take("websocket", data);
    };
    socket.onerror = () => ready.reject(new Error("refused"));
    await ready.promise;
  };

  console.log("no streams:", await memory());
  const began = performance.now();
  for (const reader of readers) {
    await Promise.all(
      Array.from({ length: streamsOfUser }, (_, index) => index % 2 ? connect(reader) : follow(reader)),
    );
  }
  console.log(`${count} streams, opened in ${Math.round(performance.now() - began)} ms:`, await memory());
  const end = performance.now() + seconds * 1_000;
  let sent = 0;
  while (performance.now() < end) {
    const next = performance.now() + 1_000 / eventsPerSecond;
    const operation_data = { sent: performance.timeOrigin + performance.now() };
    await post("/events/v1", { ...operation, action_type: "REPORT_QUANTITY", qty_good: 1, operation_data });
    sent++;
    await new Promise((resume) => setTimeout(resume, Math.max(0, next - performance.now())));
  }
  await new Promise((resume) => setTimeout(resume, 3_000));
  console.log(`${count} streams, ${sent} events in ${seconds} s:`, await memory());
  for (const [transport, all] of Object.entries(lags)) {
    all.sort((a, b) => a - b);
    const at = (share: number) => Math.round(all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0);
    console.log(
      `${transport}: ${all.length} of ${sent * count / 2} delivered, lag p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${
        at(1)
      } ms`,
    );
  }
  isolate.kill();
  await stack.stop();
  Deno.exit(0);
}
