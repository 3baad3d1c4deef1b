/** Idempotency-Key and client-made event ids: a repeated request has one effect. */
import {
  type Answer,
  assert,
  assertEquals,
  assertProblem,
  type Client,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  report,
  type ReportedEvent,
  server,
  unique,
} from "../support/harness.ts";
import { hasDatabase, processOf, waitersBehind, withDatabase } from "../support/database_connection.ts";
import { outcome, race, rounds, tally } from "../support/racing.ts";

const withKey = (key: string) => ({ headers: { "idempotency-key": key } });

async function read(operation: Operation): Promise<OperationWithActions> {
  const answer = await server.get<OperationWithActions>(operationPath(operation));
  assertEquals(answer.status, 200, answer.text);
  return answer.body;
}

/** An operation that runs, without a limit of pieces. */
async function runningOperation(overrides: Partial<Operation> = {}): Promise<Operation> {
  const operation = await newOperation({ qty_desired: null, ...overrides });
  assertEquals((await report(server, operation, "START")).status, 201);
  return operation;
}

const quantityReport = ({ order_no, operation_no, workplace_name }: Operation, more: Record<string, unknown> = {}) => ({
  action_type: "REPORT_QUANTITY",
  order_no,
  operation_no,
  workplace_name,
  qty_good: 1,
  ...more,
});

const reportWith = (client: Client, key: string, operation: Operation, more: Record<string, unknown> = {}) =>
  client.post<ReportedEvent>("/events/v1", quantityReport(operation, more), withKey(key));

/** Parts of an answer that a client reads; a replay has all of them. */
const essence = ({ status, text, headers }: Answer<unknown>) => ({
  status,
  text,
  type: headers.get("content-type"),
  location: headers.get("location"),
  etag: headers.get("etag"),
});

const isReplay = ({ headers }: Answer<unknown>) => headers.get("idempotency-replayed") === "true";

/** One request of every command, and how often it has had an effect. */
const commands: Record<
  string,
  () => Promise<{ send: (key: string) => Promise<Answer>; effects: () => Promise<number> }>
> = {
  "POST /operations": async () => {
    const order_no = unique("O");
    const body = { order_no, asset_id: 1, operation_no: "1", qty_processed: 3 };
    return await Promise.resolve({
      send: (key) => server.post("/operations/v1", body, withKey(key)),
      effects: async () => (await server.get<OperationEvent[]>("/events/v1", { query: { order_no } })).body.length,
    });
  },
  "PATCH /operations/{key}": async () => {
    const operation = await newOperation();
    return {
      send: (key) => server.patch(operationPath(operation), { status: "IN_PROGRESS" }, withKey(key)),
      effects: async () => (await read(operation)).version - 1,
    };
  },
  "POST /events": async () => {
    const operation = await runningOperation();
    return {
      send: (key) => server.post("/events/v1", quantityReport(operation), withKey(key)),
      effects: async () => (await read(operation)).qty_processed,
    };
  },
  "POST /profiles": async () => {
    const { id } = await newUser();
    assertEquals((await server.delete(`/profiles/v1/${id}`)).status, 204);
    return {
      send: (key) => server.post("/profiles/v1", { id, full_name: "Anna" }, withKey(key)),
      effects: async () => Number((await server.get(`/profiles/v1/${id}`)).body.version),
    };
  },
  "PATCH /profiles/{id}": async () => {
    const { id } = await newUser();
    const before = Number((await server.get(`/profiles/v1/${id}`)).body.version);
    return {
      send: (key) => server.patch(`/profiles/v1/${id}`, { full_name: "Anna" }, withKey(key)),
      effects: async () => Number((await server.get(`/profiles/v1/${id}`)).body.version) - before,
    };
  },
};

for (const [name, prepare] of Object.entries(commands)) {
  Deno.test(`${name}: answers the same bytes without effect when it is repeated with its key`, async () => {
    const { send, effects } = await prepare();
    const key = unique("key");
    const first = await send(key);
    assert(first.status < 300, first.text);
    assert(!isReplay(first), "the first answer says that it is a replay");
    for (let again = 0; again < 2; again++) {
      const replay = await send(key);
      assertEquals(essence(replay), essence(first));
      assert(isReplay(replay), "the replay does not say that it is one");
    }
    assertEquals(await effects(), 1);
  });
}

