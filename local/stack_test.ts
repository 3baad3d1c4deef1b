import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert/mod.js";
import { decodeBase64Url } from "@std/encoding/base64url.js";
import { join } from "@std/path/mod.js";
import { holdsWithin } from "./poll.ts";
import { call, type TestStack, withStack } from "./testing.ts";

/** A project like ours in small: profiles by trigger, one table behind RLS, one function. */
const schema = `
create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  email text,
  created_at timestamptz not null default '2026-01-02 03:04:05.678+00'
);
alter table public.profiles enable row level security;
create policy "Users read their own profile" on public.profiles for select to authenticated
  using (id = (select auth.uid()));
revoke all on public.profiles from anon, authenticated;
grant select on public.profiles to authenticated;

create schema app;
create function app.make_profile() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.profiles (id, email) values (new.id, new.email);
  return new;
end
$$;
create trigger make_profile after insert on auth.users for each row execute function app.make_profile();

create table public.counters (name text primary key, count integer not null check (count < 1000));
alter table public.counters enable row level security;
create function public.count_up(p_name text, p_by integer default 1) returns json
language plpgsql security definer set search_path = ''
as $$
declare
  total integer;
begin
  if p_by = 0 then
    raise sqlstate 'PT409' using message = 'nothing_to_count', detail = '{"by": 0}';
  end if;
  insert into public.counters as c (name, count) values (p_name, p_by)
  on conflict (name) do update set count = c.count + p_by
  returning count into total;
  return json_build_object(
    'count', total, 'role', current_setting('role'), 'uid', auth.uid(), 'email', auth.jwt() ->> 'email',
    'method', current_setting('request.method')
  );
end
$$;
create table public.lists (id integer primary key, names text[], numbers integer[], document jsonb);
alter table public.lists enable row level security;
create function public.fail(p_state text) returns json
language plpgsql
as $$
begin
  raise exception using errcode = p_state, message = 'failed on purpose';
end
$$;
`;

const functions = {
  "functions/echo/index.ts": `export default { fetch: (request: Request) => Response.json({
    path: new URL(request.url).pathname,
    headers: Object.fromEntries(request.headers),
    env: Deno.env.toObject(),
  }) };`,
  "functions/faulty/index.ts": `export default { fetch(request: Request) {
    const path = new URL(request.url).pathname;
    if (path.endsWith("/throw")) throw new Error("thrown");
    if (path.endsWith("/later")) setTimeout(() => { throw new Error("thrown later"); }, 1);
    if (path.endsWith("/reject")) Promise.reject(new Error("rejected"));
    if (path.endsWith("/exit")) Deno.exit(3);
    return new Response("answered");
  } };`,
  "functions/unimportable/index.ts": `import "./missing.ts"; export default { fetch: () => new Response() };`,
  "functions/guarded/index.ts": `export default { fetch: () => new Response("let in") };`,
  "functions/_shared/index.ts": `throw new Error("not a function");`,
  "functions/stream/index.ts": `export default { fetch(request: Request) {
    if (request.headers.get("upgrade") === "websocket") {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send("heard " + data);
      return response;
    }
    let timer = 0;
    const body = new ReadableStream({
      start(controller) {
        timer = setInterval(() => controller.enqueue(new TextEncoder().encode("data: tick\\n\\n")), 10);
      },
      cancel() {
        clearInterval(timer);
        console.log("the client has gone");
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  } };`,
};

const config = ["echo", "faulty", "unimportable", "stream", "off"]
  .map((name) => `[functions.${name}]\nenabled = ${name !== "off"}\nverify_jwt = false\n`).join("\n");

const project = {
  "config.toml": `project_id = "test"\n${config}`,
  "migrations/20250101000000_create_everything.sql": schema,
  ...functions,
};

interface User {
  id: string;
  email: string;
  token: string;
  refreshToken: string;
  headers: Record<string, string>;
}

