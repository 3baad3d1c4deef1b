/** API keys: made, used, changed, rotated, revoked. */
import {
  type Answer,
  assert,
  assertEquals,
  assertMatch,
  assertProblem,
  Client,
  dataApi,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  report,
  type ReportedEvent,
  server,
  unique,
} from "../support/harness.ts";
import { newApiKey } from "../../_shared/api_keys.ts";
import { type ApiKeyOfTest, keyAdmin, keyClient, newKey } from "../support/api_keys.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { feedEnd } from "../support/feed_end.ts";

const read = (client: Client, headers: Record<string, string> = {}) =>
  client.get("/operations/v1?limit=1", { headers });

/** An operation, and a machine's key for its workplace. */
async function gateway(scopes = ["events:report", "events:read", "operations:read"]) {
  const operation = await newOperation();
  const name = unique("Gateway");
  const key = await newKey({ name, role: "machine", workplaces: [operation.workplace_name ?? ""], scopes });
  return { operation, name, ...key };
}

Deno.test("POST /keys/v1: answers the key this once, and stores its digest only", async () => {
  const { client: admin, id: created_by } = await keyAdmin();
  const name = unique("Key");
  const expires_at = new Date(Date.now() + 3_600_000).toISOString();
  const created = await admin.post<Record<string, unknown>>("/keys/v1", {
    name,
    role: "machine",
    workplace_access: ["Trommelen-1"],
    scopes: ["operations:read", "events:report", "events:report"],
    expires_at,
    allowed_cidrs: ["203.0.113.7", "10.0.0.1/8", "2001:db8::1/32"],
  });
  assertEquals(created.status, 201, created.text);
  const { key, id, created_at, updated_at, ...rest } = created.body;
  assertEquals(rest, {
    name,
    role: "machine",
    workplace_access: ["Trommelen-1"],
    // each once, in the order of the type; networks as they are stored
    scopes: ["operations:read", "events:report"],
    status: "active",
    expires_at,
    allowed_cidrs: ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/32"],
    previous_secret_until: null,
    last_used_at: null,
    revoked_at: null,
    created_by,
    version: 1,
  });
  assertMatch(String(key), new RegExp(`^mes_${String(id).replaceAll("-", "")}_[0-9A-Za-z]{49}$`));
  assertEquals(created.headers.get("location"), `/functions/v1/keys/v1/${id}`);
  assertEquals(created.headers.get("etag"), '"1"');
  const again = await admin.get<Record<string, unknown>>(`/keys/v1/${id}`);
  assertEquals(again.body, { id, created_at, updated_at, ...rest });
  assert(!again.text.includes("mes_"));
  if (!hasDatabase) return;
  const secret = String(key).slice(-49, -6);
  await withDatabase(async (sql) => {
    const stored = await sql<{ text: string }[]>`
      select k::text || s::text || p::text as text from app.api_keys k
        join app.api_key_secrets s on s.key_id = k.id join public.profiles p on p.id = k.id
      where k.id = ${String(id)}`;
    assertEquals(stored.length, 1);
    assert(!stored[0]?.text.includes(secret));
  });
});

Deno.test("POST /keys/v1: refuses what no key may be", async () => {
  const { client: admin } = await keyAdmin();
  const good = { name: "Key", role: "machine", scopes: ["events:report"] };
  // deno-fmt-ignore
  const bad: [Record<string, unknown>, pointer: string][] = [
    [{ ...good, role: "admin" }, "/role"],
    [{ ...good, scopes: [] }, "/scopes"],
    [{ ...good, scopes: ["operations:all"] }, "/scopes/0"],
    [{ ...good, scopes: undefined }, "/scopes"],
    [{ ...good, name: "" }, "/name"],
    [{ ...good, allowed_cidrs: [] }, "/allowed_cidrs"],
    [{ ...good, allowed_cidrs: ["here"] }, "/allowed_cidrs/0"],
    [{ ...good, allowed_cidrs: ["10.0.0.0/8", "10.0.0.0/33"] }, "/allowed_cidrs/1"],
    [{ ...good, allowed_cidrs: [null] }, "/allowed_cidrs/0"],
    [{ ...good, expires_at: new Date(Date.now() - 1_000).toISOString() }, "/expires_at"],
    [{ ...good, expires_at: "never" }, "/expires_at"],
    [{ ...good, id: crypto.randomUUID() }, "/id"],
    [{ ...good, key: "mes_mine" }, "/key"],
  ];
  for (const [body, pointer] of bad) {
    const problem = assertProblem(await admin.post("/keys/v1", body), 422, "validation_failed");
    assertEquals(problem.errors?.[0]?.pointer, pointer, JSON.stringify(body));
  }
});