Deno.test("Idempotency keys: recognise the same request in another notation", async () => {
  const operation = await runningOperation();
  const key = unique("key");
  const first = await reportWith(server, key, operation);
  const members = Object.entries(quantityReport(operation)).toReversed()
    .map(([name, value]) => `${JSON.stringify(name)} : ${JSON.stringify(value)}`);
  const rawBody = `\n{ ${members.join(" ,\r\n\t")} }\n`;
  const replay = await server.post("/events/v1", undefined, { rawBody, ...withKey(key) });
  assertEquals(essence(replay), essence(first));
  assertEquals((await read(operation)).qty_processed, 1);
});

Deno.test("Idempotency keys: repeat the first answer after the operation has changed", async () => {
  const operation = await newOperation();
  const key = unique("key");
  const start = () => server.patch(operationPath(operation), { status: "IN_PROGRESS" }, withKey(key));
  const first = await start();
  assertEquals((await server.patch(operationPath(operation), { qty_processed: 7 })).status, 200);
  assertEquals(essence(await start()), essence(first));
  assertEquals((await read(operation)).qty_processed, 7);
});

Deno.test("Idempotency keys: answer idempotency_key_reused without effect when the body differs", async () => {
  const operation = await runningOperation();
  const key = unique("key");
  assertEquals((await reportWith(server, key, operation)).status, 201);
  for (const more of [{ qty_good: 2 }, { note: "x" }, { dry_run: true }, { operation_data: {} }]) {
    assertProblem(await reportWith(server, key, operation, more), 422, "idempotency_key_reused");
  }
  assertEquals((await read(operation)).qty_processed, 1);
  assert(isReplay(await reportWith(server, key, operation)), "the key has lost its answer");
});

Deno.test("Idempotency keys: reject another resource of the route, and are independent for other routes and methods", async () => {
  const [one, other] = [await runningOperation(), await runningOperation()];
  const key = unique("key");
  const patch = { qty_processed: 5 };
  assertEquals((await server.patch(operationPath(one), patch, withKey(key))).status, 200);
  assertProblem(await server.patch(operationPath(other), patch, withKey(key)), 422, "idempotency_key_reused");
  assertEquals((await read(other)).qty_processed, 0);

  const reported = await reportWith(server, key, other);
  assertEquals([reported.status, isReplay(reported)], [201, false], reported.text);
  const body = { order_no: unique("O"), asset_id: 1, operation_no: "1" };
  const created = await server.post("/operations/v1", body, withKey(key));
  assertEquals([created.status, isReplay(created)], [201, false], created.text);
});

Deno.test("Idempotency keys: are independent when two users and a server use the same key", async () => {
  const operation = await runningOperation();
  const workplaces = [operation.workplace_name ?? ""];
  const [anna, bert] = await race(2, () => newUser({ role: "operator", workplaces }));
  assert(anna !== undefined && bert !== undefined);
  const key = unique("key");
  const callers = [anna.client, bert.client, server];
  const firsts = [];
  for (const client of callers) firsts.push(await reportWith(client, key, operation));
  assertEquals(firsts.map((answer) => [answer.status, isReplay(answer)]), callers.map(() => [201, false]));
  assertEquals(firsts.map(({ body }) => body.user_id), [anna.id, bert.id, null]);
  for (const [caller, client] of callers.entries()) {
    assertEquals((await reportWith(client, key, operation)).text, firsts[caller]?.text);
  }
  assertEquals((await read(operation)).qty_processed, 3);
});

Deno.test("Idempotency keys: store no rejection, so that the key works once its cause is gone", async () => {
  const operation = await newOperation({ status: "PLANNED" });
  const key = unique("key");
  const start = () => server.patch(operationPath(operation), { status: "IN_PROGRESS" }, withKey(key));
  assertProblem(await start(), 422, "invalid_state_transition");
  assertProblem(await start(), 422, "invalid_state_transition");
  assertEquals((await server.patch(operationPath(operation), { status: "RELEASED" })).status, 200);
  const started = await start();
  assertEquals([started.status, isReplay(started)], [200, false], started.text);
  assert(isReplay(await start()), "the success was not stored");
});