async function signUp(stack: TestStack): Promise<User> {
  const email = `${crypto.randomUUID()}@example.com`;
  const { status, text, json } = await call(`${stack.url}/auth/v1/signup`, {
    headers: { apikey: stack.keys.publishableKey },
    body: { email, password: crypto.randomUUID() },
  });
  assertEquals(status, 200, text);
  const token = String(json?.access_token);
  return {
    id: String(claims(token).sub),
    email,
    token,
    refreshToken: String(json?.refresh_token),
    headers: { apikey: stack.keys.publishableKey, authorization: `Bearer ${token}` },
  };
}

function claims(token: string, part = 1): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(decodeBase64Url(token.split(".")[part] ?? "")));
}

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
      const { connect } = await import("./bootstrap.ts");
      const sql = connect(stack.databaseUrl);
      await sql`create function public.later() returns integer language sql as 'select 7'`;
      await sql.end();
      const found = () => call(`${stack.url}/rest/v1/rpc/later`, { headers: secret, body: {} });
      assert(await holdsWithin(3000, async () => (await found()).text === "7"));
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

    await t.step(
      "functions: path, forwarded headers and environment are Supabase's, nothing else leaks in",
      async () => {
        const { json } = await call(`${stack.url}/functions/v1/echo/v1/a%2Fb?x=1`, { headers: { "x-own": "1" } });
        assertEquals(json?.path, "/echo/v1/a%2Fb");
        const headers = Object(json?.headers);
        assertEquals([headers["x-own"], headers["x-forwarded-host"]], ["1", "127.0.0.1"]);
        assertEquals(headers["x-forwarded-port"], new URL(stack.url).port);
        const env = Object(json?.env);
        assertEquals(env.SUPABASE_URL, stack.url);
        assertEquals(JSON.parse(env.SUPABASE_PUBLISHABLE_KEYS), { default: stack.keys.publishableKey });
        assertEquals(JSON.parse(env.SUPABASE_SECRET_KEYS), { default: stack.keys.secretKey });
        assertEquals(JSON.parse(env.SUPABASE_JWKS).keys[0].kid, "local");
        assertEquals(env.SUPABASE_DB_URL, stack.databaseUrl);
        const machine = ["PATH", "HOME", "TMPDIR", "DENO_DIR"];
        const others = Object.keys(env).filter((name) => !name.startsWith("SUPABASE_") && !machine.includes(name));
        assertEquals(others, []);
      },
    );

    await t.step("functions: one that is unknown, shared code or disabled is 404", async () => {
      for (const name of ["nothing", "_shared", "off"]) {
        const { status, json } = await call(`${stack.url}/functions/v1/${name}`);
        assertEquals([status, json?.code], [404, "NOT_FOUND"], name);
      }
    });

    await t.step("functions: one that cannot be imported is 503, named in the log, the others work", async () => {
      const { status, json } = await call(`${stack.url}/functions/v1/unimportable`);
      assertEquals([status, json?.code], [503, "BOOT_ERROR"]);
      assertStringIncludes(stack.functionLog.join("\n"), 'Function "unimportable" cannot be started');
      assertEquals((await call(`${stack.url}/functions/v1/echo`)).status, 200);
    });

    await t.step("functions: verify_jwt, the default, wants a valid token", async () => {
      const url = `${stack.url}/functions/v1/guarded`;
      assertEquals((await call(url)).status, 401);
      assertEquals((await call(url, { headers: { authorization: "Bearer a.b.c" } })).status, 401);
      assertEquals((await call(url, { headers: user.headers })).text, "let in");
    });

    await t.step("functions: whatever one of them throws, the stack goes on", async () => {
      const status = async (path: string) => (await call(`${stack.url}/functions/v1/faulty/${path}`)).status;
      assertEquals(await status("throw"), 500);
      assertEquals(await status("later"), 200);
      assertEquals(await status("reject"), 200);
      for (const message of ["thrown later", "rejected"]) {
        assert(await holdsWithin(1000, () => stack.functionLog.some((line) => line.includes(message))), message);
      }
      assertEquals(await status("exit"), 502);
      assertEquals(await status("fine"), 200);
    });

    await t.step(
      "functions: a stream arrives as it is sent, and ends in the function when the client goes",
      async () => {
        const response = await fetch(`${stack.url}/functions/v1/stream`);
        assertEquals(response.headers.get("content-type"), "text/event-stream");
        const reader = response.body?.getReader();
        for (let chunk = 0; chunk < 3; chunk++) {
          const { value } = await reader?.read() ?? {};
          assertMatch(new TextDecoder().decode(value), /^data: tick/);
        }
        await reader?.cancel();
        assert(await holdsWithin(2000, () => stack.functionLog.includes("the client has gone")));
      },
    );

    await t.step("functions: a WebSocket reaches the function and back", async () => {
      const socket = new WebSocket(`${stack.url.replace("http", "ws")}/functions/v1/stream`);
      const answer = Promise.withResolvers<string>();
      socket.onopen = () => socket.send("hello");
      socket.onmessage = ({ data }) => answer.resolve(data);
      socket.onerror = () => answer.reject(new Error("the socket failed"));
      assertEquals(await answer.promise, "heard hello");
      const closed = Promise.withResolvers<void>();
      socket.onclose = () => closed.resolve();
      socket.close(1000);
      await closed.promise;
    });

    await t.step("functions: a changed file is served without a restart", async () => {
      const file = join(stack.supabaseDir, "functions", "echo", "index.ts");
      await Deno.writeTextFile(file, `export default { fetch: () => new Response("changed") };`);
      const text = async () => (await call(`${stack.url}/functions/v1/echo`)).text;
      assert(await holdsWithin(10_000, async () => await text() === "changed"));
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
  }, { watch: true });
});

