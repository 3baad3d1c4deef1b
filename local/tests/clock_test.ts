/**
 * The server's clock steps back by 10 minutes, as after NTP or on a resumed machine. Debian's faketime gives the stack a
 * clock of its own; where it is not installed, supabase/functions/tests/lifecycle/clock_test.ts shows the rules alone.
 */
import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { compareWithEvents } from "../postgres/comparison.ts";
import { connect } from "../postgres/bootstrap.ts";
import { call, endBy, startAndWait } from "./testing.ts";

/** The library of Debian's faketime; undefined where it is not installed. */
function findFaketime(): string | undefined {
  for (const folder of ["x86_64-linux-gnu", "aarch64-linux-gnu"]) {
    const path = `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`;
    try {
      Deno.statSync(path);
      return path;
    } catch {
      // the next one
    }
  }
}

const faketime = findFaketime();

const minutesAhead = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString();

Deno.test({
  name:
    "clock: what runs is stopped and all is as reported when the server's clock steps back (needs Debian's faketime)",
  ignore: faketime === undefined,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "mes-clock-" });
    // PostgreSQL's account reads it
    await Deno.chmod(folder, 0o755);
    const offset = join(folder, "offset");
    const setClock = (text: string) => Deno.writeTextFile(offset, `${text}\n`);
    await setClock("+0");
    const stack = await startAndWait(["--ephemeral", "--no-seed"], {
      env: {
        LD_PRELOAD: faketime ?? "",
        FAKETIME_TIMESTAMP_FILE: offset,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      },
    });
    try {
      const { FUNCTIONS_URL: url, SUPABASE_SECRET_KEY: apikey = "", DATABASE_URL: databaseUrl = "" } = stack.settings;
      const send = (path: string, body: unknown, method = "POST") =>
        call(`${url}${path}`, { method, headers: { apikey }, body });
      const key = (operation_no: string) => ({ order_no: "C-1", asset_id: 1, operation_no });
      const create = async (operation_no: string) => {
        const created = await send("/operations/v1", {
          ...key(operation_no),
          workplace_name: "Saw",
          status: "RELEASED",
        });
        assertEquals(created.status, 201, created.text);
      };
      const item = (operation_no: string, action_type: string, more: Record<string, unknown> = {}) => ({
        ...key(operation_no),
        workplace_name: "Saw",
        action_type,
        ...more,
      });
      const report = async (...[operation_no, action, more]: Parameters<typeof item>) => {
        const answer = await send("/events/v1", item(operation_no, action, more));
        assertEquals(answer.status, 201, `${operation_no} ${action}: ${answer.text}`);
        return answer.json ?? {};
      };
      for (const operation_no of ["0010", "0020", "0030", "0040", "0050"]) await create(operation_no);
      const started = await report("0010", "START");
      for (const operation_no of ["0020", "0030"]) {
        await report(operation_no, "START", { occurred_at: minutesAhead(0) });
      }
      const sql = connect(databaseUrl);
      const cursorOf = async (query: string) =>
        (await call(`${url}/events/v1/feed${query}`, { headers: { apikey } })).json;
      const before = await cursorOf("");

      await setClock("-10m");
      try {
        const [clock] = await sql`select clock_timestamp() < now_really.at - interval '9 minutes' as "isBack"
          from (select ${minutesAhead(0)}::timestamptz as at) now_really`;
        assertEquals(clock?.isBack, true, "faketime does not reach the database");

        const stopped = await report("0010", "STOP");
        assertEquals(stopped.occurred_at, started.occurred_at);
        const now = minutesAhead(0);
        assertEquals((await report("0020", "STOP", { occurred_at: now })).occurred_at, now);
        assertEquals(
          (await send("/operations/v1/C-1/1/0030", { status: "FINISHED", actual_end_at: now }, "PATCH")).status,
          200,
        );
        const events = ["START", "REPORT_QUANTITY", "STOP", "START", "COMPLETE"].map((action) =>
          item("0040", action, {
            id: crypto.randomUUID(),
            occurred_at: minutesAhead(0),
            ...(action === "COMPLETE" || action === "REPORT_QUANTITY" ? { qty_good: 2 } : {}),
          })
        );
        const batch = await send("/events/v1/batch", { events });
        assertEquals(batch.status, 201, batch.text);
        await report("0050", "START");
        const corrected = await report("0020", "CORRECT", { actual_start_at: minutesAhead(-1) });
        assert(String(corrected.created_at) >= String(stopped.created_at));
        const taken = await send("/operations/v1/import?mode=takeover", [{
          ...key("0060"),
          workplace_name: "Saw",
          status: "IN_PROGRESS",
          actual_start_at: minutesAhead(-1),
          timestamp_ms: minutesAhead(0),
          change_type: "INSERT",
        }]);
        assertEquals(taken.status, 200, taken.text);

        const wrong = await send("/events/v1", item("0050", "STOP", { occurred_at: minutesAhead(25 * 60) }));
        assertEquals(wrong.status, 422);
        assert(/25 h (9|10|11) min ahead of the server's clock/.test(String(wrong.json?.detail)), wrong.text);
      } finally {
        await setClock("+0");
        await sql.end();
      }

      await report("0050", "FINISH");
      const after = await cursorOf(`?after=${before?.next_cursor}&limit=100`);
      const told = after?.events;
      // 0010, 0020 and 0030 one each, five of the batch, 0050 twice, a correction, an opening
      assertEquals(Array.isArray(told) && told.length, 12);
      const { operations, divergences } = await compareWithEvents(databaseUrl);
      assertEquals({ operations, divergences }, { operations: 6, divergences: [] });
    } finally {
      await endBy("SIGTERM", stack);
      await Deno.remove(folder, { recursive: true });
    }
  },
});
