/** Forgetting people: name and address vanish everywhere, the log and its sums stay. */
import {
  type Answer,
  assert,
  assertEquals,
  assertProblem,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  type OperationEvent,
  report,
  server,
  unique,
  type User,
} from "../support/harness.ts";
import { hasDatabase } from "../support/database_connection.ts";
import { eventsOf, read, runsOf, withSql } from "../support/floor.ts";
import { compareWithEvents } from "../../../../local/postgres/comparison.ts";

const ignore = !hasDatabase;

interface Forgotten {
  id: string;
  forgotten_at: string;
  events: number;
  runs: number;
  stored_answers: number;
}

const forget = (id: string, client = server) => client.post<Forgotten>(`/profiles/v1/${id}/forget`);

/** Number of rows with this text by table, of all tables of the schemas that hold what the API stores. */
function tablesWith(text: string): Promise<string[]> {
  return withSql(async (sql) => {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', table_schema, table_name) as name from information_schema.tables
      where table_schema in ('public', 'app', 'auth') and table_type = 'BASE TABLE'
        -- what Supabase Auth records of sign-ins is its own: docs/privacy.md
        and table_name <> 'audit_log_entries'`;
    const found: string[] = [];
    for (const { name } of tables) {
      const [row] = await sql.unsafe(
        `select exists (select from ${name} t where strpos(lower(t::text), lower($1)) > 0) as has`,
        [
          text,
        ],
      );
      if (row?.has) found.push(name);
    }
    return found;
  });
}

interface Someone {
  user: User;
  name: string;
  operation: Operation;
  /** Requests with keys: their own, a server's in their name, one that meets their run, an admin's change of the profile. */
  requests: (() => Promise<Answer<OperationEvent>>)[];
}

/** Fields by which a report names its operation. */
const keyOf = ({ order_no, operation_no, workplace_name }: Operation) => ({ order_no, operation_no, workplace_name });

/** A person with a name who has worked, and whom others have dealt with. */
async function someone(): Promise<Someone> {
  const name = unique('Anna "Ann" \\ de Vries');
  const operation = await newOperation({ workplace_name: newWorkplace(), qty_desired: null });
  const user = await newUser({ workplaces: [operation.workplace_name ?? ""], full_name: name });
  const headers = { "Idempotency-Key": unique("K") };
  const start = { ...keyOf(operation), action_type: "START" };
  const quantity = { ...start, action_type: "REPORT_QUANTITY", qty_good: 3, user_id: user.id };
  const requests = [
    () => user.client.post<OperationEvent>("/events/v1", start, { headers }),
    () => server.post<OperationEvent>("/events/v1", quantity, { headers }),
    () =>
      server.post<OperationEvent>("/events/v1/batch", { events: [{ ...start, user_email: user.email }] }, { headers }),
    () => server.patch<OperationEvent>(`/profiles/v1/${user.id}`, { full_name: `${name}!` }, { headers }),
  ];
  for (const request of requests) {
    const { status, text } = await request();
    assert(status < 300, text);
  }
  const byAddress = await report(server, operation, "REPORT_QUANTITY", {
    qty_good: 1,
    user_email: user.email.toUpperCase(),
  });
  assertEquals(byAddress.status, 201, byAddress.text);
  return { user, name, operation, requests };
}

for (const way of ["POST /profiles/v1/{id}/forget", "a deletion from auth.users"] as const) {
  Deno.test({
    name: `${way}: removes name and address everywhere and keeps log and sums when a user has reported`,
    ignore,
  }, async () => {
    const { user, name, operation, requests } = await someone();
    const [before, events, runs] = [await read(operation), await eventsOf(operation), await runsOf(operation)];
    assert((await tablesWith(user.email)).includes("app.idempotency_keys"));
    assert((await tablesWith(user.email)).includes("app.reporters"));

    if (way === "a deletion from auth.users") {
      await withSql((sql) => sql`delete from auth.users where id = ${user.id}`);
    } else {
      const { status, body, text } = await forget(user.id);
      assertEquals(status, 200, text);
      assertEquals([body.id, body.events, body.runs], [user.id, 2, 1]);
      assert(body.stored_answers >= 3, text);
    }
    assertEquals(await tablesWith(user.email), []);
    assertEquals(await tablesWith(name), []);
    assertEquals(await tablesWith(JSON.stringify(name).slice(1, -1)), []);

    const nameless = (all: OperationEvent[]) => all.map((event) => ({ ...event, user_email: null }));
    assertEquals(await eventsOf(operation), nameless(events));
    assertEquals(events.map(({ user_id }) => user_id), [user.id, user.id, null]);
    const nobodys = runs.map((run) => ({ ...run, user_email: null, duration_min: 0 }));
    assertEquals((await runsOf(operation)).map((run) => ({ ...run, duration_min: 0 })), nobodys);
    assertEquals(nobodys.map(({ user_id }) => user_id), [user.id]);
    assertEquals({ ...(await read(operation)), t_actual_processing_min: 0 }, { ...before, t_actual_processing_min: 0 });
    assertEquals((await compareWithEvents(env.databaseUrl ?? "", [operation.order_no])).divergences, []);

    // a repeated request of another user has no second effect and names no person
    const [own, ...others] = await Promise.all(requests.map((request) => request()));
    assert(own !== undefined && own.status >= 400, own?.text);
    for (const again of others) {
      assertEquals(again.headers.get("idempotency-replayed"), "true", again.text);
      assert(!again.text.includes(user.email) && !again.text.includes("de Vries"), again.text);
    }
    assertEquals((await eventsOf(operation)).length, events.length);
    // problems name no person either
    const running = assertProblem(await report(server, operation, "START"), 409, "already_running");
    assertEquals([running.user_id, running.user_email], [user.id, null]);
    assertProblem(await server.get(`/profiles/v1/${user.id}`), 404, "not_found");
    assertProblem(await user.client.get(`/profiles/v1/${user.id}`), 404, "not_found");

    const unknown = await report(server, operation, "REPORT_QUANTITY", { qty_good: 1, user_id: user.id });
    assertProblem(unknown, 400, "integrity_error");
    const [record] = await withSql((sql) => sql`select * from app.forgotten_users where user_id = ${user.id}`);
    assertEquals([record?.forgotten_by, record?.events, record?.profiles], [
      way === "a deletion from auth.users" ? "database" : "server",
      2,
      1,
    ]);
  });
}

Deno.test(
  { name: "POST /events/v1: answers the same event when an id is repeated after its user was forgotten", ignore },
  async () => {
    const operation = await newOperation({ qty_desired: null });
    const user = await newUser();
    const sent = { id: crypto.randomUUID(), user_id: user.id, user_email: user.email };
    const first = await report(server, operation, "START", sent);
    assertEquals(first.status, 201, first.text);
    assertEquals((await forget(user.id)).status, 200);
    const again = await report(server, operation, "START", sent);
    assertEquals([again.status, again.body.id, again.body.user_id, again.body.user_email], [
      200,
      sent.id,
      user.id,
      null,
    ]);
  },
);

Deno.test(
  {
    name:
      "POST /profiles/v1/{id}/forget: finds earlier addresses when a person had several, and people without a profile",
    ignore,
  },
  async () => {
    const operation = await newOperation({ qty_desired: null });
    const user = await newUser();
    assertEquals((await report(server, operation, "START", { user_id: user.id })).status, 201);
    const newEmail = `${unique("new")}@example.com`;
    await server.patch(`/profiles/v1/${user.id}`, { email: newEmail });
    assertEquals(
      (await report(server, operation, "REPORT_QUANTITY", { qty_good: 1, user_id: user.id })).body.user_email,
      newEmail,
    );
    assertEquals((await server.delete(`/profiles/v1/${user.id}`)).status, 204);
    assertEquals((await forget(user.id)).body.events, 2);
    for (const email of [user.email, newEmail]) assertEquals(await tablesWith(email), []);
  },
);

Deno.test({ name: "POST /profiles/v1/{id}/forget: answers the first record when it is repeated", ignore }, async () => {
  const user = await newUser();
  const first = await forget(user.id);
  assertEquals([first.status, (await forget(user.id)).text], [200, first.text]);
});

Deno.test(
  {
    name: "POST /profiles/v1/{id}/forget: answers 403, or 404 for hidden people, when the caller is below admin",
    ignore,
  },
  async () => {
    const place = newWorkplace();
    const [user, supervisor, manager, admin] = await Promise.all([
      newUser({ workplaces: [place] }),
      newUser({ role: "supervisor", workplaces: [place] }),
      newUser({ role: "manager" }),
      newUser({ role: "admin" }),
    ]);
    const other = await newUser();
    for (const { client } of [supervisor, manager, user]) {
      assertProblem(await forget(user.id, client), 403, "forbidden");
      assertProblem(await forget(crypto.randomUUID(), client), 404, "not_found");
    }
    for (const { client } of [supervisor, user]) assertProblem(await forget(other.id, client), 404, "not_found");
    assertProblem(await forget(crypto.randomUUID(), admin.client), 404, "not_found");
    assertProblem(await forget("x", admin.client), 422, "validation_failed");
    assertEquals((await user.client.get(`/profiles/v1/${user.id}`)).status, 200);
    assertEquals((await forget(user.id, admin.client)).status, 200);
    const [record] = await withSql((sql) =>
      sql`select forgotten_by from app.forgotten_users where user_id = ${user.id}`
    );
    assertEquals(record?.forgotten_by, admin.id);
  },
);

Deno.test(
  { name: "app.forgotten_users: rejects updates and deletes when the owner of the tables sends them, too", ignore },
  async () => {
    const { id } = await newUser();
    assertEquals((await forget(id)).status, 200);
    for (
      const statement of [
        "update app.forgotten_users set events = 9",
        "delete from app.forgotten_users",
        "truncate app.forgotten_users",
      ]
    ) {
      const refused = await withSql((sql) => sql.unsafe(statement).then(() => "done", (error) => String(error.code)));
      assertEquals(refused, "PT403", statement);
    }
  },
);

Deno.test({
  name: "POST /profiles/v1/{id}/forget: leaves no address behind when the user reports at the same time",
  ignore,
}, async () => {
  const operation = await newOperation({ qty_desired: null });
  await report(server, operation, "START");
  for (let round = 0; round < 5; round++) {
    const user = await newUser({ workplaces: [operation.workplace_name ?? ""] });
    const quantity = { ...keyOf(operation), action_type: "REPORT_QUANTITY", qty_good: 1 };
    const reports = () =>
      Array.from({ length: 8 }, (_, index) => {
        const headers = { "Idempotency-Key": unique("K") };
        return index % 2 === 0
          ? user.client.post("/events/v1", quantity, { headers })
          : server.post("/events/v1", { ...quantity, user_id: user.id }, { headers });
      });
    // the first one makes the row of the reporter, but in every other round
    if (round % 2 === 0) await user.client.post("/events/v1", quantity);
    const answers = await Promise.all([...reports(), forget(user.id), ...reports()]);
    // an outcome of the race is that the user is unknown already
    for (const { status, text } of answers) assert([200, 201, 400, 403, 404, 503].includes(status), text);
    assertEquals((await forget(user.id)).status, 200);
    assertEquals(await tablesWith(user.email), []);
  }
});

Deno.test(
  { name: "POST /profiles/v1/{id}/forget: takes less than a second when the user has 20,000 events", ignore },
  async () => {
    const operation = await newOperation({ qty_desired: null });
    const user = await newUser();
    assertEquals((await report(server, operation, "START", { user_id: user.id })).status, 201);
    await withSql((sql) =>
      sql`insert into public.operation_events
      (operation_id, op_seq, action_type, order_no, asset_id, operation_no, workplace_name, status_before, status_after, occurred_at,
        user_id, reporter_id, qty_good)
      select e.operation_id, n, 'REPORT_QUANTITY', e.order_no, e.asset_id, e.operation_no, e.workplace_name, 'IN_PROGRESS', 'IN_PROGRESS',
        clock_timestamp(), e.user_id, e.reporter_id, 0
      from public.operation_events e, generate_series(2, 20000) n where e.order_no = ${operation.order_no}`
    );
    const began = performance.now();
    const { status, body } = await forget(user.id);
    assertEquals([status, body.events], [200, 20_000]);
    assert(performance.now() - began < 1_000, `${performance.now() - began} ms`);
    await withSql((sql) =>
      sql`update public.mes_operations o set last_op_seq = 20000, counted_since = (
        select min(e.occurred_at) from public.operation_events e
        where e.operation_id = o.id and e.action_type = 'REPORT_QUANTITY')
      where o.order_no = ${operation.order_no}`
    );
  },
);
