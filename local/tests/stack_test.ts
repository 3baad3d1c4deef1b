import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { connect } from "../postgres/bootstrap.ts";
import { holdsWithin } from "../system/poll.ts";
import { call, withStack } from "./testing.ts";
import { claims, project, signUp } from "./testing_project.ts";

Deno.test("stack", async (t) => {
  await withStack(project, async (stack) => {
    const user = await signUp(stack);
    const secret = { apikey: stack.keys.secretKey };
    const countUp = (headers: Record<string, string>, body: Record<string, unknown>) =>
      call(`${stack.url}/rest/v1/rpc/count_up`, { headers, body });

    await t.step("sign-up: the token carries kid, issuer, audience and role as Supabase's do", () => {
      assertEquals(claims(user.token, 0), { alg: "HS256", kid: "local", typ: "JWT" });
      const { iss, aud, role, email, exp, iat } = claims(user.token);
      assertEquals([iss, aud, role, email], [`${stack.url}/auth/v1`, "authenticated", "authenticated", user.email]);
      assertEquals(Number(exp) - Number(iat), 3600);
    });

    await t.step("sign-up: a trigger on auth.users sees the new user, RLS shows it to that user alone", async () => {
      await signUp(stack);
      const { json, text } = await call(`${stack.url}/rest/v1/profiles`, { headers: user.headers });
      assertEquals(JSON.parse(text), [{ id: user.id, email: user.email, created_at: "2026-01-02T03:04:05.678+00:00" }]);
      assert(json);
    });

    await t.step("refresh: the new token is signed alike and is accepted", async () => {
      const { status, json } = await call(`${stack.url}/auth/v1/token?grant_type=refresh_token`, {
        headers: { apikey: stack.keys.publishableKey },
        body: { refresh_token: user.refreshToken },
      });
      assertEquals(status, 200);
      assertEquals(claims(String(json?.access_token), 0).kid, "local");
      const me = await call(`${stack.url}/auth/v1/user`, {
        headers: { ...user.headers, authorization: `Bearer ${json?.access_token}` },
      });
      assertEquals([me.status, me.json?.id], [200, user.id]);
    });

    await t.step("Data API: a function sees role, user, claims and request of its caller", async () => {
      const { status, json } = await countUp(user.headers, { p_name: "context" });
      assertEquals(status, 200);
      const { role, uid, email, method } = json ?? {};
      assertEquals([role, uid, email, method], ["authenticated", user.id, user.email, "POST"]);
      assertEquals((await countUp(secret, { p_name: "context" })).json?.role, "service_role");
    });

    await t.step("Data API: parallel callers never get each other's rights", async () => {
      const users = await Promise.all(Array.from({ length: 4 }, () => signUp(stack)));
      const calls = Array.from({ length: 200 }, async (_, index) => {
        const caller = users[index % users.length];
        if (!caller) throw new Error("no caller");
        const { json } = await countUp(caller.headers, { p_name: `mix-${index % 7}` });
        assertEquals(json?.uid, caller.id);
      });
      await Promise.all(calls);
    });

    for (
      const [state, status] of [
        ["PT418", 418],
        ["P0001", 400],
        ["23505", 409],
        ["23514", 400],
        ["40001", 500],
        ["40P01", 500],
        ["54001", 500],
        ["57014", 500],
        ["53300", 503],
        ["42501", 403],
      ] as const
    ) {
      await t.step(`Data API: SQLSTATE ${state} is answered ${status} as by PostgREST`, async () => {
        const answer = await call(`${stack.url}/rest/v1/rpc/fail`, { headers: user.headers, body: { p_state: state } });
        assertEquals([answer.status, answer.json?.code], [status, state], answer.text);
        assertEquals(answer.json?.message, "failed on purpose");
      });
    }

    await t.step("Data API: a refusal keeps its detail, a broken constraint rolls everything back", async () => {
      const refused = await countUp(user.headers, { p_name: "refused", p_by: 0 });
      assertEquals([refused.status, refused.json?.details], [409, '{"by": 0}']);
      assertEquals((await countUp(secret, { p_name: "limit", p_by: 1000 })).status, 400);
      const { text } = await call(`${stack.url}/rest/v1/counters?name=eq.limit`, { headers: secret });
      assertEquals(text, "[]");
    });

    await t.step("Data API: arrays and JSON come back as they were sent", async () => {
      const row = {
        id: 1,
        names: ["a,b", 'with "quotes"', "back\\slash", "{}", "", "NULL"],
        numbers: [1, -2],
        document: { text: "x", list: [1, "2", null] },
      };
      const { status, text } = await call(`${stack.url}/rest/v1/lists`, { headers: secret, body: row });
      assertEquals(status, 201, text);
      const stored = await call(`${stack.url}/rest/v1/lists?names=cs.${encodeURIComponent('{"a,b"}')}`, {
        headers: secret,
      });
      assertEquals(JSON.parse(stored.text), [row]);
    });

    const key = { apikey: stack.keys.publishableKey };
    const badCredentials: [name: string, headers: Record<string, string>][] = [
      ["no key", {}],
      ["a wrong key", { apikey: "sb_publishable_wrong" }],
      ["the anonymous key alone", key],
      ["a token that is none", { ...key, authorization: "Bearer nonsense" }],
      ["a token with another signature", { ...key, authorization: `Bearer ${user.token.slice(0, -8)}AAAAAAAA` }],
    ];
    for (const [name, headers] of badCredentials) {
      await t.step(`Data API: ${name} is refused with 401`, async () => {
        assertEquals((await call(`${stack.url}/rest/v1/profiles`, { headers })).status, 401);
      });
    }

    await t.step("Data API: tables and functions made later are found without a restart", async () => {
      const sql = connect(stack.databaseUrl);
      await sql`create function public.later() returns integer language sql as 'select 7'`;
      await sql.end();
      const found = () => call(`${stack.url}/rest/v1/rpc/later`, { headers: secret, body: {} });
      assert(await holdsWithin(3000, async () => (await found()).text === "7"));
    });

    await t.step("Data API: functions that are not volatile run in READ ONLY transactions, by POST too", async () => {
      const sql = connect(stack.databaseUrl);
      const define = (volatility: string) =>
        sql.unsafe(`create or replace function public.is_read_only() returns text language sql ${volatility}
          as $$ select current_setting('transaction_read_only') $$`);
      const answers = (text: string) => async () =>
        (await call(`${stack.url}/rest/v1/rpc/is_read_only`, { headers: secret, body: {} })).text === text;
      for (const [volatility, readOnly] of [["volatile", "off"], ["stable", "on"], ["immutable", "on"]] as const) {
        await define("volatile");
        assert(await holdsWithin(3000, answers('"off"')));
        await define(volatility);
        assert(await holdsWithin(3000, answers(`"${readOnly}"`)), volatility);
      }
      // one name, two functions: what a call would run is not known before it
      await sql`create function public.is_read_only(p_note text) returns text language sql volatile
        as $$ select p_note $$`;
      assert(await holdsWithin(3000, answers('"off"')));
      await sql.end();
    });

    await t.step("CORS: a preflight of /rest and /auth allows what the browser asks for", async () => {
      for (const path of ["/rest/v1/profiles", "/auth/v1/token"]) {
        const { status, headers } = await call(`${stack.url}${path}`, {
          method: "OPTIONS",
          headers: {
            origin: "https://app.example.com",
            "access-control-request-method": "POST",
            "access-control-request-headers": "apikey,authorization,x-own",
          },
        });
        assertEquals(status, 200);
        assertEquals(headers.get("access-control-allow-origin"), "*");
        assertEquals(headers.get("access-control-allow-headers"), "apikey,authorization,x-own");
        assertStringIncludes(headers.get("access-control-allow-methods") ?? "", "PATCH");
      }
    });

    await t.step("reset: a migration that fails is told, and the next reset works", async () => {
      const file = join(stack.supabaseDir, "migrations", "20250102000000_fail.sql");
      await Deno.writeTextFile(file, "select * from nowhere");
      const failed = await call(`${stack.url}/local/reset`, { method: "POST", headers: secret });
      assertEquals(failed.status, 500);
      assertStringIncludes(failed.text, '20250102000000_fail.sql:1: relation \\"nowhere\\" does not exist');
      assertEquals((await call(`${stack.url}/rest/v1/counters`, { headers: secret })).status, 503);
      await Deno.remove(file);
      assertEquals((await call(`${stack.url}/local/reset`, { method: "POST", headers: secret })).status, 204);
    });

    await t.step("reset: the data is gone, the schema and the keys are there", async () => {
      await countUp(secret, { p_name: "before" });
      const wrong = await call(`${stack.url}/local/reset`, { method: "POST", headers: { apikey: "wrong" } });
      assertEquals(wrong.status, 401);
      const { status, text } = await call(`${stack.url}/local/reset`, { method: "POST", headers: secret });
      assertEquals(status, 204, text);
      assertEquals((await call(`${stack.url}/rest/v1/counters`, { headers: secret })).text, "[]");
      assertEquals((await countUp((await signUp(stack)).headers, { p_name: "after" })).json?.count, 1);
    });
  });
});