Deno.test("stack: the database stopped under load is answered 503, and served again within 5 s of its return", async () => {
  await withStack({ ...project, "config.toml": 'project_id = "test"\n' }, async (stack) => {
    const seen = new Map<number, number>();
    const ever = new Set<number>();
    let slowest = 0;
    let isOver = false;
    const count = async (name: string) => {
      const started = performance.now();
      const { status } = await call(`${stack.url}/rest/v1/rpc/count_up`, {
        headers: { apikey: stack.keys.secretKey },
        body: { p_name: name, p_by: 1 },
      });
      seen.set(status, (seen.get(status) ?? 0) + 1);
      ever.add(status);
      slowest = Math.max(slowest, performance.now() - started);
      return status;
    };
    const load = Promise.all(
      Array.from({ length: 32 }, async (_, index) => {
        for (let turn = 0; !isOver; turn++) await count(`${index}-${turn}`);
      }),
    );
    const answered = (status: number, times: number) => holdsWithin(5000, () => (seen.get(status) ?? 0) >= times);
    for (let outage = 1; outage <= 2; outage++) {
      seen.clear();
      assert(await answered(200, 50), "no normal service before the outage");
      await stack.database.stop();
      assert(await answered(503, 50), `no 503 while the database is away: ${JSON.stringify([...seen])}`);
      await stack.database.start();
      seen.clear();
      assert(await answered(200, 50), `no normal service within 5 s: ${JSON.stringify([...seen])}`);
    }
    seen.clear();
    const sql = (await import("./bootstrap.ts")).connect(stack.databaseUrl.replace("postgres:", "supabase_admin:"));
    for (let kill = 0; kill < 20; kill++) {
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator' limit 5`;
    }
    await sql.end();
    seen.clear();
    assert(await answered(200, 50), `no normal service after connections were cut: ${JSON.stringify([...seen])}`);
    isOver = true;
    await load;
    // Every connection of the pool works again, more callers than it has connections.
    const last = await Promise.all(Array.from({ length: 64 }, (_, index) => count(`last-${index}`)));
    assertEquals(last.filter((status) => status !== 200), []);
    assertEquals([...ever].sort(), [200, 503]);
    assert(slowest < 10_000, `a request took ${slowest} ms`);
  });
});