Deno.test("keys: a caller below admin gives nobody a key by a direct call either", async () => {
  const manager = await newUser({ role: "manager" });
  const id = crypto.randomUUID();
  const { digest } = newApiKey(id);
  const args = { key: { id, name: "Key", role: "manager", scopes: ["operations:plan"] }, digest };
  assertEquals((await dataApi(manager.client).post("/rest/v1/rpc/create_api_key", args)).status, 403);
  // nor does an admin make an admin's key
  const { client: admin } = await keyAdmin();
  const made = await dataApi(admin).post("/rest/v1/rpc/create_api_key", {
    ...args,
    key: { ...args.key, role: "admin" },
  });
  assertEquals(made.status, 422, made.text);
});

Deno.test("keys: a key reads what its role and workplaces allow", async () => {
  const { operation, client } = await gateway(["operations:read"]);
  assertEquals((await client.get(operationPath(operation))).status, 200);
  assertProblem(await client.get(operationPath(await newOperation())), 404, "not_found");
  const own = await client.get<Record<string, unknown>>("/profiles/v1/me");
  const { kind, role, scopes, email } = own.body;
  assertEquals({ kind, role, scopes, email }, {
    kind: "integration",
    role: "machine",
    scopes: ["operations:read"],
    email: null,
  });
});

Deno.test("keys: the header apikey takes a key as Authorization does", async () => {
  const { key } = await newKey({ scopes: ["operations:read"] });
  const clients = [
    keyClient(key),
    new Client({ apikey: key }),
    new Client({ apikey: key, token: key }),
    new Client({ apikey: env.publishableKey, token: key }),
  ];
  for (const client of clients) assertEquals((await read(client)).status, 200);
});

Deno.test("keys: refuses a key beside another credential, a mistyped key, and a key in the URL", async () => {
  const { key, client } = await newKey({ scopes: ["operations:read"] });
  const { key: other } = await newKey({ scopes: ["operations:read"] });
  const { token } = await newUser({ role: "manager" });
  const mistyped = key.slice(0, -1) + (key.endsWith("0") ? "1" : "0");
  const refused: [string, Answer<unknown>][] = [
    ["a user's token and a key", await read(new Client({ apikey: key, token }))],
    ["two keys", await read(new Client({ apikey: other, token: key }))],
    ["a key and no Bearer", await read(new Client({ apikey: key }), { authorization: "Basic dXNlcjpwYXNz" })],
    ["a mistyped checksum", await read(keyClient(mistyped))],
    ["half a key", await read(keyClient(key.slice(0, 60)))],
    ["a prefix alone", await read(keyClient("mes_"))],
    ["the id in capitals", await read(keyClient(key.slice(0, 36).toUpperCase() + key.slice(36)))],
    ["in a query", await client.get(`/operations/v1?limit=1&apikey=${key}`)],
    ["in a query without a header", await new Client({}).get(`/operations/v1?access_token=${key}`)],
    ["in a value", await client.get(`/operations/v1?order_no=${key}`)],
    ["escaped in a query", await client.get(`/operations/v1?order_no=%6Des_${key.slice(4)}`)],
    ["in a path", await client.get(`/operations/v1/${key}/1/0010`)],
    ["beside the secret key", await server.get(`/operations/v1?order_no=${key}`)],
    ["as a ticket", await new Client({}).get(`/stream/v1/events?ticket=${key}`)],
  ];
  for (const [what, answer] of refused) {
    const { detail } = assertProblem(answer, 401, "unauthenticated");
    assert(!detail.includes(key.slice(37)), `${what}: the answer repeats the key`);
  }
});

