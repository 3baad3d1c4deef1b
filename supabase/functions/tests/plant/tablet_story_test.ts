/** A tablet's story: three people at one terminal, one locked out, one pseudonymised, the log intact. */
import type { ActingPerson, PseudonymisedPerson } from "../../people/schemas.ts";
import type { OperationEvent } from "../support/harness.ts";
import {
  type Answer,
  assert,
  assertEquals,
  assertProblem,
  type Client,
  env,
  newOperation,
  newUser,
  type Operation,
  operationPath,
  report,
  type ReportedEvent,
  server,
  unique,
} from "../support/harness.ts";
import { hasDatabase, processOf, waitersBehind, withDatabase } from "../support/database_connection.ts";
import { eventsOf, runsOf, withSql } from "../support/floor.ts";
import { keyAdmin, newKey } from "../support/api_keys.ts";
import { outcome } from "../support/racing.ts";
import {
  ActingClient,
  type Colleague,
  newPerson,
  newTerminal,
  signIn,
  tryToSignIn,
  wrongPin,
} from "../support/terminals.ts";
import { compareWithEvents } from "../../../../local/postgres/comparison.ts";
import { dispatch, newEndpoint, Receiver, until } from "../support/webhook_receiver.ts";

const needsDatabase = hasDatabase ? "" : " (needs DATABASE_URL)";

const failed = "403 sign_in_failed";
const locked = "429 sign_in_locked";

const named = ({ id, display_name }: Colleague) => ({ id, display_name });

/** Reports as the person, which must be recorded. */
async function act(client: Client, operation: Operation, action: OperationEvent["action_type"], more = {}) {
  const answer: Answer<ReportedEvent> = await report(client, operation, action, more);
  assertEquals(answer.status, 201, answer.text);
  return answer.body;
}

