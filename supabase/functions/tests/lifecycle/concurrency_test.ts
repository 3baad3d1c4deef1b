/** Many clients at once: nothing lost, nothing twice, one winner. RELIABILITY=full runs the full counts. */
import {
  assert,
  assertEquals,
  assertProblem,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { hasDatabase, processOf, waitersBehind, withDatabase } from "../support/database_connection.ts";
import { isLongForm, outcome, race, rounds, tally } from "../support/racing.ts";

const pairs = isLongForm ? 500 : 25;

async function read(operation: Operation): Promise<OperationWithActions> {
  const answer = await server.get<OperationWithActions>(operationPath(operation));
  assertEquals(answer.status, 200, answer.text);
  return answer.body;
}

/** All events of the operation, the first one first. */
async function eventsOf({ order_no }: Operation): Promise<OperationEvent[]> {
  const answer = await server.get<OperationEvent[]>("/events/v1", { query: { order_no, limit: 500 } });
  assertEquals(answer.status, 200, answer.text);
  return answer.body.toReversed();
}

Deno.test("POST REPORT_QUANTITY: loses and repeats no piece when 32 clients race", async () => {
  const each = isLongForm ? 50 : 5;
  const operation = await newOperation({ qty_desired: null });
  const users = await race(3, () => newUser({ role: "operator", workplaces: [operation.workplace_name ?? ""] }));
  const clients = [server, ...users.map(({ client }) => client)];
  assertEquals((await report(server, operation, "START")).status, 201);

  const answers = (await race(32, async (racer) => {
    const client = clients[racer % clients.length] ?? server;
    const reported = [];
    for (let n = 0; n < each; n++) reported.push(await report(client, operation, "REPORT_QUANTITY", { qty_good: 1 }));
    return reported;
  })).flat();

  const total = 32 * each;
  assertEquals(tally(answers.map(outcome)), { 201: total });
  const sequence = Array.from({ length: total }, (_, n) => n + 2);
  assertEquals(answers.map(({ body }) => body.op_seq).sort((a, b) => a - b), sequence);
  for (const { body } of answers) assertEquals(body.operation?.qty_processed, body.op_seq - 1);
  assertEquals((await read(operation)).qty_processed, total);
  if (total < 500) assertEquals((await eventsOf(operation)).map(({ op_seq }) => op_seq), [1, ...sequence]);
});

Deno.test("POST START and FINISH: one of two racing reports succeeds, and the other gets the reason", async () => {
  await rounds(pairs, 8, async () => {
    const operation = await newOperation({ qty_desired: null });

    const starts = await race(2, () => report(server, operation, "START"));
    assertEquals(starts.map(outcome).sort(), ["201", "409 already_running"]);
    const started = starts.find(({ status }) => status === 201)?.body;
    const refused = starts.find(({ status }) => status === 409);
    assert(started !== undefined && refused !== undefined);
    assertEquals(assertProblem(refused, 409, "already_running").running_since, started.occurred_at);

    const finishes = await race(2, () => report(server, operation, "FINISH"));
    assertEquals(finishes.map(outcome).sort(), ["201", "422 invalid_state_transition"]);
    const late = finishes.find(({ status }) => status === 422);
    assert(late !== undefined);
    assertEquals(assertProblem(late, 422, "invalid_state_transition").current_status, "FINISHED");

    const events = await eventsOf(operation);
    assertEquals(events.map(({ action_type, op_seq }) => [op_seq, action_type]), [[1, "START"], [2, "FINISH"]]);
  });
});

Deno.test("PATCH: one of START and CANCEL succeeds when they race from one ETag", async () => {
  await rounds(pairs, 8, async () => {
    const operation = await newOperation();
    const [started, cancelled] = await Promise.all([
      report(server, operation, "START"),
      server.patch(operationPath(operation), { status: "CANCELLED" }, { headers: { "if-match": '"1"' } }),
    ]);
    const results = `${outcome(started)}, ${outcome(cancelled)}`;
    const { status } = await read(operation);
    if (results === "201, 412 stale_version") assertEquals(status, "IN_PROGRESS");
    else assertEquals([results, status], ["422 invalid_state_transition, 200", "CANCELLED"]);
  });
});

Deno.test("POST CANCEL: leaves no open run when it races START without a condition", async () => {
  await rounds(pairs, 8, async () => {
    const operation = await newOperation();
    const [started, cancelled] = await Promise.all([
      report(server, operation, "START"),
      server.patch(operationPath(operation), { status: "CANCELLED" }),
    ]);
    assertEquals(cancelled.status, 200, cancelled.text);
    const { status, actual_start_at, actual_end_at } = await read(operation);
    const actions = (await eventsOf(operation)).map(({ action_type }) => action_type);
    if (started.status === 201) {
      assertEquals([status, actions], ["CANCELLED", ["START", "CANCEL"]]);
      assert(actual_start_at !== null && actual_end_at !== null);
    } else {
      assertEquals(outcome(started), "422 invalid_state_transition");
      assertEquals([status, actions], ["CANCELLED", ["CANCEL"]]);
      assertEquals([actual_start_at, actual_end_at], [null, null]);
    }
  });
});

Deno.test("DELETE: never deletes a running operation when it races START", async () => {
  await rounds(pairs, 8, async () => {
    const operation = await newOperation();
    const [started, deleted] = await Promise.all([
      report(server, operation, "START"),
      server.delete(operationPath(operation)),
    ]);
    const results = `${outcome(started)}, ${outcome(deleted)}`;
    const { status } = await server.get(operationPath(operation));
    if (results === "201, 422 invalid_state_transition") assertEquals(status, 200);
    else assertEquals([results, status], ["404 not_found, 204", 404]);
  });
});

Deno.test({
  name: "POST START: starts 2 of 64 operations when they race at a workplace of capacity 2 (needs DATABASE_URL)",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const workplace_name = newWorkplace();
      const operations = await race(64, () => newOperation({ workplace_name }));
      await sql`update public.workplaces set capacity = 2 where name = ${workplace_name}`;

      const answers = await race(64, (racer) => report(server, operations[racer] as Operation, "START"));
      assertEquals(tally(answers.map(outcome)), { "201": 2, "409 workplace_busy": 62 });
      const winners = answers.filter(({ status }) => status === 201).map(({ body }) => body.order_no).sort();
      for (const answer of answers.filter(({ status }) => status === 409)) {
        const { capacity, running_operations } = assertProblem(answer, 409, "workplace_busy");
        assertEquals(capacity, 2);
        const named = (running_operations as Operation[]).map(({ order_no }) => order_no).sort();
        assertEquals(named, winners);
      }
      const query = { workplace_name, status: "IN_PROGRESS" };
      const running = await server.get<Operation[]>("/operations/v1", { query });
      assertEquals(running.body.map(({ order_no }) => order_no).sort(), winners);
    }),
});