Deno.test("keys: a change takes effect at the next request", async () => {
  const { client: admin } = await keyAdmin();
  const { operation, id, client } = await gateway();
  const path = operationPath(operation);
  assertEquals((await client.get(path)).status, 200);
  const change = async (body: Record<string, unknown>) => {
    const changed = await admin.patch<{ version: number }>(`/keys/v1/${id}`, body);
    assertEquals(changed.status, 200, changed.text);
    return changed.body.version;
  };
  await change({ scopes: ["events:read"] });
  const problem = assertProblem(await client.get(path), 403, "forbidden");
  assertEquals(problem.required_scopes, ["operations:read"]);
  await change({ scopes: ["operations:read"], workplace_access: [newWorkplace()] });
  assertProblem(await client.get(path), 404, "not_found");
  await change({ workplace_access: ["*"], expires_at: new Date().toISOString() });
  assertProblem(await client.get(path), 401, "unauthenticated");
  await change({ expires_at: null, allowed_cidrs: ["192.0.2.1/32"] });
  assertProblem(await client.get(path), 403, "forbidden");
  const version = await change({ allowed_cidrs: null, name: "Renamed" });
  assertEquals((await client.get(path)).status, 200);
  assertEquals(version, 6);
  const stale = await admin.patch(`/keys/v1/${id}`, { name: "x" }, { headers: { "if-match": '"5"' } });
  assertProblem(stale, 412, "stale_version");
});

Deno.test("POST /keys/v1/{id}/rotate: the secret before stays valid for its time, and a repeated rotation cuts off nobody", async () => {
  const { client: admin } = await keyAdmin();
  const { id, client: first } = await newKey({ scopes: ["operations:read"] });
  const rotate = async (body: Record<string, unknown> = {}) => {
    const rotated = await admin.post<ApiKeyOfTest & { previous_secret_until: string | null }>(
      `/keys/v1/${id}/rotate`,
      body,
    );
    assertEquals(rotated.status, 200, rotated.text);
    assertEquals(rotated.headers.get("etag"), `"${rotated.body.version}"`);
    return { until: rotated.body.previous_secret_until, client: keyClient(rotated.body.key) };
  };
  const second = await rotate({ overlap_h: 2 });
  assert(Date.parse(second.until ?? "") > Date.now() + 7_100_000);
  const third = await rotate();
  for (const client of [first, second.client, third.client]) assertEquals((await read(client)).status, 200);
  // at most 5 valid secrets
  await rotate();
  await rotate();
  assertProblem(await admin.post(`/keys/v1/${id}/rotate`, {}), 409, "limit_reached");
  if (hasDatabase) {
    await withDatabase(async (sql) => {
      const ended = await sql`
        update app.api_key_secrets s set valid_until = clock_timestamp()
        where s.key_id = ${id} and s.valid_until < clock_timestamp() + interval '3 hours' returning 1`;
      assertEquals(ended.length, 1);
    });
    const { detail } = assertProblem(await read(first), 401, "unauthenticated");
    assertMatch(detail, /was replaced/);
    assertEquals((await read(second.client)).status, 200);
  }
  // after a leak: all earlier secrets end now
  const last = await rotate({ overlap_h: 0 });
  assertEquals(last.until, null);
  for (const client of [first, second.client, third.client]) assertProblem(await read(client), 401, "unauthenticated");
  assertEquals((await read(last.client)).status, 200);
});

