/** Limit of webhook endpoints, and their cost for a report: on its own stack, which the test fills up. */
import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { connect } from "../postgres/bootstrap.ts";
import { type Stack, startStack } from "../stack.ts";
import { call } from "./testing.ts";

interface Api {
  send(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; text: string; json: Record<string, unknown> }>;
}

async function withQuietStack(run: (stack: Stack, api: Api) => Promise<void>): Promise<void> {
  const stack = await startStack({ ephemeral: true, seed: false, dispatchWebhooks: false, onFunctionLog: () => {} });
  try {
    await run(stack, {
      async send(method, path, body) {
        const answer = await call(`${stack.url}/functions/v1${path}`, {
          method,
          headers: { apikey: stack.keys.secretKey },
          body,
        });
        return { ...answer, json: answer.json ?? {} };
      },
    });
  } finally {
    await stack.stop();
  }
}

/** Nothing is sent there. */
const url = "https://hooks.example.com/mes";

Deno.test("webhook endpoints: at most 100 are enabled when several are made or enabled at once", async () => {
  await withQuietStack(async (stack, api) => {
    const sql = connect(stack.databaseUrl);
    await sql`insert into app.webhook_endpoints (url) select ${url} from generate_series(1, 97)`;
    const create = (enabled = true) => api.send("POST", "/webhooks/v1/endpoints", { url, enabled });
    const off = await Promise.all(Array.from({ length: 5 }, () => create(false)));
    assertEquals(off.map(({ status }) => status), Array(5).fill(201));
    const patch = ({ json }: { json: Record<string, unknown> }, enabled: boolean) =>
      api.send("PATCH", `/webhooks/v1/endpoints/${json.id}`, { enabled });

    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => create()),
      ...off.map((endpoint) => patch(endpoint, true)),
    ]);
    assertEquals(answers.filter(({ status }) => status < 300).length, 3, answers.map(({ text }) => text).join("\n"));
    for (const { status, json } of answers.filter(({ status }) => status >= 300)) {
      assertEquals([status, json.code, json.limit], [409, "limit_reached", 100]);
    }
    const [row] =
      await sql`select count(*)::integer as n, min(id::text) as id from app.webhook_endpoints where enabled`;
    assertEquals(row?.n, 100);
    // one less is one more; a change of an enabled one needs no room
    assertEquals((await create()).status, 409);
    assertEquals(
      (await api.send("PATCH", `/webhooks/v1/endpoints/${row?.id}`, { enabled: true, description: "x" })).status,
      200,
    );
    assertEquals((await api.send("PATCH", `/webhooks/v1/endpoints/${row?.id}`, { enabled: false })).status, 200);
    assertEquals((await create()).status, 201);
    assertEquals((await create()).status, 409);
    await sql.end({ timeout: 1 });
  });
});

Deno.test("webhook endpoints: a report costs less than twice as much when 100 of them want its event", async () => {
  await withQuietStack(async (stack, api) => {
    const sql = connect(stack.databaseUrl);
    const operation = { order_no: "O-1", operation_no: "0010", workplace_name: "Press" };
    const quantity = { ...operation, action_type: "REPORT_QUANTITY", qty_good: 1 };
    assertEquals(
      (await api.send("POST", "/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" })).status,
      201,
    );
    assertEquals((await api.send("POST", "/events/v1", { ...operation, action_type: "START" })).status, 201);
    await sql`insert into app.webhook_endpoints (url, workplace_names) select ${url}, array['Press'] from generate_series(1, 100)`;
    await sql`insert into app.webhook_health (endpoint_id) select id from app.webhook_endpoints`;

    const overHttp = async () => assertEquals((await api.send("POST", "/events/v1", quantity)).status, 201);
    const inDatabase = () =>
      sql.begin(async (sql) => {
        await sql`select set_config('role', 'service_role', true)`;
        await sql`select public.report_event(${sql.json(quantity)})`;
      });
    const measure = async (report: () => Promise<unknown>) => {
      const times_ms: number[] = [];
      for (let count = 0; count < 25; count++) {
        const began = performance.now();
        await report();
        times_ms.push(performance.now() - began);
      }
      return times_ms;
    };
    const switchTo = (enabled: boolean) =>
      enabled
        ? sql`update app.webhook_endpoints set enabled = true, disabled_reason = null, disabled_at = null`
        : sql`update app.webhook_endpoints set enabled = false, disabled_reason = 'manual', disabled_at = now()`;
    const median = (times_ms: number[]) => times_ms.sort((a, b) => a - b)[times_ms.length >> 1] ?? NaN;
    for (const [name, report] of Object.entries({ "in the database": inDatabase, "over HTTP": overHttp })) {
      await measure(report);
      const times: Record<"with" | "without", number[]> = { with: [], without: [] };
      // in turn, so that other load of the machine affects both
      for (let round = 0; round < 6; round++) {
        await switchTo(round % 2 === 0);
        times[round % 2 === 0 ? "with" : "without"].push(...await measure(report));
      }
      const ratio = median(times.with) / median(times.without);
      console.log(
        `${name}: ${median(times.with).toFixed(2)} ms with 100 endpoints, ${
          median(times.without).toFixed(2)
        } ms without: ${ratio.toFixed(2)}x`,
      );
      assert(ratio < 2, `${name}: ${ratio.toFixed(2)}x`);
    }
    await sql.end({ timeout: 1 });
  });
});
