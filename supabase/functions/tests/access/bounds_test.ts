/**
 * Straight calls of the SQL functions with arguments that the Edge Functions let nobody send: each function that a
 * signed-in user may call refuses them at once, and nothing is stored.
 */
import type postgres from "postgres";
import {
  type Answer,
  assert,
  assertEquals,
  assertLess,
  assertProblem,
  type Client,
  dataApi,
  newOperation,
  newUser,
  operationPath,
  report,
  server,
  unique,
  type User,
} from "../support/harness.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { race, tally } from "../support/racing.ts";

const needsDatabase = hasDatabase ? "" : " (needs DATABASE_URL)";

/** Most of them cost microseconds; this is for the one that meets a machine which other tests keep busy. */
const mostRefusalMs = 1_000;

/** An argument of a function that `authenticated` may execute, as the catalogue has it. */
interface Argument {
  function_name: string;
  name: string;
  type: string;
  /** A call of the function with this argument as $1 and harmless values for whatever else it needs. */
  call: string;
}

interface Attack {
  /** Type of the argument; an integer is meant that says how many rows are passed over. */
  type: string;
  /** SQL of a value that is too much. */
  value: string;
  /** SQLSTATE and machine code of the refusal. */
  refusal: [state: string, code: string];
}

const tooMany: Attack["refusal"] = ["PT422", "validation_failed"];
const tooLarge: Attack["refusal"] = ["PT413", "body_too_large"];
const tooDeep: Attack["refusal"] = ["PT400", "malformed_request"];

const attacks: Attack[] = [
  { type: "text", value: "repeat('x', 1000000)", refusal: tooMany },
  { type: "text", value: "repeat('x', 321)", refusal: tooMany },
  { type: "text[]", value: "array_fill('x'::text, array[600000])", refusal: tooMany },
  { type: "text[]", value: "array_fill('x'::text, array[101])", refusal: tooMany },
  { type: "text[]", value: "array[repeat('x', 1000000)]", refusal: tooLarge },
  { type: "integer[]", value: "array_fill(1, array[600000])", refusal: tooMany },
  { type: "integer[]", value: "array_fill(1, array[101])", refusal: tooMany },
  { type: "jsonb", value: "(repeat('[', 33) || repeat(']', 33))::jsonb", refusal: tooDeep },
  { type: "jsonb", value: `(repeat('{"a":', 100) || '1' || repeat('}', 100))::jsonb`, refusal: tooDeep },
  { type: "jsonb", value: "jsonb_build_object('key', 'k', 'note', repeat('x', 9000000))", refusal: tooLarge },
  { type: "jsonb", value: "to_jsonb(array_fill(1, array[900000]))", refusal: tooLarge },
  { type: "integer", value: "10001", refusal: tooMany },
  { type: "integer", value: "2147483647", refusal: tooMany },
];

/** Types of which no value is large. */
const small = ["uuid", "boolean", "bigint", "timestamp with time zone", "integer", "numeric"];

async function grantedArguments(sql: postgres.Sql): Promise<Argument[]> {
  return await sql<Argument[]>`
    with arguments as (
      select p.oid, p.proname, p.proargnames[a.position] as name, a.type::regtype::text as type, a.position,
        a.position <= p.pronargs - p.pronargdefaults as is_needed
      from pg_proc p cross join lateral unnest(p.proargtypes::oid[]) with ordinality a (type, position)
      where p.pronamespace = 'public'::regnamespace and has_function_privilege('authenticated', p.oid, 'execute')
    )
    select a.proname as function_name, a.name, a.type, format('select public.%I(%I => $1%s)', a.proname, a.name, (
      select string_agg(format(', %I => %s', o.name, case o.type
        when 'text' then '''x''' when 'integer' then '1' when 'uuid' then 'gen_random_uuid()' else '''{}''' end), '')
      from arguments o
      where o.oid = a.oid and o.is_needed and o.position <> a.position
    )) as call
    from arguments a
    order by 1, a.position`;
}

interface Refusal {
  call: string;
  state: string;
  message: string;
  ms: number;
}