Deno.test("DELETE /keys/v1/{id}: revokes for good, and the key stays in the list", async () => {
  const { client: admin } = await keyAdmin();
  const { id, client } = await newKey({ scopes: ["operations:read"] });
  assertEquals((await read(client)).status, 200);
  assertProblem(await admin.delete(`/keys/v1/${id}`, { headers: { "if-match": '"9"' } }), 412, "stale_version");
  assertEquals((await admin.delete(`/keys/v1/${id}`)).status, 204);
  assertEquals((await admin.delete(`/keys/v1/${id}`)).status, 204);
  const { detail } = assertProblem(await read(client), 401, "unauthenticated");
  assertMatch(detail, /revoked/);
  assertProblem(await admin.patch(`/keys/v1/${id}`, { expires_at: null }), 409, "key_revoked");
  assertProblem(await admin.post(`/keys/v1/${id}/rotate`, {}), 409, "key_revoked");
  const { body } = await admin.get<{ status: string; version: number }>(`/keys/v1/${id}`);
  assertEquals([body.status, body.version], ["revoked", 2]);
  const ids = async (status: string) => {
    const found: string[] = [];
    for (let path: string | undefined = `/keys/v1?limit=500&status=${status}`; path !== undefined;) {
      const page: Answer<{ id: string }[]> = await admin.get<{ id: string }[]>(path);
      assertEquals(page.status, 200, page.text);
      found.push(...page.body.map(({ id }) => id));
      path = /<\/functions\/v1([^>]*)>/.exec(page.headers.get("link") ?? "")?.[1];
    }
    return found;
  };
  assert((await ids("revoked")).includes(id));
  assert(!(await ids("active")).includes(id));
});

Deno.test("keys: events and runs name the key, and a key reports as itself only", async () => {
  const { operation, id, name, client } = await gateway();
  const end = await feedEnd();
  const reported_by = { kind: "integration", id, name };
  const dry = await report(client, operation, "START", { dry_run: true });
  assertEquals([dry.status, dry.body.reported_by], [200, reported_by], dry.text);
  const started = await report(client, operation, "START");
  assertEquals(started.status, 201, started.text);
  const { user_id, user_email } = started.body;
  assertEquals({ user_id, user_email, reported_by: started.body.reported_by }, {
    user_id: null,
    user_email: null,
    reported_by,
  });
  const event = started.body.id;
  const [one, list, feed, runs, twice] = await Promise.all([
    client.get<ReportedEvent>(`/events/v1/${event}`),
    client.get<ReportedEvent[]>(`/events/v1?order_no=${operation.order_no}`),
    dataApi(server).post<{ events: ReportedEvent[] }>("/rest/v1/rpc/read_feed", {
      ...end,
      order_no: operation.order_no,
      take: 1,
    }),
    client.get<{ reported_by: unknown }[]>(`${operationPath(operation)}/runs`),
    report(client, operation, "START"),
  ]);
  assertEquals(one.body.reported_by, reported_by);
  assertEquals(list.body[0]?.reported_by, reported_by);
  assertEquals(feed.body.events[0]?.reported_by, reported_by, feed.text);
  assertEquals(runs.body[0]?.reported_by, reported_by);
  assertEquals(assertProblem(twice, 409, "already_running").reported_by, reported_by);
  const batch = await client.post<{ results: { id: string }[] }>("/events/v1/batch", {
    events: [{ ...keyOf(operation), action_type: "REPORT_QUANTITY", qty_good: 1 }],
  });
  assertEquals(batch.status, 201, batch.text);
  const { body } = await client.get<ReportedEvent>(`/events/v1/${batch.body.results[0]?.id}`);
  assertEquals(body.reported_by, reported_by);

  const user = await newUser({ role: "operator", workplaces: [operation.workplace_name ?? ""] });
  for (const named of [{ user_id: user.id }, { user_email: user.email }, { user_id: id }]) {
    assertProblem(await report(client, operation, "STOP", named), 403, "forbidden");
  }
  const stopped = await report(user.client, operation, "STOP");
  assertEquals([stopped.status, stopped.body.reported_by], [201, null]);
});

