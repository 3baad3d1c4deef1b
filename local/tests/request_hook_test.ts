/** The hook that runs first in each request: where it is not active, no API key gets in, and everything else works. */
import { assertEquals, assertMatch } from "../../supabase/functions/tests/support/assertions.ts";
import postgres from "postgres";
import { newApiKey } from "../../supabase/functions/_shared/api_keys.ts";
import { inProject } from "../system/paths.ts";
import { holdsWithin } from "../system/poll.ts";
import { startStack } from "../stack.ts";

Deno.test("request hook: API keys are 503 while the database does not run it, and work again afterwards", async () => {
  const log: string[] = [];
  const stack = await startStack({
    ephemeral: true,
    seed: false,
    supabaseDir: inProject("supabase"),
    onFunctionLog: (line) => log.push(line),
  });
  const sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} });
  const functions = `${stack.url}/functions/v1`;
  const secretKey = { apikey: stack.keys.secretKey };
  try {
    const id = crypto.randomUUID();
    const { key, digest } = newApiKey(id);
    await sql.begin(async (transaction) => {
      await transaction`insert into public.profiles (id, kind, full_name, role, workplace_access)
        values (${id}, 'integration', 'Gateway', 'manager', '{}')`;
      await transaction`insert into app.api_keys (id, scopes) values (${id}, '{operations:read}')`;
      await transaction`insert into app.api_key_secrets (key_id, digest) values (${id}, decode(${digest}, 'hex'))`;
    });
    const read = async (headers: Record<string, string>) => {
      const response = await fetch(`${functions}/operations/v1?limit=1`, { headers });
      return { status: response.status, text: await response.text() };
    };
    const withKey = { authorization: `Bearer ${key}` };
    assertEquals((await read(withKey)).status, 200);

    await sql`alter role authenticator reset pgrst.db_pre_request`;
    await sql`notify pgrst, 'reload config'`;
    // straight at the Data API, as the functions call it: the database itself refuses
    const direct = async () => {
      const response = await fetch(`${stack.url}/rest/v1/rpc/list_operations`, {
        method: "POST",
        headers: { ...secretKey, "content-type": "application/json", "x-mes-key": `${id}.${digest}` },
        body: "{}",
      });
      return { status: response.status, text: await response.text() };
    };
    assertEquals(await holdsWithin(10_000, async () => (await direct()).status === 503), true);
    assertMatch((await direct()).text, /request hook is not active/);
    // functions that have not asked yet: their health makes them ask
    await fetch(`${functions}/operations/health`).then((response) => response.text());
    const refused = await read(withKey);
    assertEquals(refused.status, 503, refused.text);
    assertMatch(refused.text, /request hook is not active/);
    assertEquals((await read(secretKey)).status, 200);

    await sql`alter role authenticator set pgrst.db_pre_request = 'app.before_request'`;
    await sql`notify pgrst, 'reload config'`;
    assertEquals(await holdsWithin(10_000, async () => (await direct()).status === 200), true);
    await fetch(`${functions}/operations/health`).then((response) => response.text());
    assertEquals((await read(withKey)).status, 200);
    assertEquals(log.filter((line) => line.includes(key) || line.includes(digest)), []);
  } finally {
    await sql.end({ timeout: 1 });
    await stack.stop();
  }
});
