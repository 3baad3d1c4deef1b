/**
 * Clocks that are wrong: a device that lives in 1970, a server that has stepped back. The server's clock is not touched
 * here; what it has recorded is moved ahead of it, in a transaction that nobody else sees. local/tests/clock_test.ts sets it.
 */
import postgres from "postgres";
import { compareWithEvents } from "../../../../local/postgres/comparison.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import {
  anonymous,
  assert,
  assertEquals,
  assertMatch,
  assertProblem,
  clientOf,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  report,
  server,
} from "../support/harness.ts";
import {
  eventsOf,
  minutesAgo,
  patched,
  pick,
  read,
  reported,
  reportOne,
  type Results,
  transition,
} from "../support/floor.ts";

const day_min = 24 * 60;

// ---------------------------------------------------------------- devices

Deno.test("POST /events/v1: answers too_old when an operator or a machine reports from 1970, not for a supervisor or the secret key", async () => {
  const workplace_name = newWorkplace();
  const operation = await newOperation({ workplace_name });
  const occurred_at = "1970-01-01T00:00:12.000Z";
  for (const role of ["operator", "machine"] as const) {
    const { client } = await newUser({ role, workplaces: [workplace_name] });
    const problem = assertProblem(await report(client, operation, "START", { occurred_at }), 422, "too_old");
    assertMatch(
      problem.detail,
      /^Cannot START operation \S+ at 1970-01-01T00:00:12\.000Z: that is \d{5} days behind the/,
    );
    assert(Math.abs(Date.parse(String(problem.server_time)) - Date.now()) < 60_000, String(problem.server_time));
    assertEquals(problem.limit_days, 31);
    assertEquals(Date.parse(String(problem.server_time)) - Date.parse(String(problem.limit)), 31 * 24 * 3_600_000);

    const batch = await client.post<Results>("/events/v1/batch", {
      events: [{ action_type: "START", ...pick(operation, "order_no", "operation_no"), workplace_name, occurred_at }],
    });
    assertEquals([batch.status, batch.body.results[0]?.status], [207, 422]);
    assertEquals((batch.body.results[0]?.problem as { code: string }).code, "too_old");
    assertProblem(await transition(client, operation, "START", { occurred_at }), 422, "too_old");
    const patch = { status: "IN_PROGRESS", actual_start_at: occurred_at };
    assertProblem(await client.patch(operationPath(operation), patch), 422, "too_old");
  }
  assertEquals(pick(await read(operation), "status", "version"), { status: "RELEASED", version: 1 });
  const supervisor = await newUser({ role: "supervisor", workplaces: [workplace_name] });
  assertEquals((await report(supervisor.client, operation, "START", { occurred_at })).status, 201);
  const other = await newOperation({ workplace_name });
  assertEquals((await reportOne(other, "START", { occurred_at })).occurred_at, occurred_at);
});

Deno.test("POST /events/v1: rejects reports older than 31 days to the minute, but not repeated ones", async () => {
  const workplace_name = newWorkplace();
  const operation = await newOperation({ workplace_name });
  const { client } = await newUser({ workplaces: [workplace_name] });
  const at = (minutes: number) => ({ occurred_at: minutesAgo(31 * day_min + minutes) });
  assertProblem(await report(client, operation, "START", at(1)), 422, "too_old");
  const id = crypto.randomUUID();
  const start = { id, ...at(-1) };
  assertEquals((await report(client, operation, "START", start)).status, 201);
  assertProblem(await report(client, operation, "REPORT_QUANTITY", { qty_good: 1, ...at(1) }), 422, "too_old");
  assertEquals((await report(client, operation, "START", start)).status, 200);
  assertEquals((await report(client, operation, "STOP")).status, 201);
});

Deno.test("POST /events/v1: states the drift of the device and the server's time when an event is in the future", async () => {
  const operation = await newOperation();
  for (
    const [minutes, words] of [[1.25, "75 s"], [5, "5 min"], [192, "3 h 12 min"], [179.9, "3 h 0 min"], [
      3 * day_min,
      "3 days",
    ]] as const
  ) {
    const occurred_at = new Date(Date.now() + minutes * 60_000 + 300).toISOString();
    const problem = assertProblem(await report(server, operation, "START", { occurred_at }), 422, "validation_failed");
    const [, told, server_time] =
      /^in_future at \/occurred_at: "\S+" is (.+) ahead of the server's clock, (\S+Z)$/.exec(problem.detail) ?? [];
    // a slow answer may take a second of it
    assert(told === words || words === "75 s" && /^7[345] s$/.test(told ?? ""), problem.detail);
    assertEquals(problem.errors?.map(({ pointer, code }) => [pointer, code]), [["/occurred_at", "in_future"]]);
    assert(Math.abs(Date.parse(server_time ?? "") - Date.parse(String(problem.server_time))) < 1000);
  }
});