const keyOf = ({ order_no, operation_no, asset_id, workplace_name }: Operation) => (
  { order_no, operation_no, asset_id, workplace_name }
);

Deno.test("keys: allowed_actions block what is beyond the scopes", async () => {
  const operation = await newOperation();
  const { client } = await newKey({
    role: "supervisor",
    workplaces: ["*"],
    scopes: ["operations:read", "events:report"],
  });
  const { body } = await client.get<
    { allowed_actions: { action: string; allowed: boolean; blocked_by: string | null }[] }
  >(
    operationPath(operation),
  );
  const blocked = Object.fromEntries(body.allowed_actions.map(({ action, blocked_by }) => [action, blocked_by]));
  assertEquals([blocked.START, blocked.HOLD, blocked.CANCEL], [null, "forbidden", "forbidden"]);
  const { required_scope } = assertProblem(
    await report(client, operation, "HOLD", { reason_code: "UNSPECIFIED" }),
    403,
    "forbidden",
  );
  assertEquals(required_scope, "operations:plan");
});

Deno.test("keys: an import releases and cancels with its scope alone", async () => {
  const workplace_name = newWorkplace();
  const { client } = await newKey({ role: "supervisor", workplaces: ["*"], scopes: ["operations:import"] });
  const order_no = unique("O");
  const row = { order_no, asset_id: 1, operation_no: "0010", workplace_name };
  for (const [minute, status] of [[1, "PLANNED"], [2, "RELEASED"], [3, "CANCELLED"]] as const) {
    const timestamp_ms = new Date(Date.now() - (10 - minute) * 60_000).toISOString();
    const imported = await client.post("/operations/v1/import", [{ ...row, status, timestamp_ms }]);
    assertEquals(imported.status, 200, imported.text);
  }
  const { body } = await server.get<Operation>(operationPath({ ...row }));
  assertEquals(body.status, "CANCELLED");
  const { body: events } = await server.get<ReportedEvent[]>(`/events/v1?order_no=${order_no}`);
  assertEquals(events.map(({ action_type }) => action_type), ["CANCEL", "RELEASE"]);
});

Deno.test("keys: an Idempotency-Key belongs to the API key that sent it", async () => {
  const operation = await newOperation();
  const options = { role: "machine", workplaces: [operation.workplace_name ?? ""], scopes: ["events:report"] } as const;
  const [one, other] = await Promise.all([
    newKey({ ...options, workplaces: [...options.workplaces], scopes: [...options.scopes] }),
    newKey({ ...options, workplaces: [...options.workplaces], scopes: [...options.scopes] }),
  ]);
  assertEquals((await report(server, operation, "START")).status, 201);
  const headers = { "idempotency-key": crypto.randomUUID() };
  const body = { ...keyOf(operation), action_type: "REPORT_QUANTITY", qty_good: 1 };
  const send = (client: Client) => client.post<{ id: string }>("/events/v1", body, { headers });
  const first = await send(one.client);
  const again = await send(one.client);
  const theirs = await send(other.client);
  assertEquals([first.status, again.status, theirs.status], [201, 201, 201]);
  assertEquals(again.headers.get("idempotency-replayed"), "true");
  assertEquals(again.text, first.text);
  assertEquals(theirs.headers.get("idempotency-replayed"), null);
  assert(theirs.body.id !== first.body.id);
  // a rotated key is the same caller
  const { client: admin } = await keyAdmin();
  const rotated = await admin.post<{ key: string }>(`/keys/v1/${one.id}/rotate`, {});
  assertEquals((await send(keyClient(rotated.body.key))).text, first.text);
});

Deno.test("keys: a key that manages webhooks needs the role of a manager, too", async () => {
  const scopes = ["webhooks:manage"];
  const [manager, supervisor] = await Promise.all([newKey({ scopes }), newKey({ role: "supervisor", scopes })]);
  const hook = { url: "https://hooks.example.com/mes", enabled: false };
  const created = await manager.client.post<{ id: string }>("/webhooks/v1/endpoints", hook);
  assertEquals(created.status, 201, created.text);
  assertEquals((await manager.client.delete(`/webhooks/v1/endpoints/${created.body.id}`)).status, 204);
  const { required_role } = assertProblem(
    await supervisor.client.post("/webhooks/v1/endpoints", hook),
    403,
    "forbidden",
  );
  assertEquals(required_role, "manager");
});

