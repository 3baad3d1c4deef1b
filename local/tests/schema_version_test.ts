/** Functions that are newer than the schema: they reject every request until their migration is applied. */
import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { connect } from "../postgres/bootstrap.ts";
import { neededMigration } from "../../supabase/functions/_shared/needed_migration.ts";
import { startStack } from "../stack.ts";
import { holdsWithin } from "../system/poll.ts";
import { call } from "./testing.ts";

const older = "20200101000000";

Deno.test("functions: reject each request and name the migration when the database lacks it", async (t) => {
  const stack = await startStack({ ephemeral: true, seed: false, dispatchWebhooks: false, onFunctionLog: () => {} });
  const sql = connect(stack.databaseUrl);
  const migrateTo = (version: string) => sql`update supabase_migrations.schema_migrations set version = ${version}`;
  const send = (path: string, body?: unknown) =>
    call(`${stack.url}/functions/v1${path}`, { headers: { apikey: stack.keys.secretKey }, body });
  const operation = { order_no: "O-1", asset_id: 1, operation_no: "0010", workplace_name: "Press" };
  const countOperations = async () => (await sql`select from public.mes_operations`).count;
  const serves = () => holdsWithin(10_000, async () => (await send("/operations/v1")).status === 200);
  try {
    await migrateTo(older);

    await t.step("a new isolate stores nothing", async () => {
      for (const [path, body] of [["/operations/v1", operation], ["/operations/v1"], ["/events/v1"]] as const) {
        const { status, json, headers } = await send(path, body);
        assertEquals([status, json?.code, json?.needs_migration, json?.newest_migration], [
          503,
          "unavailable",
          neededMigration,
          older,
        ]);
        assertStringIncludes(String(json?.detail), `need migration ${neededMigration}`);
        assertEquals(headers.get("retry-after"), "2");
      }
      assertEquals(await countOperations(), 0);
    });

    await t.step("its health is 503 with the migration", async () => {
      const { status, json } = await call(`${stack.url}/functions/v1/operations/health`);
      assertEquals([status, json?.needs_migration, json?.newest_migration], [503, neededMigration, older]);
    });

    await t.step("a caller without a credential learns nothing but 401", async () => {
      assertEquals((await call(`${stack.url}/functions/v1/operations/v1`)).status, 401);
    });

    await t.step("it serves when the migration is applied, and when a later one is", async () => {
      await migrateTo(neededMigration);
      assert(await serves());
      assertEquals((await send("/operations/v1", operation)).status, 201);
      await migrateTo("29991231000000");
      const { json } = await call(`${stack.url}/functions/v1/operations/health`);
      assertEquals([json?.needs_migration, json?.newest_migration], [neededMigration, "29991231000000"]);
      assertEquals((await send("/operations/v1")).status, 200);
    });

    await t.step("a restored backup is noticed when a call finds no SQL function", async () => {
      await migrateTo(older);
      await sql`alter function public.list_events rename to list_events_of_later`;
      await sql`notify pgrst`;
      // the Data API looks at its catalogue a moment later
      assert(await holdsWithin(10_000, async () => (await send("/events/v1")).status === 503));
      assert(
        await holdsWithin(10_000, async () => (await send("/events/v1")).json?.needs_migration === neededMigration),
      );
      await sql`alter function public.list_events_of_later rename to list_events`;
      await sql`notify pgrst`;
      await migrateTo(neededMigration);
      assert(await holdsWithin(10_000, async () => (await send("/events/v1")).status === 200));
    });

    await t.step("without a history of migrations it does not serve", async () => {
      await sql`drop schema supabase_migrations cascade`;
      const { status, json } = await call(`${stack.url}/functions/v1/profiles/health`);
      assertEquals([status, json?.newest_migration], [503, null]);
      assertStringIncludes(String(json?.detail), "newest one of the database is none");
    });
  } finally {
    await sql.end();
    await stack.stop();
  }
});
