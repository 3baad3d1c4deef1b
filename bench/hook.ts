/**
 * The time that the request hook takes within PostgreSQL: for a user, for the secret key, for an API key, and for a
 * guessed one. `deno run -A bench/hook.ts [calls]`.
 *
 * @module
 */
import postgres from "postgres";
import { startStack } from "../local/stack.ts";
import { newApiKey } from "../supabase/functions/_shared/api_keys.ts";
import { median } from "./median.ts";
import { table } from "./table.ts";

const calls = Number(Deno.args[0] ?? 2_000);

/** Headers of a request to the Data API, as PostgREST stores them. */
const headers = {
  accept: "application/json",
  "accept-encoding": "gzip",
  apikey: "x".repeat(46),
  authorization: `Bearer ${"x".repeat(600)}`,
  "content-profile": "public",
  "content-type": "application/json",
  host: "abcdefghijklmnopqrst.supabase.co",
  "user-agent": "Deno/2.1.4",
  "x-client-info": "supabase-js-deno/2.0.0",
  "x-forwarded-for": "203.0.113.7",
};

const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: () => {} });
const sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {}, fetch_types: false });
try {
  const id = crypto.randomUUID();
  const { digest } = newApiKey(id);
  await sql.begin(async (transaction) => {
    await transaction`insert into public.profiles (id, kind, full_name, role, workplace_access)
      values (${id}, 'integration', 'Gateway', 'machine', '{}')`;
    await transaction`insert into app.api_keys (id, scopes, allowed_cidrs)
      values (${id}, '{operations:read,events:report}', '{203.0.113.0/24}')`;
    await transaction`insert into app.api_key_secrets (key_id, digest) values (${id}, decode(${digest}, 'hex'))`;
  });
  const withKey = (key: string) => ({ ...headers, "x-mes-key": key, "x-mes-client": "203.0.113.7" });
  const cases: [caller: string, role: string, headers: Record<string, string>, isRefused?: boolean][] = [
    ["a user", "authenticated", headers],
    ["the secret key", "service_role", headers],
    ["an API key", "service_role", withKey(`${id}.${digest}`)],
    ["a wrong secret", "service_role", withKey(`${id}.${"0".repeat(64)}`), true],
    ["an unknown id", "service_role", withKey(`${crypto.randomUUID()}.${digest}`), true],
  ];
  const rows: Record<string, string>[] = [];
  for (const [caller, role, sent, isRefused = false] of cases) {
    const time = async (statement: string) => {
      const times: number[] = [];
      for (let call = 0; call < calls; call++) {
        const began = performance.now();
        const done = sql.begin(async (transaction) => {
          const context = transaction.unsafe(
            `select set_config('request.headers', $1, true), set_config('request.path', '/rpc/get_operation', true),
              set_config('request.jwt.claims', $2, true), set_config('role', $3, true)`,
            [JSON.stringify(sent), JSON.stringify({ role }), role],
            { prepare: true },
          );
          await Promise.all([context, transaction.unsafe(statement, [], { prepare: true })]);
        });
        await done.catch((error) => {
          if (!isRefused) throw error;
        });
        times.push(performance.now() - began);
      }
      return median(times);
    };
    await time("select app.before_request()");
    const [without, withHook] = [await time("select 1"), await time("select app.before_request()")];
    rows.push({
      caller,
      "transaction ms": without.toFixed(3),
      "with the hook ms": withHook.toFixed(3),
      "the hook ms": (withHook - without).toFixed(3),
    });
  }
  console.log(table(rows));
} finally {
  await sql.end({ timeout: 1 });
  await stack.stop();
}
