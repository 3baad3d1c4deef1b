import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { neededMigration } from "../../supabase/functions/_shared/needed_migration.ts";
import { connect } from "../postgres/bootstrap.ts";
import { holdsWithin } from "../system/poll.ts";
import { type Stack, startStack } from "../stack.ts";
import { call } from "./testing.ts";

async function withProject(run: (stack: Stack) => Promise<void>): Promise<void> {
  const stack = await startStack({ ephemeral: true, seed: false, dispatchWebhooks: false, onFunctionLog: () => {} });
  try {
    await run(stack);
  } finally {
    await stack.stop();
  }
}

Deno.test("health: it says what can be done, and writes little, when many ask", async (t) => {
  await withProject(async (stack) => {
    const health = async (resource = "operations") => {
      const { status, json } = await call(`${stack.url}/functions/v1/${resource}/health`);
      return { http: status, ...json };
    };
    const migrations = { needs_migration: neededMigration, newest_migration: neededMigration };
    const ok = { http: 200, status: "ok", database: "up", writes: "ok", ...migrations };
    const sql = connect(stack.databaseUrl);
    const probedAt = async () => {
      const [row] = await sql`select extract(epoch from probed_at)::float8 * 1000 as at_ms from app.write_probe`;
      return Number(row?.at_ms);
    };

    await t.step("hundreds of requests to two functions write at most every 5 s", async () => {
      for (let round = 0, before = -Infinity; round < 4; round++) {
        const asked = Array.from({ length: 100 }, (_, index) => health(index % 2 ? "operations" : "events"));
        assertEquals(await Promise.all(asked), Array(100).fill(ok));
        const after = await probedAt();
        assert(after === before || after - before >= 5000, `written after ${after - before} ms`);
        before = after;
      }
    });

    await t.step("a database that is read-only is degraded, and ok again when it is not", async () => {
      const isReadOnly = async (value: "on" | "off") => {
        await sql.unsafe(`set default_transaction_read_only = off; alter database postgres
          set default_transaction_read_only = ${value}`).simple();
        await sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'`.catch(
          () => {},
        );
      };
      await isReadOnly("on");
      const degraded = { ...ok, status: "degraded", writes: "failing" };
      let found = {};
      const becomes = (wanted: unknown) =>
        holdsWithin(10_000, async () => {
          found = await health();
          return JSON.stringify(found) === JSON.stringify(wanted);
        });
      assert(await becomes(degraded), JSON.stringify(found));
      await isReadOnly("off");
      assert(await becomes(ok), JSON.stringify(found));
    });

    await t.step("a database that is away is 503", async () => {
      await stack.database.stop();
      assertEquals((await health()).http, 503);
      await stack.database.start();
      assert(await holdsWithin(5000, async () => (await health()).http === 200));
    });
    await sql.end();
  });
});
