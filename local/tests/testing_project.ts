/** The small project that the tests of the stack run, and its users. */
import { assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { decodeBase64Url } from "@std/encoding/base64url.js";
import { call, type TestStack } from "./testing.ts";

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

export const project = {
  "config.toml": `project_id = "test"\n${config}`,
  "migrations/20250101000000_create_everything.sql": schema,
  ...functions,
};

/** A user who signed up at a stack. */
export interface User {
  id: string;
  email: string;
  token: string;
  refreshToken: string;
  headers: Record<string, string>;
}

/** Signs a new user up. */
export async function signUp(stack: TestStack): Promise<User> {
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

/** Decodes a part of a token: 0 is its header, 1 its claims. */
export function claims(token: string, part = 1): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(decodeBase64Url(token.split(".")[part] ?? "")));
}