Deno.test("Date: is in every answer when the answer is a problem or the URL is unknown, too", async () => {
  const operation = await newOperation();
  const stranger = clientOf("no token");
  const answers = await Promise.all([
    server.get("/operations/v1", { query: { limit: 1 } }),
    report(server, operation, "START"),
    report(server, operation, "STOP", { occurred_at: "1971-01-01T00:00:00Z" }),
    server.post("/operations/v1", { order_no: 5 }),
    server.post("/operations/v1", undefined, { rawBody: "{" }),
    server.request("PUT", "/operations/v1"),
    server.get("/operations/v1/none/1/0010"),
    stranger.get("/operations/v1"),
    anonymous.get("/events/v1"),
    anonymous.get("/events/health"),
  ]);
  const nowhere = await fetch(`${env.functionsUrl}/nothing/v1`);
  await nowhere.body?.cancel();
  for (const { status, headers } of [...answers, nowhere]) {
    const date = headers.get("date");
    assert(date !== null && Math.abs(Date.parse(date) - Date.now()) < 60_000, `${status}: Date ${date}`);
  }
});

// ---------------------------------------------------------------- the server

interface Recorded {
  status: number;
  body: { id: string; occurred_at: string; created_at: string; operation: Operation };
}

/** Runs `run` where what the server has recorded is so many minutes ahead of its clock, and undoes all of it. */
function withClockBehind(minutes: number, run: (sql: postgres.TransactionSql) => Promise<void>): Promise<void> {
  return withDatabase(async (sql: postgres.Sql) => {
    const undone = new Error("undone");
    await sql.begin(async (sql) => {
      // behind the positions of all others
      await sql`insert into app.feed (pos, event_id, action_type, order_no, recorded_at) overriding system value
        values (1::bigint << 60, gen_random_uuid(), 'START', 'clock', clock_timestamp() + ${minutes} * interval '1 minute')`;
      await sql`set local role service_role`;
      await run(sql);
      throw undone;
    }).catch((error) => {
      if (error !== undone) throw error;
    });
  });
}

/** Reports an event of the operation in this transaction. */
async function reportIn(
  sql: postgres.TransactionSql,
  operation: Operation,
  action_type: string,
  more: Record<string, unknown> = {},
): Promise<Recorded> {
  const key = pick(operation, "order_no", "operation_no", "workplace_name", "asset_id");
  const [row] = await sql<{ answer: Recorded }[]>`
    select public.report_event(${JSON.stringify({ action_type, ...key, ...more })}::text::jsonb) as answer`;
  assert(row !== undefined);
  return row.answer;
}

/** The refusal of a report in this transaction. */
async function refusalIn(...[sql, operation, action, more]: Parameters<typeof reportIn>): Promise<string> {
  try {
    await sql.savepoint((sql) => reportIn(sql, operation, action, more));
  } catch (error) {
    if (error instanceof postgres.PostgresError) return `${error.code} ${error.message} ${error.detail}`;
    throw error;
  }
  return "recorded";
}

const ahead = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString();

Deno.test({
  name:
    "POST /events/v1 STOP: stops the open run, with and without a time of the device, when the server's clock is 10 min back",
  ignore: !hasDatabase,
  async fn() {
    const [one, two] = [await newOperation(), await newOperation()];
    await withClockBehind(10, async (sql) => {
      const started_at = ahead(9.9);
      for (const operation of [one, two]) {
        const { body } = await reportIn(sql, operation, "START", { occurred_at: started_at });
        assertEquals(body.occurred_at, started_at);
      }
      const unsaid = await reportIn(sql, one, "STOP");
      assertEquals([unsaid.status, unsaid.body.occurred_at], [201, started_at]);
      const said = await reportIn(sql, two, "STOP", { occurred_at: ahead(10) });
      assertEquals(said.status, 201);
      // by a device that has the server's time
      const restarted = await reportIn(sql, two, "START", { occurred_at: new Date().toISOString() });
      assertEquals(restarted.body.occurred_at, said.body.occurred_at);
      const pieces = await reportIn(sql, two, "REPORT_QUANTITY", { qty_good: 3 });
      const finished = await reportIn(sql, two, "FINISH", { reason_code: "MATERIAL", occurred_at: ahead(10.5) });
      for (const { body } of [unsaid, said, restarted, pieces, finished]) {
        assert(Date.parse(body.occurred_at) - Date.parse(body.created_at) <= 120_000, JSON.stringify(body));
      }
      const created = [said, restarted, pieces, finished].map(({ body }) => body.created_at);
      assertEquals(created, created.toSorted());
      await sql`set local role postgres`;
      await sql`set constraints all immediate`;
      const [feed] = await sql<{ count: number; isOrdered: boolean }[]>`
        select count(*)::integer, bool_and(f.recorded_at >= clock.recorded_at) as "isOrdered"
        from app.feed f, app.feed clock
        where f.order_no in (${one.order_no}, ${two.order_no}) and clock.order_no = 'clock'`;
      assertEquals(feed, { count: 7, isOrdered: true });
      const differing = await sql`select * from app.divergent_operations() d
        where (d.stored).order_no in (${one.order_no}, ${two.order_no})`;
      assertEquals([...differing], []);
    });
  },
});