/** Makes the value once and sends it with each call as the user; the cost of a call leaves out the making. */
async function refusalsOf(sql: postgres.Sql, { id }: User, { type, value }: Attack, calls: string[]) {
  return await sql.begin(async (transaction): Promise<Refusal[]> => {
    await transaction`select set_config('test.calls', ${JSON.stringify(calls)}, true),
      set_config('request.jwt.claims', ${JSON.stringify({ sub: id, role: "authenticated" })}, true),
      set_config('role', 'authenticated', true)`;
    await transaction.unsafe(`
      do $attack$
      declare
        value ${type} := ${value};
        call text;
        began timestamptz;
        state text;
        message text;
        refusals json[] := '{}';
      begin
        for call in select json_array_elements_text(current_setting('test.calls')::json) loop
          began := clock_timestamp();
          begin
            execute call using value;
            state := 'none';
          exception when others then
            get stacked diagnostics state = returned_sqlstate, message = message_text;
          end;
          refusals := refusals || json_build_object('call', call, 'state', state, 'message', message,
            'ms', extract(epoch from clock_timestamp() - began) * 1000);
        end loop;
        perform set_config('test.refusals', array_to_json(refusals)::text, true);
      end
      $attack$`);
    const [row] = await transaction<{ refusals: string }[]>`select current_setting('test.refusals') as refusals`;
    return JSON.parse(row?.refusals ?? "");
  });
}

/** Counts the answers and tickets that the database stores for the users. */
async function storedFor(sql: postgres.Sql, ...users: User[]): Promise<number> {
  const ids = users.map(({ id }) => id).join(",");
  const [row] = await sql<{ rows: number }[]>`
    select (
      (select count(*) from app.idempotency_keys k where k.caller = any(string_to_array(${ids}, ',')))
      + (select count(*) from app.stream_tickets t where t.user_id::text = any(string_to_array(${ids}, ',')))
    )::integer as rows`;
  return row?.rows ?? -1;
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

Deno.test({
  name: `Data API: every granted function rejects each oversized argument at once${needsDatabase}`,
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const { workplace_name } = await newOperation();
      const user = await newUser({ role: "operator", workplaces: [workplace_name ?? ""] });
      const granted = await grantedArguments(sql);
      assert(
        new Set(granted.map(({ function_name }) => function_name)).size >= 35,
        "the catalogue lists the functions",
      );
      const known = [...small, ...attacks.map(({ type }) => type)];
      assertEquals(granted.filter(({ type }) => !known.includes(type)), [], "arguments of types without an attack");

      const unexpected: string[] = [];
      const times: number[] = [];
      for (const attack of attacks) {
        const calls = granted.filter(({ name, type }) =>
          type === attack.type && (type !== "integer" || name === "skip")
        ).map(({ call }) => call);
        assert(calls.length > 0, attack.type);
        for (const { call, state, message, ms } of await refusalsOf(sql, user, attack, calls)) {
          times.push(ms);
          const [expectedState, expectedMessage] = attack.refusal;
          if (state !== expectedState || message !== expectedMessage || ms > mostRefusalMs) {
            unexpected.push(`${call} of ${attack.value}: ${state} ${message}, ${ms} ms`);
          }
        }
      }
      assertEquals(unexpected, []);
      assertLess(median(times), 5);
      assertEquals(await storedFor(sql, user), 0);
    }),
});

Deno.test("Data API: answers an operator while ten calls with 200,000 values are rejected", async () => {
  const operation = await newOperation();
  const outsider = dataApi((await newUser()).client);
  const { client: operator } = await newUser({ role: "operator", workplaces: [operation.workplace_name ?? ""] });
  const names = Array.from({ length: 200_000 }, () => "x");
  const began = performance.now();
  const calls = race(
    10,
    (racer) =>
      racer % 2 === 0
        ? outsider.post("/rest/v1/rpc/list_operations", { workplace_names: names })
        : outsider.post("/rest/v1/rpc/read_feed", { action_types: names }),
  );
  const beside = await operator.get(operationPath(operation));
  assertEquals(beside.status, 200, beside.text);
  for (const { status, text } of await calls) assert([413, 422].includes(status), `${status}: ${text.slice(0, 300)}`);
  // Most of it is the reading of ten bodies of 800 kB: the database is done with each in milliseconds.
  assertLess(performance.now() - began, 8_000);
});

Deno.test("Data API: rejects the filter of a bulk change when it has more than 100 statuses or workplaces", async () => {
  const { client } = await newUser({ role: "supervisor", workplaces: ["*"] });
  for (const filter of [{ statuses: Array(101).fill("PLANNED") }, { workplace_names: Array(3_000).fill("x") }]) {
    const { status, text } = await dataApi(client).post("/rest/v1/rpc/update_operations", { filter, patch: {} });
    assertEquals(status, 422, text);
  }
});