/** Number of rows with this text by table, of all tables of the schemas that hold what the API stores. */
function tablesWith(text: string): Promise<string[]> {
  return withSql(async (sql) => {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', table_schema, table_name) as name from information_schema.tables
      where table_schema in ('public', 'app', 'auth') and table_type = 'BASE TABLE'`;
    const found: string[] = [];
    for (const { name } of tables) {
      const query = `select exists (select from ${name} t where strpos(lower(t::text), lower($1)) > 0) as has`;
      const [row] = await sql.unsafe(query, [text]);
      if (row?.has) found.push(name);
    }
    return found;
  });
}

for (const kind of ["an API key", "a user of role machine"] as const) {
  Deno.test({
    name:
      `A tablet with ${kind}: three people report, one is locked out, one is pseudonymised, the log stays${needsDatabase}`,
    ignore: !hasDatabase,
  }, async (t) => {
    const operation = await newOperation({ qty_desired: null });
    const here = operation.workplace_name ?? "";
    const terminal = kind === "an API key"
      ? await newKey({
        role: "machine",
        workplaces: [here],
        scopes: ["people:act", "events:report", "events:read", "operations:read"],
      })
      : await newTerminal([here]);
    const user_id = kind === "an API key" ? null : terminal.id;
    const anna = await newPerson([here], { display_name: unique('Anna "Ann" \\ Zuiderwijk') });
    const [ben, chris] = [await newPerson(["*"]), await newPerson([here])];

    const annas = await signIn(terminal.client, anna);
    const bens = await signIn(terminal.client, ben);

    await t.step("both report at the same time, and the events name person and terminal", async () => {
      const start = await act(annas, operation, "START");
      assertEquals([start.person, start.user_id, start.user_email], [named(anna), user_id, null]);
      const pieces = await act(bens, operation, "REPORT_QUANTITY", { qty_good: 5 });
      assertEquals([pieces.person, pieces.user_email], [named(ben), null]);
      const nobodys = await act(terminal.client, operation, "REPORT_QUANTITY", { qty_good: 1 });
      assertEquals([nobodys.person, nobodys.user_id], [null, user_id]);
      const [run] = await runsOf(operation);
      assertEquals([run?.person, run?.user_id], [named(anna), user_id]);
      const running = assertProblem(await report(bens, operation, "START"), 409, "already_running");
      assertEquals(running.person, named(anna));
    });

    await t.step("who acts is told, with what they may do", async () => {
      const { status, body, text } = await bens.get<ActingPerson>("/people/v1/me");
      assertEquals(status, 200, text);
      assertEquals([body.person.id, body.terminal.id, body.role, body.workplace_access], [
        ben.id,
        terminal.id,
        "machine",
        [here],
      ]);
      assert(body.actions.includes("START") && !body.actions.includes("CANCEL"), text);
      const own = await bens.get("/profiles/v1/me");
      assertEquals([own.status, own.body.id, own.body.person], [200, terminal.id, named(ben)], own.text);
      assertEquals((await terminal.client.get("/profiles/v1/me")).body.person, null);
      assertProblem(await terminal.client.get("/people/v1/me"), 404, "not_found");
    });

    await t.step("a batch with a key is stored with their names", async () => {
      const { order_no, operation_no, workplace_name } = operation;
      const headers = { "Idempotency-Key": unique("K") };
      const one = { order_no, operation_no, workplace_name };
      const events = [
        { ...one, action_type: "REPORT_QUANTITY", qty_good: 2 },
        { ...one, action_type: "START" },
      ];
      const { status, body, text } = await annas.post<{ results: { status: number; problem: { person?: unknown } }[] }>(
        "/events/v1/batch",
        { events },
        { headers },
      );
      assertEquals([status, body.results.map((result) => result.status)], [207, [201, 409]], text);
      assertEquals(body.results[1]?.problem.person, { id: anna.id });
      const scrap = { ...events[0], qty_good: 0, qty_scrap: 1 };
      const single = await annas.post<ReportedEvent>("/events/v1", scrap, { headers });
      assertEquals([single.status, single.body.person], [201, named(anna)], single.text);
      const change = await server.patch(`/people/v1/${anna.id}`, { active: true, person_no: anna.person_no }, {
        headers,
      });
      assertEquals(change.status, 200, change.text);
    });

    await t.step("lists, filters, feed and webhooks name them", async () => {
      const all = await eventsOf(operation);
      assertEquals(all.map(({ person }) => person), [anna, ben, null, anna, anna].map((one) => one && named(one)));
      const bensEvents = await server.get<OperationEvent[]>(`/events/v1?person_id=${ben.id}&count=exact`);
      assertEquals([bensEvents.body.length, bensEvents.headers.get("x-total-count")], [1, "1"], bensEvents.text);
      const one = await server.get<OperationEvent>(`/events/v1/${all[0]?.id}`);
      assertEquals(one.body.person, named(anna));
      const feed = await server.get<{ events: OperationEvent[] }>(
        `/events/v1/feed?order_no=${operation.order_no}&limit=500`,
      );
      assertEquals(feed.body.events.map(({ person }) => person), all.map(({ person }) => person));
      await using receiver = new Receiver();
      const { id } = await newEndpoint({ url: receiver.url, workplace_names: [here] });
      await act(bens, operation, "REPORT_QUANTITY", { qty_good: 1 });
      await until("the event has arrived", async () => {
        await dispatch(id);
        return receiver.received.length > 0;
      });
      assert(receiver.received[0]?.body.includes(ben.display_name), receiver.received[0]?.body);
    });

    await t.step("the third one is locked out, while the others go on", async () => {
      for (let tries = 1; tries <= 5; tries++) {
        const attempt = await tryToSignIn(terminal.client, { badge_code: chris.badge_code, pin: wrongPin(chris) });
        assertEquals(outcome(attempt), failed, `try ${tries}`);
      }
      assertEquals(
        outcome(await tryToSignIn(terminal.client, { badge_code: chris.badge_code, pin: chris.pin })),
        locked,
      );
      await act(bens, operation, "REPORT_QUANTITY", { qty_good: 1 });
      const [row] = await withSql((sql) =>
        sql`select count(*)::int as failures from app.failed_sign_ins
        where terminal_id = ${terminal.id}`
      );
      assertEquals(row?.failures, 5);
    });

    await t.step("the first one is pseudonymised: nothing names her any more, and her token is dead", async () => {
      const before = await eventsOf(operation);
      assert((await tablesWith("Zuiderwijk")).includes("app.idempotency_keys"));
      const { status, body, text } = await server.post<PseudonymisedPerson>(`/people/v1/${anna.id}/pseudonymise`);
      assertEquals([status, body.id, body.events], [200, anna.id, 3], text);
      assert(body.stored_answers >= 2, text);
      assertProblem(await report(annas, operation, "REPORT_QUANTITY", { qty_good: 1 }), 401, "unauthenticated");
      for (
        const trace of [anna.display_name, JSON.stringify(anna.display_name).slice(1, -1), anna.person_no, "Zuiderwijk"]
      ) {
        assertEquals(await tablesWith(trace), [], trace);
      }
      const [person] = await withSql((sql) => sql`select * from app.people where id = ${anna.id}`);
      assertEquals([person?.display_name, person?.badge_digest, person?.pin_hash, person?.active], [
        null,
        null,
        null,
        false,
      ]);
      const nameless = before.map((event) =>
        event.person?.id === anna.id ? { ...event, person: { id: anna.id, display_name: null } } : event
      );
      assertEquals(await eventsOf(operation), nameless);
      const again = await server.post<PseudonymisedPerson>(`/people/v1/${anna.id}/pseudonymise`);
      assertEquals(again.text, text);
      assertProblem(await server.patch(`/people/v1/${anna.id}`, { display_name: "Anna" }), 409, "pseudonymised");
      // the badge is free for the next one
      await newPerson([here], { badge_code: anna.badge_code });
      assertEquals((await compareWithEvents(env.databaseUrl ?? "", [operation.order_no])).divergences, []);
      await act(bens, operation, "FINISH");
    });

    await t.step("the second one signs out", async () => {
      assertEquals((await bens.post("/people/v1/sign-out")).status, 204);
      const { credential } = assertProblem(await bens.get("/people/v1/me"), 401, "unauthenticated");
      assertEquals(credential, "X-Acting-For");
    });
  });
}

Deno.test("X-Acting-For: is the terminal's alone, and no other text acts", async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const [terminal, other] = [await newTerminal([here]), await newTerminal([here])];
  const person = await newPerson([here]);
  const { token } = await signIn(terminal.client, person);
  const key = await newKey({ role: "machine", workplaces: [here] });
  const supervisor = await newUser({ role: "supervisor", workplaces: [here] });
  for (const client of [other.client, key.client, supervisor.client, server]) {
    assertProblem(await report(new ActingClient(client, token), operation, "START"), 401, "unauthenticated");
  }
  for (const text of ["", "x", "act_", token.slice(0, -1), `${token}x`, `act_${"A".repeat(43)}`]) {
    assertProblem(await report(new ActingClient(terminal.client, text), operation, "START"), 401, "unauthenticated");
  }
  const refused = await new ActingClient(terminal.client, token).get("/stream/v1/events");
  assertProblem(refused, 400, "malformed_request");
  // a second sign-in replaces the first token
  const again = await signIn(terminal.client, person);
  assertProblem(await new ActingClient(terminal.client, token).get("/people/v1/me"), 401, "unauthenticated");
  await act(again, operation, "START");
});

Deno.test("X-Acting-For: bounds the terminal by the person's workplaces, from the next request on", async () => {
  const [mine, notMine] = [await newOperation(), await newOperation()];
  const [here, there] = [mine.workplace_name ?? "", notMine.workplace_name ?? ""];
  const terminal = await newTerminal([here, there]);
  const person = await newPerson([here]);
  const acting = await signIn(terminal.client, person);
  assertProblem(await report(acting, notMine, "START"), 404, "not_found");
  const list = await acting.get<Operation[]>(`/operations/v1?workplace_name=${there}`);
  assertEquals([list.status, list.body], [200, []], list.text);
  await act(acting, mine, "START");
  await act(terminal.client, notMine, "START");

  assertEquals((await server.patch(`/people/v1/${person.id}`, { workplace_access: [there] })).status, 200);
  assertProblem(await report(acting, mine, "STOP"), 404, "not_found");
  await act(acting, notMine, "STOP");
  // the terminal's role stays the bound for every person
  assertProblem(await report(acting, notMine, "CANCEL", { reason_code: "UNSPECIFIED" }), 403, "forbidden");
  assertEquals((await server.patch(`/profiles/v1/${terminal.id}`, { workplace_access: [here] })).status, 200);
  assertProblem(await report(acting, notMine, "START"), 404, "not_found");
});

Deno.test("X-Acting-For: ends with a new PIN, a deactivation, and the terminal's role", async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const terminal = await newTerminal([here]);
  const [first, second, third] = await Promise.all([1, 2, 3].map(() => newPerson([here])));
  assert(first && second && third);
  const sessions = [
    await signIn(terminal.client, first),
    await signIn(terminal.client, second),
    await signIn(terminal.client, third),
  ];
  assertEquals((await server.patch(`/people/v1/${first.id}`, { pin: "161803" })).status, 200);
  assertEquals((await server.patch(`/people/v1/${second.id}`, { active: false })).status, 200);
  const statuses = () => Promise.all(sessions.map(async (client) => (await client.get("/people/v1/me")).status));
  assertEquals(await statuses(), [401, 401, 200]);
  assertEquals((await server.patch(`/profiles/v1/${terminal.id}`, { role: "operator" })).status, 200);
  assertEquals(await statuses(), [401, 401, 401]);
});

Deno.test("X-Acting-For: ends when the terminal's key loses the scope people:act", async () => {
  const operation = await newOperation({ qty_desired: null });
  const here = operation.workplace_name ?? "";
  const scopes = ["events:report", "operations:read"];
  const terminal = await newKey({ role: "machine", workplaces: [here], scopes: ["people:act", ...scopes] });
  const acting = await signIn(terminal.client, await newPerson([here]));
  await act(acting, operation, "START");

  const { client: admin } = await keyAdmin();
  assertEquals((await admin.patch(`/keys/v1/${terminal.id}`, { scopes })).status, 200);
  const refused = [
    await report(acting, operation, "REPORT_QUANTITY", { qty_good: 1 }),
    await acting.get(operationPath(operation)),
  ];
  for (const answer of refused) {
    assertEquals(assertProblem(answer, 401, "unauthenticated").credential, "X-Acting-For");
  }
  await act(terminal.client, operation, "REPORT_QUANTITY", { qty_good: 1 });
  assertEquals((await eventsOf(operation)).map(({ delta_good }) => delta_good), [0, 1]);
});

Deno.test({
  name: `X-Acting-For: renews the token without a deadlock with a change of the person${needsDatabase}`,
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql, held) => {
      const operation = await newOperation();
      const here = operation.workplace_name ?? "";
      const terminal = await newTerminal([here]);
      const person = await newPerson([here]);
      const acting = await signIn(terminal.client, person);
      const idle = () =>
        sql`update app.acting_sessions set last_used_at = clock_timestamp() - interval '2 minutes'
          where terminal_id = ${terminal.id}`;
      await idle();
      // as a change of the person does: their row first, then their sessions
      await held`begin`;
      await held`select from app.people where id = ${person.id} for update`;
      assertEquals((await acting.get("/people/v1/me")).status, 200);
      await idle();
      const reporting = act(acting, operation, "START");
      // the event refers to the person, so the report ends after the change
      await waitersBehind(sql, await processOf(held));
      await held`delete from app.acting_sessions where person_id = ${person.id}`;
      await held`commit`;
      assertEquals((await reporting).person, named(person));
    }),
});

Deno.test({
  name:
    `X-Acting-For: ends 30 minutes after the last use, which reports and /people/v1/me renew, not other reads${needsDatabase}`,
  ignore: !hasDatabase,
}, async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const terminal = await newTerminal([here]);
  const acting = await signIn(terminal.client, await newPerson([here]));
  const idle = (minutes: number) =>
    withSql((sql) =>
      sql`
      update app.acting_sessions set last_used_at = clock_timestamp() - ${minutes} * interval '1 minute'
      where terminal_id = ${terminal.id}`
    );
  const idleMs = () =>
    withSql(async (sql) => {
      const [row] = await sql`select extract(epoch from clock_timestamp() - last_used_at)::float * 1000 as ms
        from app.acting_sessions where terminal_id = ${terminal.id}`;
      return Number(row?.ms);
    });
  for (
    const use of [
      () => acting.get("/people/v1/me"),
      () => report(acting, operation, "START", { dry_run: true }),
    ]
  ) {
    await idle(29);
    await use();
    assert(await idleMs() < 60_000, `${await idleMs()} ms`);
  }
  await idle(29);
  assertEquals((await acting.get(operationPath(operation))).status, 200);
  assert(await idleMs() > 28 * 60_000, `a read renewed the token: ${await idleMs()} ms`);
  await idle(31);
  for (const path of ["/people/v1/me", "/operations/v1?limit=1"]) {
    assertProblem(await acting.get(path), 401, "unauthenticated");
  }
});

Deno.test("X-Acting-For: a repeated report is the same event when another person acts by then", async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const terminal = await newTerminal([here]);
  const [anna, ben] = [await newPerson([here]), await newPerson([here])];
  const id = crypto.randomUUID();
  const first = await act(await signIn(terminal.client, anna), operation, "START", { id });
  const again = await report(await signIn(terminal.client, ben), operation, "START", { id });
  assertEquals([again.status, again.body.person], [200, first.person], again.text);
  const address = await report(await signIn(terminal.client, ben), operation, "STOP", { user_email: terminal.email });
  assertProblem(address, 403, "forbidden");
});

Deno.test("POST /profiles/v1/{profile_id}/forget: pseudonymises the same person at terminals, too", async () => {
  const { workplace_name } = await newOperation();
  const user = await newUser();
  const person = await newPerson([workplace_name ?? ""], { profile_id: user.id });
  assertEquals((await server.post(`/profiles/v1/${user.id}/forget`)).status, 200);
  const { body } = await server.get(`/people/v1/${person.id}`);
  assertEquals([body.display_name, body.profile_id, body.active, body.has_badge], [null, null, false, false]);
});

Deno.test("DELETE /people/v1/{person_id}: is 409 in_use for a person who has reported", async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const person = await newPerson([here]);
  await act(await signIn((await newTerminal([here])).client, person), operation, "START");
  assertProblem(await server.delete(`/people/v1/${person.id}`), 409, "in_use");
  assertEquals((await server.get(`/people/v1/${person.id}`)).status, 200);
});
