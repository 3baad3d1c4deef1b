/**
 * `deno task lint:sql`: checks all PL/pgSQL functions statically with plpgsql_check, in a database of its own on the
 * server of `STACK_DATABASE_URL` or of the PG* variables. Debian has server and extension (`postgresql-15-plpgsql-check`):
 * `pg_virtualenv npx -y deno@2.9.6 task lint:sql`.
 */
import { bootstrap, connect } from "../postgres/bootstrap.ts";
import { externalAccess } from "../postgres/database_access.ts";
import { runCommand, StackFailure } from "../system/failure.ts";
import { applySchema, readSchema } from "../schema/schema_files.ts";
import { showHelp } from "../system/help.ts";

showHelp(`Usage: deno task lint:sql

Checks the PL/pgSQL functions with plpgsql_check, in a database of its own on the server of STACK_DATABASE_URL or of the
PG* variables.`);

/** Functions that use objects of Supabase's platform, after a check that these exist. */
const platformOnly = ["app.request_dispatch", "app.schedule_dispatch"];

const findings = `
  select distinct p.pronamespace::regnamespace || '.' || p.proname as name, c.lineno, c.level, c.message, c.detail, c.hint
  from pg_proc p
  left join pg_trigger t on t.tgfoid = p.oid and not t.tgisinternal
  cross join lateral lint.plpgsql_check_function_tb(
    p.oid, coalesce(t.tgrelid, 0), performance_warnings => false, extra_warnings => false) c
  where p.pronamespace in ('app'::regnamespace, 'public'::regnamespace)
    and p.prolang = (select l.oid from pg_language l where l.lanname = 'plpgsql')
  order by name, c.lineno`;

/** The Supabase CLI creates it with the first migration. */
const historyOfMigrations =
  "create schema supabase_migrations create table schema_migrations (version text primary key)";

interface Finding {
  name: string;
  lineno: number | null;
  level: string;
  message: string;
  detail: string | null;
  hint: string | null;
}

function serverUrl(): string {
  const { PGHOST, PGPORT, PGUSER, PGPASSWORD, STACK_DATABASE_URL } = Deno.env.toObject();
  if (STACK_DATABASE_URL) return STACK_DATABASE_URL;
  if (!PGHOST) {
    throw new StackFailure(
      "There is no server: set STACK_DATABASE_URL to one that has plpgsql_check, or run the task in `pg_virtualenv`.",
    );
  }
  return `postgresql://${PGUSER}:${PGPASSWORD}@${PGHOST}:${PGPORT}/postgres`;
}

/** Makes a database, hands its address to `work`, and drops it. */
async function inNewDatabase(server: string, work: (url: string) => Promise<void>): Promise<void> {
  const name = `mes_lint_${crypto.randomUUID().slice(0, 8)}`;
  const sql = connect(server);
  try {
    await sql`create database ${sql(name)}`;
    const address = new URL(server);
    address.pathname = `/${name}`;
    try {
      await work(address.href);
    } finally {
      await sql`drop database ${sql(name)} with (force)`;
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function lint(): Promise<void> {
  await inNewDatabase(serverUrl(), async (url) => {
    await bootstrap(externalAccess(url), undefined);
    await applySchema(url, await readSchema());
    const sql = connect(url);
    try {
      await sql.unsafe(historyOfMigrations).simple();
      await sql.unsafe("create schema lint; create extension plpgsql_check schema lint").simple();
      const rows = await sql.unsafe<Finding[]>(findings);
      const found = rows.filter(({ name }) => !platformOnly.includes(name));
      for (const { name, lineno, level, message, detail, hint } of found) {
        console.error(
          [`${level}: ${name}, line ${lineno ?? "?"}: ${message}`, detail, hint].filter(Boolean).join("; "),
        );
      }
      if (found.length > 0) throw new StackFailure(`plpgsql_check found ${found.length} problems.`);
      console.log("plpgsql_check finds nothing.");
    } finally {
      await sql.end({ timeout: 1 });
    }
  });
}

await runCommand(lint);
Deno.exit(0);