Deno.test({
  name:
    `Data API: what a request says of its Idempotency-Key is that of the functions, or it is refused${needsDatabase}`,
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const operation = await newOperation();
      const user = await newUser({ role: "operator", workplaces: [operation.workplace_name ?? ""] });
      const api = dataApi(user.client);
      const { order_no, operation_no, workplace_name } = operation;
      const report = { action_type: "START", order_no, operation_no, workplace_name };
      const good = { key: unique("key"), method: "POST", route: "/events/v1", fingerprint: "0a".repeat(32) };
      // deno-fmt-ignore
      const bad: [member: Record<string, unknown>, status: number][] = [
        [{ key: "x".repeat(256) }, 400], [{ key: "" }, 400], [{ key: "a b" }, 400], [{ key: "ä" }, 400], [{ key: {} , fingerprint: "x".repeat(5_000) }, 413],
        [{ method: "DELETE" }, 422], [{ method: null }, 422], [{ method: "x".repeat(1_000) }, 422],
        [{ route: "" }, 422], [{ route: null }, 422], [{ route: "x".repeat(256) }, 422],
        [{ fingerprint: "x" }, 422], [{ fingerprint: null }, 422], [{ fingerprint: "0A".repeat(32) }, 422], [{ fingerprint: "0a".repeat(33) }, 422],
        [{ request_id: "x".repeat(129) }, 422], [{ request_id: "x".repeat(1_000_000) }, 413], [{ nope: "x".repeat(5_000) }, 413],
      ];
      for (const [member, expected] of bad) {
        const answer = await api.post("/rest/v1/rpc/report_event", { report, idempotency: { ...good, ...member } });
        assertEquals(answer.status, expected, `${JSON.stringify(member).slice(0, 100)}: ${answer.text.slice(0, 300)}`);
      }
      assertEquals(await storedFor(sql, user), 0);
      const sent = { report, idempotency: { ...good, request_id: "x".repeat(128) } };
      const [first, again] = [
        await api.post("/rest/v1/rpc/report_event", sent),
        await api.post("/rest/v1/rpc/report_event", sent),
      ];
      assertEquals([first.status, again.status, again.body.replayed], [200, 200, true], again.text);
      assertEquals(await storedFor(sql, user), 1);
    }),
});

Deno.test({
  name:
    `PostgreSQL: the tables of keys, tickets, profiles and deletions refuse what is too large by themselves${needsDatabase}`,
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const { id } = await newUser();
      const key = {
        ...{ caller: "server", method: "POST", route: "/x", key: unique("key"), fingerprint: "0a".repeat(32) },
        ...{ least_role: "admin", answer: {} },
      };
      const ticket = { digest: `\\x${"00".repeat(32)}`, filter: {}, expires_at: "1970-01-01" };
      const deletion = { order_no: unique("O"), operation_no: "0010", asset_id: "1", timestamp_ms: "1970-01-01" };
      const long = "x".repeat(1_000);
      const attempts: [table: string, row: Record<string, unknown>][] = [
        ["app.idempotency_keys", { ...key, caller: long }],
        ["app.idempotency_keys", { ...key, method: "DELETE" }],
        ["app.idempotency_keys", { ...key, route: long }],
        ["app.idempotency_keys", { ...key, key: "x".repeat(256) }],
        ["app.idempotency_keys", { ...key, fingerprint: long }],
        ["app.idempotency_keys", { ...key, workplace_names: Array(1_001).fill("x") }],
        ["app.idempotency_keys", { ...key, answer: "x".repeat(9_000_000) }],
        ["app.stream_tickets", { ...ticket, filter: { order_no: "x".repeat(4_096) } }],
        ["app.deleted_operations", { ...deletion, order_no: long }],
        ["app.deleted_operations", { ...deletion, operation_no: long }],
      ];
      for (const [table, row] of attempts) {
        const columns = Object.keys(row).join(", ");
        const code = await sql.unsafe(
          `insert into ${table} (${columns}) select ${columns} from jsonb_populate_record(null::${table}, $1::text::jsonb)`,
          [JSON.stringify(row)],
        ).then(() => "stored", ({ code }: { code: string }) => code);
        assertEquals(code, "23514", `${table} ${JSON.stringify(row).slice(0, 200)}`);
      }
      const code = await sql`update public.profiles set workplace_access = array[repeat('x', 300000)] where id = ${id}`
        .then(() => "stored", ({ code }: { code: string }) => code);
      assertEquals(code, "23514");
    }),
});

const makeTicket = (client: Client, filter: unknown = {}) => client.post("/stream/v1/tickets", filter);