Deno.test("PATCH: exactly one of 20 succeeds when they race from one ETag", async () => {
  const operation = await newOperation();
  const user = await newUser({ role: "operator" });
  const profile = await server.get(`/profiles/v1/${user.id}`);
  const resources = [
    { path: operationPath(operation), etag: '"1"', field: "activity_description" },
    { path: `/profiles/v1/${user.id}`, etag: profile.headers.get("etag") ?? "", field: "full_name" },
  ];
  for (const { path, etag, field } of resources) {
    const answers = await race(
      20,
      (racer) => server.patch(path, { [field]: `racer ${racer}` }, { headers: { "if-match": etag } }),
    );
    assertEquals(tally(answers.map(outcome)), { "200": 1, "412 stale_version": 19 });
    const winner = answers.find(({ status }) => status === 200);
    const now = await server.get(path);
    assertEquals(now.body[field], winner?.body[field] ?? null);
    assertEquals(now.headers.get("etag"), winner?.headers.get("etag"));
    for (const answer of answers.filter(({ status }) => status === 412)) {
      assertEquals(assertProblem(answer, 412, "stale_version").current_version, now.body.version);
    }
  }
});

Deno.test({
  name: "PATCH: exactly one succeeds when several from one ETag wait for the row together (needs DATABASE_URL)",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql, held) => {
      const { order_no, ...operation } = await newOperation();
      const { id } = await newUser();
      const etag = (await server.get(`/profiles/v1/${id}`)).headers.get("etag") ?? "";
      const holder = await processOf(held);
      const resources = [
        {
          lock: () => held`select from public.mes_operations where order_no = ${order_no} for update`,
          patch: (racer: number) =>
            [operationPath({ order_no, ...operation }), { activity_code: `A${racer}` }, '"1"'] as const,
        },
        {
          lock: () => held`select from public.profiles where id = ${id} for update`,
          patch: (racer: number) => [`/profiles/v1/${id}`, { full_name: `racer ${racer}` }, etag] as const,
        },
      ];
      for (const { lock, patch } of resources) {
        await held`begin`;
        await lock();
        const racing = race(6, (racer) => {
          const [path, body, version] = patch(racer);
          return server.patch(path, body, { headers: { "if-match": version } });
        });
        await waitersBehind(sql, holder, 3);
        await held`rollback`;
        assertEquals(tally((await racing).map(outcome)), { "200": 1, "412 stale_version": 5 });
      }
    }),
});

Deno.test("POST /operations/v1: creates one operation and answers duplicate_operation to the others when they race", async () => {
  const order_no = unique("O");
  const workplace_name = newWorkplace();
  const answers = await race(
    32,
    (racer) =>
      server.post("/operations/v1", { order_no, asset_id: 1, operation_no: "1", workplace_name, qty_desired: racer }),
  );
  assertEquals(tally(answers.map(outcome)), { "201": 1, "409 duplicate_operation": 31 });
  const winner = answers.find(({ status }) => status === 201);
  const list = await server.get<Operation[]>("/operations/v1", { query: { order_no } });
  assertEquals(list.body.map(({ qty_desired }) => qty_desired), [winner?.body.qty_desired as number]);
});

Deno.test("POST /operations/v1: creates an unknown workplace once when requests race", async () => {
  const workplace_name = newWorkplace();
  const order_no = unique("O");
  const answers = await race(
    16,
    (racer) => server.post("/operations/v1", { order_no, asset_id: racer + 1, operation_no: "1", workplace_name }),
  );
  assertEquals(tally(answers.map(outcome)), { 201: 16 });
});

Deno.test("PATCH: loses no change and no report when they race", async () => {
  const operation = await newOperation({ qty_desired: null });
  assertEquals((await report(server, operation, "START")).status, 201);
  const answers = await race(
    40,
    (racer) =>
      racer % 2 === 0
        ? report(server, operation, "REPORT_QUANTITY", { qty_good: 1 })
        : server.patch(operationPath(operation), { activity_description: `change ${racer}` }),
  );
  assertEquals(tally(answers.map(outcome)), { 200: 20, 201: 20 });
  const { qty_processed, version, activity_description } = await read(operation);
  // created, started, 40 changes
  assertEquals([qty_processed, version], [20, 42]);
  const last = answers.map(({ body }) => "operation" in body ? body.operation as Operation : body as Operation)
    .find((answered) => answered.version === 42);
  assertEquals(activity_description, last?.activity_description ?? null);
});