Deno.test("Idempotency keys: store no dry run", async () => {
  const operation = await runningOperation();
  const key = unique("key");
  const dry_run = true;
  const dry = await reportWith(server, key, operation, { dry_run });
  assertEquals([dry.status, dry.body.operation?.qty_processed], [200, 1], dry.text);
  const dryAgain = await reportWith(server, key, operation, { dry_run });
  assertEquals([dryAgain.status, isReplay(dryAgain)], [200, false]);
  assertEquals((await read(operation)).qty_processed, 0);
  const real = await reportWith(server, key, operation);
  assertEquals([real.status, isReplay(real)], [201, false], real.text);
});

Deno.test("Idempotency keys: repeat no answer when the caller has lost the workplace or the role", async () => {
  const operation = await runningOperation();
  const workplaces = [operation.workplace_name ?? ""];
  const user = await newUser({ role: "operator", workplaces });
  const key = unique("key");
  assertEquals((await reportWith(user.client, key, operation)).status, 201);
  const setProfile = (patch: Record<string, unknown>) => server.patch(`/profiles/v1/${user.id}`, patch);

  await setProfile({ role: "readonly" });
  assertProblem(await reportWith(user.client, key, operation), 403, "forbidden");
  await setProfile({ role: "operator", workplace_access: [] });
  assertProblem(await reportWith(user.client, key, operation), 404, "not_found");
  await setProfile({ workplace_access: workplaces });
  assert(isReplay(await reportWith(user.client, key, operation)), "the answer is not repeated to the caller");
});

Deno.test({
  name:
    "Idempotency keys: answer idempotency_conflict at once when the first request is in flight (needs DATABASE_URL)",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql, held) => {
      const operation = await runningOperation();
      const key = unique("key");
      await held`begin`;
      await held`select from public.mes_operations where order_no = ${operation.order_no} for update`;
      const first = reportWith(server, key, operation);
      await waitersBehind(sql, await processOf(held));

      const second = await reportWith(server, key, operation);
      assertProblem(second, 409, "idempotency_conflict");
      assertEquals(second.headers.get("retry-after"), "1");
      const otherKey = reportWith(server, unique("key"), operation);

      await held`rollback`;
      assertEquals((await first).status, 201);
      assertEquals((await otherKey).status, 201);
      const replay = await reportWith(server, key, operation);
      assertEquals(essence(replay), essence(await first));
      assertEquals((await read(operation)).qty_processed, 2);
    }),
});

Deno.test({
  name:
    "Idempotency keys: store neither effect nor answer when the connection breaks between them (needs DATABASE_URL)",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql, held) => {
      const operation = await runningOperation();
      const key = unique("key");
      // the record of the key waits for this row, when the event and the operation are written already
      await held`begin`;
      await held`
        insert into app.idempotency_keys (caller, method, route, key, fingerprint, least_role, answer)
        values ('server', 'POST', '/events/v1', ${key}, ${"0".repeat(64)}, 'operator', '{}')`;
      const first = reportWith(server, key, operation);
      const [waiter = 0] = await waitersBehind(sql, await processOf(held));
      await sql`select pg_terminate_backend(${waiter})`;
      assertProblem(await first, 503, "unavailable");
      await held`rollback`;
      const events = await server.get<OperationEvent[]>("/events/v1", { query: { order_no: operation.order_no } });
      assertEquals(events.body.map(({ action_type }) => action_type), ["START"]);
      assertEquals((await read(operation)).qty_processed, 0);
      const [stored] = await sql`select count(*)::integer as keys from app.idempotency_keys where key = ${key}`;
      assertEquals(stored?.keys, 0);

      const again = await reportWith(server, key, operation);
      assertEquals([again.status, isReplay(again)], [201, false], again.text);
      assertEquals((await read(operation)).qty_processed, 1);
    }),
});