Deno.test("keys: the last use is stored, to about a minute", async () => {
  const { client: admin } = await keyAdmin();
  const { id, client } = await newKey({ scopes: ["operations:read"] });
  assertEquals((await read(client)).status, 200);
  // the function tells it after the answer
  const deadline = Date.now() + 5_000;
  let used: string | null = null;
  while (used === null && Date.now() < deadline) {
    used = (await admin.get<{ last_used_at: string | null }>(`/keys/v1/${id}`)).body.last_used_at;
  }
  assert(used !== null && Math.abs(Date.parse(used) - Date.now()) < 60_000, String(used));
});

Deno.test("Data API: nobody becomes a key by headers of their own", async () => {
  const { operation, id, key } = await gateway();
  const { digest } = newApiKey(id);
  const outsider = await newUser({ role: "operator", workplaces: [newWorkplace()] });
  const args = keyOf(operation);
  const { workplace_name: _, ...path } = args;
  const call = (credential: { apikey?: string; token?: string }, headers: Record<string, string>) =>
    dataApi(credential).post<{ code?: string; message?: string }>("/rest/v1/rpc/get_operation", path, { headers });
  const secret = key.slice(-49, -6);
  const right = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret))).toHex();
  const headers = { "x-mes-key": `${id}.${right}`, "x-mes-client": "127.0.0.1" };
  // a user stays that user; anon stays anon
  assertEquals((await call({ apikey: env.publishableKey, token: outsider.token }, headers)).status, 404);
  assertEquals((await call({ apikey: env.publishableKey }, headers)).status, 401);
  assertEquals((await call({ apikey: env.publishableKey, token: key }, {})).status, 401);
  // the secret key may be a key, and then has its rights only
  assertEquals((await call({ apikey: env.secretKey }, headers)).status, 200);
  const elsewhere = await newOperation();
  const { order_no, asset_id, operation_no } = elsewhere;
  const hidden = await dataApi({ apikey: env.secretKey })
    .post("/rest/v1/rpc/get_operation", { order_no, asset_id, operation_no }, { headers });
  assertEquals(hidden.status, 404, hidden.text);
  const refused = await call({ apikey: env.secretKey }, { ...headers, "x-mes-key": `${id}.${digest}` });
  assertEquals([refused.status, refused.body.message], [401, "unauthenticated"]);
  for (const text of ["", id, `${id}.`, `${id}.${right.slice(1)}`, `${id}.${right}0`, `x${id}.${right}`, "null", "'"]) {
    assertEquals((await call({ apikey: env.secretKey }, { ...headers, "x-mes-key": text })).status, 401, text);
  }
});

Deno.test({
  name: "Data API: a forged session of a key's profile sees nothing",
  ignore: Deno.env.get("LOCAL_JWT_SECRET") === undefined,
  async fn() {
    const { SignJWT } = await import("jose");
    const { operation, id } = await gateway();
    const token = await new SignJWT({ role: "authenticated", aud: "authenticated", sub: id, session_id: id })
      .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: "local" })
      .setIssuer(`${env.supabaseUrl}/auth/v1`)
      .setIssuedAt().setExpirationTime("1h")
      .sign(new TextEncoder().encode(Deno.env.get("LOCAL_JWT_SECRET")));
    const client = new Client({ apikey: env.publishableKey, token });
    assertProblem(await client.get(operationPath(operation)), 404, "not_found");
    assertProblem(await report(client, operation, "START"), 404, "not_found");
    const rows = await dataApi(client).get<unknown[]>("/rest/v1/mes_operations?limit=1");
    assertEquals(rows.body, []);
  },
});
