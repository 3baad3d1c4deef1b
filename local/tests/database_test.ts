import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { connect } from "../postgres/bootstrap.ts";
import { postgresMajor } from "../postgres/postgres_binaries.ts";
import { schemaOf } from "../schema/schema_description.ts";
import { startStack } from "../stack.ts";
import { supabaseCli } from "../commands/supabase_cli.ts";
import { call, endBy, makeProject, startAndWait, withStack } from "./testing.ts";

Deno.test("database: `supabase db push` gives the same schema as the embedded stack, and each accepts the other's", async () => {
  const embedded = await startStack({ ephemeral: true, seed: false });
  const supabaseDir = await makeProject({});
  const pushed = await startStack({ ephemeral: true, seed: false, supabaseDir });
  try {
    const remote = (url: string) => `--remote=${url}?sslmode=disable`;
    await supabaseCli(["db", "push", "--yes", remote(pushed.databaseUrl)]);
    assertEquals(await schemaOf(pushed.databaseUrl), await schemaOf(embedded.databaseUrl));
    const again = await supabaseCli(["db", "push", "--yes", remote(embedded.databaseUrl)]);
    assertStringIncludes(again, "Remote database is up to date");
  } finally {
    await Promise.all([embedded.stop(), pushed.stop()]);
    await Deno.remove(supabaseDir, { recursive: true });
  }
});

Deno.test("database: STACK_DATABASE_URL is used instead of the embedded server, and is left as it is at the end", async () => {
  await withStack({}, async (server) => {
    const superuser = new URL(server.databaseUrl);
    superuser.username = "supabase_admin";
    const admin = connect(superuser.href);
    await admin`create database plant`;
    superuser.pathname = "/plant";

    const stack = await startAndWait(["--ephemeral", "--no-seed"], { env: { STACK_DATABASE_URL: superuser.href } });
    try {
      assertEquals(stack.settings.DATABASE_URL, superuser.href);
      const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY = "" } = stack.settings;
      const { status, text } = await call(`${SUPABASE_URL}/auth/v1/signup`, {
        headers: { apikey: SUPABASE_PUBLISHABLE_KEY },
        body: { email: "external@example.com", password: crypto.randomUUID() },
      });
      assertEquals(status, 200, text);
    } finally {
      assert(await endBy("SIGTERM", stack) < 3000);
    }
    const plant = connect(superuser.href);
    const [row] = await plant`select count(*)::integer as users from auth.users`;
    assertEquals(row?.users, 1);
    await plant.end();
    await admin.end();
  });
});

Deno.test("database: the embedded server has the version, sorting and durability that production has", async () => {
  await withStack({}, async ({ databaseUrl }) => {
    const sql = connect(databaseUrl);
    const [row] = await sql`
      select
        current_setting('server_version_num')::integer / 10000 as major,
        current_setting('synchronous_commit') as synchronous_commit,
        current_setting('TimeZone') as timezone,
        (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
        (select rolbypassrls from pg_roles where rolname = 'service_role') as service_role_bypasses,
        (select array_agg(word order by word) from unnest(array['b', 'a', 'Z', 'ä']) as word) as sorted,
        upper('ä') as upper`;
    await sql.end();
    assertEquals(row && { ...row }, {
      major: Number(postgresMajor),
      synchronous_commit: "on",
      timezone: "UTC",
      is_superuser: false,
      service_role_bypasses: true,
      sorted: ["Z", "a", "b", "ä"],
      upper: "Ä",
    });
  });
});
