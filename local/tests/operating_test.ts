/** docs/operating.md: its SQL runs, and the figures of its table are those of the view, for its exporter alone. */
import { assert, assertEquals, assertRejects } from "../../supabase/functions/tests/support/assertions.ts";
import { connect } from "../postgres/bootstrap.ts";
import { type Stack, startStack } from "../stack.ts";
import { inProject } from "../system/paths.ts";
import { call } from "./testing.ts";

const page = await Deno.readTextFile(inProject("docs", "operating.md"));
const statements = [...page.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, sql = ""]) => sql.trim());

const send = (stack: Stack, path: string, body: unknown) =>
  call(`${stack.url}/functions/v1${path}`, { headers: { apikey: stack.keys.secretKey }, body });

Deno.test("docs/operating.md: its statements and figures are those of the database", async (t) => {
  const stack = await startStack({ ephemeral: true, seed: false, dispatchWebhooks: false, onFunctionLog: () => {} });
  const sql = connect(stack.databaseUrl);
  const password = crypto.randomUUID();
  const exporterUrl = new URL(stack.databaseUrl);
  [exporterUrl.username, exporterUrl.password] = ["mes_exporter", password];
  const exporter = connect(exporterUrl.href);
  const figures = async () => {
    const rows = await exporter<{ figure: string; label: string; value: string | null }[]>`
      select figure, label, value from app.figures`;
    return new Map(
      rows.map(({ figure, label, value }) => [label === "" ? figure : `${figure} ${label}`, Number(value)]),
    );
  };
  try {
    for (const statement of statements) {
      await t.step(statement, async () => {
        await sql.unsafe(statement.replace("<a long password>", password)).simple();
      });
    }

    await t.step("the settings have the values of the page", async () => {
      const [row] = await sql`select s.batch_slots, s.report_age_limit::text, f.retention::text
        from app.settings s, app.feed_state f`;
      assertEquals({ ...row }, { batch_slots: 4, report_age_limit: "60 days", retention: "400 days" });
    });

    await t.step("the table of figures names each figure once", async () => {
      const documented = [...page.matchAll(/^\| `([a-z_]+)` +\|/gm)].map(([, name]) => String(name))
        .filter((name) => name !== "batch_slots");
      const [row] = await sql<{ definition: string }[]>`select pg_get_viewdef('app.figures') as definition`;
      const defined = [...(row?.definition ?? "").matchAll(/'([a-z_]+)'::text AS figure|SELECT '([a-z_]+)'::text/g)]
        .map(([, first, further]) => String(first ?? further));
      assertEquals(documented.toSorted(), [...new Set(defined)].toSorted());
    });

    await t.step("figures follow the plant", async () => {
      const operation = { order_no: "O-1", operation_no: "0010", workplace_name: "Press" };
      const before = await figures();
      assertEquals([before.get("operations_running"), before.get("events_total")], [0, 0]);
      assertEquals(
        (await send(stack, "/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" })).status,
        201,
      );
      assertEquals((await send(stack, "/events/v1", { ...operation, action_type: "START" })).status, 201);
      const after = await figures();
      assertEquals([after.get("operations_running"), after.get("events_total")], [1, 1]);
      for (const name of ["longest_run_s", "newest_event_age_s"]) {
        const value = after.get(name) ?? -1;
        assert(value >= 0 && value < 60, `${name} is ${value}`);
      }
      assert((after.get("database_bytes") ?? 0) > 1_000_000);
      assert((after.get("table_bytes public.operation_events") ?? 0) > 0);
      assert((after.get("connections_max") ?? 0) >= 10);
    });

    await t.step("an event that no dispatcher takes, and a delivery that is late, are seen", async () => {
      const url = "https://hooks.example.com/mes";
      const { json } = await send(stack, "/webhooks/v1/endpoints", { url });
      const stop = { order_no: "O-1", operation_no: "0010", workplace_name: "Press", action_type: "STOP" };
      assertEquals((await send(stack, "/events/v1", stop)).status, 201);
      assert(((await figures()).get("webhook_outbox_age_s") ?? -1) >= 0);
      await sql`insert into app.webhook_deliveries (endpoint_id, type, next_attempt_at)
        values (${String(json?.id)}, 'webhook.ping', now() - interval '2 minutes')`;
      assert(((await figures()).get("webhook_overdue_s") ?? 0) >= 120);
      await sql`update app.webhook_deliveries set status = 'dead', settled_at = now()`;
      const { webhook_deliveries_dead } = Object.fromEntries(await figures());
      assertEquals(webhook_deliveries_dead, 1);
    });

    await t.step("the exporter reads figures and no rows, and the API's roles read no figures", async () => {
      await assertRejects(() => exporter`select from public.mes_operations`, Error, "permission denied");
      await assertRejects(() => exporter`select from app.settings`, Error, "permission denied");
      for (const role of ["anon", "authenticated", "service_role"]) {
        const [row] = await sql`select has_table_privilege(${role}, 'app.figures', 'select') as may`;
        assertEquals(row?.may, false, role);
      }
      const headers = { apikey: stack.keys.secretKey };
      assertEquals((await call(`${stack.url}/rest/v1/figures`, { headers })).status, 404);
    });
  } finally {
    await Promise.all([sql.end(), exporter.end()]);
    await stack.stop();
  }
});

Deno.test("docs/operating.md: the line of its log is one that a function writes", async () => {
  const [, example = ""] = page.match(/^```json\n(.*?)^```$/ms) ?? [];
  const lines: string[] = [];
  const stack = await startStack({
    ephemeral: true,
    seed: false,
    dispatchWebhooks: false,
    onFunctionLog: (line) => lines.push(line),
  });
  try {
    await send(stack, "/events/v1", {});
  } finally {
    await stack.stop();
  }
  const written = lines.find((line) => line.includes('"route":"/events/v1"')) ?? "{}";
  assertEquals(Object.keys(JSON.parse(written)), Object.keys(JSON.parse(example)));
});
