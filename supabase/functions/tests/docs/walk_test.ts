/** The way of a START through the SQL, as CONTRIBUTING.md shows it. */
import postgres from "postgres";
import { assertEquals } from "../support/assertions.ts";
import { hasDatabase } from "../support/database_connection.ts";
import { env, newOperation, newWorkplace, server } from "../support/harness.ts";

const project = new URL("../../../../", import.meta.url);
const schemas = new URL("supabase/schemas/", project);

/** Subjects that every command shares, as the paragraph below the table names them. */
const sharedSubjects = /^(00_base|05_access|10_commands|15_profiles|17_people|30_operations|70_feed|80_webhooks)\//;

/** A function of the database. */
interface SqlFunction {
  name: string;
  body: string;
}

/** Texts of the files below `supabase/schemas`, by their paths. */
async function schemaFiles(): Promise<[path: string, text: string][]> {
  const files: [string, string][] = [];
  for await (const { name: subject, isDirectory } of Deno.readDir(schemas)) {
    if (!isDirectory) continue;
    for await (const { name } of Deno.readDir(new URL(subject, schemas))) {
      const path = `${subject}/${name}`;
      files.push([path, await Deno.readTextFile(new URL(path, schemas))]);
    }
  }
  return files;
}

/** Functions that the database calls for a START that succeeds, but for those that it writes into their callers. */
async function functionsOfStart(): Promise<SqlFunction[]> {
  const workplace_name = newWorkplace();
  await server.post("/workplaces/v1", { name: workplace_name, capacity: 1 });
  const { order_no, asset_id, operation_no } = await newOperation({ workplace_name });
  const report = { action_type: "START", order_no, asset_id, operation_no, workplace_name };
  // who may count calls
  const superuser = new URL(env.databaseUrl ?? "");
  superuser.username = "supabase_admin";
  const sql = postgres(superuser.href, { max: 1, fetch_types: false });
  try {
    let called: SqlFunction[] = [];
    await sql.begin(async (transaction) => {
      await transaction`set local track_functions = 'all'`;
      const claims = JSON.stringify({ role: "service_role" });
      await transaction`select set_config('request.jwt.claims', ${claims}, true), set_config('role', 'service_role', true)`;
      const [row] = await transaction<{ answer: { status: number } }[]>`
        select public.report_event(${transaction.json(report)}) as answer`;
      assertEquals(row?.answer.status, 201);
      called = await transaction<SqlFunction[]>`
        select c.schemaname || '.' || c.funcname as name, f.prosrc as body
        from pg_stat_xact_user_functions c
        join pg_proc f on f.oid = c.funcid
        where c.calls > 0`;
    });
    return called;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

Deno.test({
  name: "CONTRIBUTING.md: a START goes through the five files that it names, and what every command shares",
  ignore: !hasDatabase,
  async fn() {
    const guide = await Deno.readTextFile(new URL("CONTRIBUTING.md", project));
    const section = /^## Follow a report\n(.*?)^## /ms.exec(guide)?.[1] ?? "";
    const named = [...section.matchAll(/^\| `(\w+\/\w+\.sql)`/gm)].map(([, file = ""]) => file);
    assertEquals(named.length, 5);
    const files = await schemaFiles();
    // two functions may have one name
    const fileOf = ({ name, body }: SqlFunction) =>
      files.find(([, text]) => text.includes(`create function ${name}(`) && text.includes(body))?.[0] ?? name;
    const called = new Set((await functionsOfStart()).map(fileOf));
    const own = [...called].filter((file) => !sharedSubjects.test(file));
    // each calls those below it: the order of the files, backwards
    assertEquals(named, own.toSorted().toReversed());
  },
});