Deno.test({
  name:
    "POST /events/v1: rejects occurred_at more than 24 h after the last record when the server's clock is 10 min back",
  ignore: !hasDatabase,
  async fn() {
    const operation = await newOperation();
    await withClockBehind(10, async (sql) => {
      assertMatch(
        await refusalIn(sql, operation, "START", { occurred_at: ahead(day_min + 11) }),
        /^PT422 validation_failed .*24 h 11 min ahead of the server's clock.*in_future/,
      );
      const answer = await refusalIn(sql, operation, "START", { occurred_at: ahead(day_min + 9) });
      assertEquals(answer, "recorded");
    });
    // what a device has reported ahead is no record of the server's
    await reported(operation, ["START", { occurred_at: ahead(0.7) }]);
    await withDatabase(async (sql) => {
      await sql.begin(async (sql) => {
        await sql`set local role service_role`;
        assertMatch(await refusalIn(sql, operation, "STOP", { occurred_at: ahead(1.5) }), /in_future/);
      });
    });
  },
});

Deno.test({
  name: "POST import: accepts rows and takeovers with the correct time when the server's clock is 10 min back",
  ignore: !hasDatabase,
  async fn() {
    const operation = await newOperation();
    const row = { ...pick(operation, "order_no", "asset_id", "workplace_name"), change_type: "INSERT" };
    const rows = [
      { ...row, operation_no: "0020", status: "FINISHED", actual_start_at: ahead(9), actual_end_at: ahead(10) },
      { ...row, operation_no: "0030", status: "IN_PROGRESS", actual_start_at: ahead(9.5), qty_processed: 2 },
      { ...row, operation_no: "0040", status: "PLANNED" },
    ].map((row, index) => ({ ...row, timestamp_ms: ahead(10), index }));
    await withClockBehind(10, async (sql) => {
      const [answer] = await sql<{ outcomes: string[] }[]>`
        select (select json_agg(r -> 'outcome') from json_array_elements(
          public.import_operations(${JSON.stringify(rows)}::text::jsonb, true) -> 'body') r) as outcomes`;
      assertEquals(answer?.outcomes, ["created", "created", "created"]);
      const stopped = await reportIn(sql, { ...operation, operation_no: "0030" }, "STOP");
      assertEquals(stopped.body.operation.status, "ON_HOLD");
    });
  },
});

Deno.test("POST /events/v1 STOP: follows the start when a device with a slow clock reports and another device dated the start ahead", async () => {
  const operation = await newOperation();
  const { occurred_at } = await reportOne(operation, "START", { occurred_at: ahead(0.7) });
  const stopped = await reportOne(operation, "STOP", { occurred_at: new Date().toISOString() });
  assertEquals([stopped.occurred_at, stopped.operation.t_actual_processing_min], [occurred_at, 0]);
  // what happened before that is still refused
  assertProblem(await report(server, operation, "START", { occurred_at: minutesAgo(5) }), 409, "out_of_order");
  assertEquals((await eventsOf(operation)).length, 2);
});

Deno.test({
  name: "app.settings: limits the age of reports when the plant sets report_age_limit",
  ignore: !hasDatabase,
  async fn() {
    const workplace_name = newWorkplace();
    const operation = await newOperation({ workplace_name });
    const { id } = await newUser({ workplaces: [workplace_name] });
    await withDatabase(async (sql) => {
      await sql.begin(async (sql) => {
        await sql`update app.settings set report_age_limit = interval '2 days'`;
        await sql`select set_config('request.jwt.claims', ${JSON.stringify({ sub: id })}, true),
          set_config('request.jwt.claim.sub', ${id}, true), set_config('role', 'authenticated', true)`;
        const refused = await refusalIn(sql, operation, "START", { occurred_at: minutesAgo(2 * day_min + 1) });
        assertMatch(refused, /^PT422 too_old .*"limit_days": 2/);
        assertEquals(
          await refusalIn(sql, operation, "START", { occurred_at: minutesAgo(2 * day_min - 1) }),
          "recorded",
        );
        await sql`reset role`;
        await sql`update app.settings set report_age_limit = default`;
      });
    });
    await patched(operation, { status: "ON_HOLD" });
    assertEquals((await compareWithEvents(env.databaseUrl ?? "", [operation.order_no])).divergences, []);
  },
});
