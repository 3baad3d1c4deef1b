import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { connect } from "../postgres/bootstrap.ts";
import { holdsWithin } from "../system/poll.ts";
import { startStack } from "../stack.ts";
import { startDispatching } from "../functions/webhook_timer.ts";
import { call, withStack } from "./testing.ts";
import { isLongForm } from "../../supabase/functions/tests/support/racing.ts";

Deno.test("webhook timer: calls the dispatcher when something is due, with the secret key, never beside itself, at once again when there is more", async () => {
  const dispatcher = `let calls = 0, running = 0;
    export default { async fetch(request: Request) {
      running++;
      await new Promise((resume) => setTimeout(resume, 50));
      console.log(["call", request.method, new URL(request.url).pathname, running, request.headers.get("apikey")].join(" "));
      running--;
      return Response.json({ has_more: ++calls < 10 });
    } };`;
  const config = "[functions.webhooks]\nenabled = true\nverify_jwt = false\n";
  await withStack({ "config.toml": config, "functions/webhooks/index.ts": dispatcher }, async (stack) => {
    const calls = () => stack.functionLog.filter((line) => line.startsWith("call "));
    let looks = 0;
    const stop = startDispatching({
      isDue: () => Promise.resolve(++looks > 1),
      url: stack.url,
      secretKey: stack.keys.secretKey,
    });
    // nothing at the first look; ten times in a row take half a second, eleven a second more
    assert(await holdsWithin(15_000, () => calls().length >= 11), `only ${calls().length} calls`);
    await stop();
    assertEquals([...new Set(calls())], [`call POST /webhooks/v1/dispatch 1 ${stack.keys.secretKey}`]);
  });
});

Deno.test({
  name: "webhook timer: what was pending when the database crashed is delivered",
  ignore: Deno.build.os === "windows",
}, async () => {
  const count = isLongForm ? 1000 : 100;
  const seen = new Map<string, number>();
  let isUp = false;
  const receiver = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    await request.body?.cancel();
    if (!isUp) return new Response(null, { status: 503 });
    const id = request.headers.get("webhook-id") ?? "";
    seen.set(id, (seen.get(id) ?? 0) + 1);
    return new Response("ok");
  });
  const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: () => {} });
  try {
    const api = async (path: string, body: unknown) => {
      const answer = await call(`${stack.url}/functions/v1${path}`, {
        headers: { apikey: stack.keys.secretKey },
        body,
      });
      assertEquals(answer.status < 300, true, answer.text);
      return answer.json;
    };
    const operation = { order_no: "O-1", operation_no: "0010", workplace_name: "Press" };
    await api("/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" });
    const endpoint = await api("/webhooks/v1/endpoints", { url: `http://127.0.0.1:${receiver.addr.port}/` });
    for (let from = 0; from < count; from += 500) {
      const events = Array.from({ length: Math.min(500, count - from) }, (_, index) => ({
        ...operation,
        ...(from + index === 0 ? { action_type: "START" } : { action_type: "REPORT_QUANTITY", qty_good: 1 }),
      }));
      await api("/events/v1/batch", { events });
    }
    // a killed backend takes the whole server down, which recovers from its log
    const before = connect(stack.databaseUrl);
    const [backend] = await before`select pg_backend_pid() as pid`;
    Deno.kill(Number(backend?.pid), "SIGKILL");
    await before.end({ timeout: 1 }).catch(() => {});
    isUp = true;

    const sql = connect(stack.databaseUrl);
    const ofEndpoint = (where: string) =>
      sql.unsafe(`select count(*)::integer as n from app.webhook_deliveries where ${where}`)
        .then(([row]) => Number(row?.n), () => -1);
    // tried while the receiver was away, or lost with a dispatcher: due now instead of by the schedule
    const settled = await holdsWithin(60_000, async () => {
      await sql`update app.webhook_deliveries set next_attempt_at = now() where status = 'pending'`.catch(() => {});
      return await ofEndpoint("status = 'delivered'") === count;
    });
    assert(settled, `${await ofEndpoint("status = 'delivered'")} of ${count} delivered to ${endpoint?.id}`);
    assertEquals(seen.size, count);
    await sql.end({ timeout: 1 });
  } finally {
    await stack.stop();
    await receiver.shutdown();
  }
});