Deno.test("Idempotency keys: have 50 effects and identical answers when 32 requests race for each of 50 keys", async () => {
  const operation = await runningOperation();
  const first = new Set<string>();
  await rounds(50, 4, async () => {
    const key = unique("key");
    const settled = Promise.withResolvers<void>();
    const answers = await race(32, async () => {
      for (;;) {
        const answer = await reportWith(server, key, operation);
        if (answer.status !== 409) {
          settled.resolve();
          return answer;
        }
        // the first one is in flight: once it is done, this is a replay
        assertProblem(answer, 409, "idempotency_conflict");
        await settled.promise;
      }
    });
    assertEquals(tally(answers.map(outcome)), { 201: 32 });
    assertEquals(answers.filter((answer) => !isReplay(answer)).length, 1);
    assertEquals(new Set(answers.map((answer) => JSON.stringify(essence(answer)))).size, 1);
    first.add(answers[0]?.text ?? "");
  });
  assertEquals(first.size, 50);
  const { qty_processed, version } = await read(operation);
  assertEquals([qty_processed, version], [50, 52]);
});

Deno.test("Event ids: record one event when 32 reports of one id race", async () => {
  const operation = await runningOperation();
  const id = crypto.randomUUID();
  const answers = await race(32, () => report(server, operation, "REPORT_QUANTITY", { id, qty_good: 1 }));
  assertEquals(tally(answers.map(outcome)), { 200: 31, 201: 1 });
  assertEquals(tally(answers.map(({ body }) => `${body.id} ${body.op_seq}`)), { [`${id} 2`]: 32 });
  assertEquals((await read(operation)).qty_processed, 1);
});

Deno.test("Event ids: record one event when reports of one id and different contents race", async () => {
  const operation = await runningOperation();
  const id = crypto.randomUUID();
  const answers = await race(16, (racer) => report(server, operation, "REPORT_QUANTITY", { id, qty_good: racer + 1 }));
  assertEquals(tally(answers.map(outcome)), { "201": 1, "409 idempotency_conflict": 15 });
  const winner = answers.find(({ status }) => status === 201);
  assertEquals((await read(operation)).qty_processed, winner?.body.qty_good ?? 0);
});

Deno.test("Event ids: record one event when reports of one id and different operations race", async () => {
  const operations = await race(8, () => runningOperation());
  const id = crypto.randomUUID();
  const answers = await race(8, (racer) => report(server, operations[racer] as Operation, "STOP", { id }));
  assertEquals(tally(answers.map(outcome)), { "201": 1, "409 idempotency_conflict": 7 });
  const statuses = await Promise.all(operations.map(async (operation) => (await read(operation)).status));
  assertEquals(tally(statuses), { IN_PROGRESS: 7, ON_HOLD: 1 });
});

Deno.test("Event ids: answer 200 for the same content, and 409 for another content or caller", async () => {
  const workplace_name = newWorkplace();
  const operation = await runningOperation({ workplace_name });
  const user = await newUser({ role: "operator", workplaces: [workplace_name] });
  const id = crypto.randomUUID();
  const occurred_at = new Date().toISOString();
  const send = (client: Client, more: Record<string, unknown> = {}) =>
    report(client, operation, "REPORT_QUANTITY", { id, occurred_at, qty_good: 2, ...more });

  const first = await send(user.client);
  assertEquals(first.status, 201, first.text);
  assertEquals((await report(server, operation, "STOP")).status, 201);
  const again = await send(user.client, { id: id.toUpperCase() });
  assertProblem(again, 409, "idempotency_conflict");
  const known = await send(user.client);
  assertEquals([known.status, known.body.id, known.body.op_seq], [200, id, first.body.op_seq], known.text);
  assertEquals(known.body.operation?.status, "ON_HOLD");

  for (const more of [{ qty_good: 3 }, { note: "x" }, { occurred_at: new Date(0).toISOString() }]) {
    assertProblem(await send(user.client, more), 409, "idempotency_conflict");
  }
  assertProblem(await send(server), 409, "idempotency_conflict");
  assertEquals((await read(operation)).qty_processed, 2);
});