Deno.test("POST /stream/v1/tickets: creates 20 tickets and answers 429 with Retry-After when a user asks for 40 at once", async () => {
  const { workplace_name } = await newOperation();
  const workplaces = [workplace_name ?? ""];
  const [user, other] = await Promise.all([newUser({ workplaces }), newUser({ workplaces })]);
  const answers: Answer<unknown>[] = await race(40, () => makeTicket(user.client));
  assertEquals(tally(answers.map(({ status }) => status)), { "201": 20, "429": 20 });
  for (const answer of answers.filter(({ status }) => status === 429)) {
    const { limit } = assertProblem(answer, 429, "rate_limited");
    assertEquals(limit, 20);
    const seconds = Number(answer.headers.get("retry-after"));
    assert(seconds >= 1 && seconds <= 30, `Retry-After: ${seconds}`);
  }
  const digest = "0f".repeat(16) + crypto.randomUUID().replaceAll("-", "");
  const straight = await dataApi(user.client).post("/rest/v1/rpc/create_stream_ticket", { digest, filter: {} });
  assertEquals(straight.status, 429, straight.text);
  assertEquals((await makeTicket(other.client)).status, 201);
});

Deno.test("POST /stream/v1/tickets: rejects a filter of more than 4 KiB", async () => {
  const { workplace_name } = await newOperation();
  const { client } = await newUser({ workplaces: [workplace_name ?? ""] });
  const names = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padEnd(60, "x"));
  assertEquals((await makeTicket(client, { workplace_name: names(60) })).status, 201);
  assertProblem(await makeTicket(client, { workplace_name: names(70) }), 422, "validation_failed");
});

Deno.test({
  name: `POST /stream/v1/tickets: removes expired tickets of the caller and some of others${needsDatabase}`,
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const { workplace_name } = await newOperation();
      const workplaces = [workplace_name ?? ""];
      const [user, other] = await Promise.all([newUser({ workplaces }), newUser({ workplaces })]);
      const expired = async (...users: User[]) => {
        const ids = users.map(({ id }) => id).join(",");
        const [row] = await sql<{ count: number }[]>`
          select count(*)::integer from app.stream_tickets
          where user_id::text = any(string_to_array(${ids}, ',')) and expires_at < now()`;
        return row?.count ?? -1;
      };
      // the oldest of all, so that they are the first to be removed
      await sql`
        insert into app.stream_tickets (digest, user_id, filter, expires_at)
        select sha256(gen_random_uuid()::text::bytea), u.id, '{}', '1970-01-02'
        from unnest(array[${user.id}, ${other.id}]::uuid[]) u (id), generate_series(1, 12)`;
      assertEquals(await expired(user, other), 24);
      for (let made = 0; made < 4; made++) assertEquals((await makeTicket(user.client)).status, 201);
      assertEquals(await expired(user), 0);
      assertEquals(await expired(other), 0);
    }),
});

Deno.test("If-Match: is accepted with 100 ETags and rejected with 101", async () => {
  const operation = await newOperation();
  const change = (count: number) =>
    server.patch(operationPath(operation), { qty_desired: 60 }, {
      headers: { "if-match": Array.from({ length: count }, (_, index) => `"${index + 1}"`).join(", ") },
    });
  assertEquals((await change(100)).status, 200);
  assertProblem(await change(101), 400, "malformed_request");
});

Deno.test({
  name: `POST /events/v1/batch: bounds the problems of rejected reports, and so the stored answer${needsDatabase}`,
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const operation = await newOperation();
      const user = await newUser({ role: "operator", workplaces: [operation.workplace_name ?? ""] });
      assertEquals((await report(user.client, operation, "START")).status, 201);
      const { order_no, operation_no, workplace_name } = operation;
      const stop = { action_type: "STOP", order_no, operation_no, workplace_name };
      const reports = Array.from(
        { length: 100 },
        () => ({ ...stop, reason_code: "x".repeat(8_000), id: "x".repeat(8_000) }),
      );
      const idempotency = {
        key: unique("key"),
        method: "POST",
        route: "/events/v1/batch",
        fingerprint: "0a".repeat(32),
      };
      const { status, text } = await dataApi(user.client).post("/rest/v1/rpc/report_events", { reports, idempotency });
      assertEquals(status, 200, text.slice(0, 300));
      const [row] = await sql<{ bytes: number }[]>`
        select octet_length(answer::text) as bytes from app.idempotency_keys where caller = ${user.id}`;
      assertLess(row?.bytes ?? Infinity, 100 * 4_500);
    }),
});
