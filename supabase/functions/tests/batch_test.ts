/** Batches of terminals that were offline: each event as if it had been sent alone. */
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
  type OperationWithActions,
  type ProblemBody,
  server,
  unique,
} from "./harness.ts";
import {
  type Action,
  at,
  eventsOf,
  minutesAgo,
  pick,
  read,
  reported,
  reportOne,
  type Results,
  runsOf,
} from "./floor.ts";

type Item = Record<string, unknown>;

function send(
  events: unknown[],
  { client = server, atomic, headers }: { client?: Client; atomic?: boolean; headers?: Record<string, string> } = {},
): Promise<Answer<Results>> {
  return client.post<Results>("/events/v1/batch", { events, atomic }, { headers });
}

/** A report of the operation, as an item. */
function item(operation: Operation, action_type: Action, more: Item = {}): Item {
  return { action_type, ...pick(operation, "order_no", "operation_no", "workplace_name", "asset_id"), ...more };
}

const withIds = (items: Item[]) => items.map((one) => ({ id: crypto.randomUUID(), ...one }));

const statuses = ({ body }: Answer<Results>) => body.results.map(({ status }) => status);
const codes = ({ body }: Answer<Results>) =>
  body.results.map(({ problem }) => (problem as ProblemBody | null)?.code ?? null);

// ---------------------------------------------------------------- order and answers

Deno.test("POST batch: events are taken in their order, one result each; all new is 201", async () => {
  const operation = await newOperation({ qty_desired: 20 });
  const items = withIds([
    item(operation, "START", { phase: "SETUP", occurred_at: at("08:00") }),
    item(operation, "START", { occurred_at: at("08:10") }),
    item(operation, "REPORT_QUANTITY", { qty_good: 12, qty_scrap: 1, occurred_at: at("09:00") }),
    item(operation, "STOP", { reason_code: "BREAK", occurred_at: at("09:10") }),
    item(operation, "START", { occurred_at: at("09:40") }),
    item(operation, "COMPLETE", { occurred_at: at("10:00") }),
  ]);
  const answer = await send(items);
  assertEquals(answer.status, 201, answer.text);
  assertEquals(
    answer.body.results,
    items.map(({ id }, index) => ({ index, status: 201, id, problem: null })),
  );
  assertEquals(answer.body.summary, { total: 6, recorded: 6 });
  // 10 min of setup; 08:10-09:10 and 09:40-10:00
  assertEquals(
    pick(await read(operation), "status", "qty_good", "qty_scrap", "t_actual_setup_min", "t_actual_processing_min"),
    {
      status: "FINISHED",
      qty_good: 20,
      qty_scrap: 1,
      t_actual_setup_min: 10,
      t_actual_processing_min: 80,
    },
  );
  assertEquals((await eventsOf(operation)).map(({ id }) => id), items.map(({ id }) => id));
});

Deno.test("POST batch without ids: each event gets one", async () => {
  const operation = await newOperation();
  const answer = await send([item(operation, "START"), item(operation, "STOP")]);
  assertEquals(answer.status, 201);
  assertEquals((await eventsOf(operation)).map(({ id }) => id), answer.body.results.map(({ id }) => id));
});

Deno.test("POST batch: 207 when results differ; a refused event does not stop the rest; known ones are 200", async () => {
  const operation = await newOperation({ qty_desired: 20 });
  const known = await reportOne(operation, "START", { id: crypto.randomUUID(), occurred_at: at("08:00") });
  const items = [
    item(operation, "START", { id: known.id, occurred_at: at("08:00") }),
    item(operation, "START"),
    item(operation, "REPORT_QUANTITY", { qty_good: 5 }),
    item(operation, "REPORT_QUANTITY", { qty_good: -5 }),
    item(operation, "REPORT_QUANTITY", { qty_good: 15 }),
    item(operation, "REPORT_QUANTITY", { qty_good: 1 }),
    item(operation, "FINISH"),
    item(operation, "STOP"),
  ];
  const answer = await send(items);
  assertEquals(answer.status, 207);
  assertEquals(statuses(answer), [200, 409, 201, 422, 201, 422, 201, 422]);
  assertEquals(codes(answer), [
    null,
    "already_running",
    null,
    "validation_failed",
    null,
    "invalid_quantity",
    null,
    "invalid_state_transition",
  ]);
  assertEquals(answer.body.summary, { total: 8, known: 1, recorded: 3, refused: 4 });
  assertEquals(answer.body.results.map(({ index }) => index), items.map((_, index) => index));
  assertEquals(pick(await read(operation), "status", "qty_good"), { status: "FINISHED", qty_good: 20 });
});

Deno.test("POST batch: sent again it is 200 and nothing happens; the idempotency key repeats the first answer", async () => {
  const operation = await newOperation();
  const items = withIds([item(operation, "START"), item(operation, "REPORT_QUANTITY", { qty_good: 7 })]);
  const headers = { "idempotency-key": crypto.randomUUID() };
  const first = await send(items, { headers });
  assertEquals(first.status, 201);
  const replayed = await send(items, { headers });
  assertEquals([replayed.status, replayed.text, replayed.headers.get("idempotency-replayed")], [
    201,
    first.text,
    "true",
  ]);
  const again = await send(items);
  assertEquals([again.status, again.body.summary], [200, { total: 2, known: 2 }]);
  assertEquals(again.body.results.map(({ id, status }) => [id, status]), items.map(({ id }) => [id, 200]));
  assertEquals([(await read(operation)).qty_good, (await eventsOf(operation)).length], [7, 2]);
  assertProblem(await send(items.slice(1), { headers }), 422, "idempotency_key_reused");
  // the terminal's own ids are not those of other events
  const other = await send([{ ...items[1], qty_good: 8 }, { ...items[0], note: "else" }]);
  assertEquals(codes(other), ["idempotency_conflict", "idempotency_conflict"]);
});

Deno.test("POST batch: one id twice in it is one event", async () => {
  const operation = await newOperation();
  const [start, pieces] = withIds([item(operation, "START"), item(operation, "REPORT_QUANTITY", { qty_good: 7 })]);
  const answer = await send([start, pieces, pieces, { ...pieces, qty_good: 1 }]);
  assertEquals(statuses(answer), [201, 201, 200, 409]);
  assertEquals((await read(operation)).qty_good, 7);
});

Deno.test("POST batch: each problem is the one that the same request alone gets", async () => {
  const [operation, fresh, blocked] = await Promise.all([
    newOperation({ qty_desired: 20 }),
    newOperation({ status: "PLANNED" }),
    newOperation(),
  ]);
  const twin = await newOperation();
  await newOperation({ ...pick(twin, "order_no", "operation_no", "workplace_name"), asset_id: 2 });
  await reported(operation, ["START", { occurred_at: at("08:00") }]);
  await reported(blocked, ["HOLD", { reason_code: "QUALITY" }]);
  const { id } = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 3 });
  const place = newWorkplace();
  const [busy, waiting] = [
    await newOperation({ workplace_name: place }),
    await newOperation({ workplace_name: place }),
  ];
  assertEquals((await server.patch(`/workplaces/v1/${place}`, { capacity: 1 })).status, 200);
  await reported(busy, ["START"]);
  const items: Item[] = [
    item(operation, "START"),
    item(blocked, "START"),
    item(waiting, "START"),
    item(fresh, "START"),
    item(operation, "STOP", { occurred_at: at("07:00") }),
    item(operation, "STOP", { occurred_at: minutesAgo(-5) }),
    item(operation, "STOP", { reason_code: "WHIM" }),
    item(operation, "STOP", { reason_code: 7, phase: "SETUP" }),
    item(operation, "FINISH"),
    item(operation, "HOLD"),
    item(operation, "REPORT_QUANTITY", { qty_good: 18 }),
    item(operation, "REVERSE", { reverses_event_id: id, qty_good: 4 }),
    item(operation, "REVERSE", { reverses_event_id: crypto.randomUUID() }),
    item(operation, "STOP", { id, occurred_at: at("09:00") }),
    item(operation, "STOP", { user_id: crypto.randomUUID() }),
    item(operation, "DANCE" as Action),
    { ...item(twin, "START"), asset_id: undefined },
    { ...item(operation, "STOP"), order_no: unique("O") },
    { ...item(operation, "STOP"), workplace_name: newWorkplace() },
  ];
  const answer = await send(items);
  assertEquals(answer.status, 207);
  assertEquals(answer.body.summary, { total: items.length, refused: items.length });
  const said = (problem: ProblemBody) => {
    // the server's clock goes on between the two
    const timeless = (text: string) => text.replaceAll(/server's clock, \S+/g, "server's clock");
    return {
      ...problem,
      instance: "",
      ...("server_time" in problem ? { server_time: "" } : {}),
      detail: timeless(problem.detail),
      errors: problem.errors?.map((error) => ({ ...error, message: timeless(error.message) })),
    };
  };
  for (const [index, one] of items.entries()) {
    const alone = await server.post<ProblemBody>("/events/v1", one);
    const { status, problem } = answer.body.results[index] ?? {};
    assertEquals(status, alone.status, JSON.stringify(one));
    assertEquals(said(problem as ProblemBody), said(alone.body), JSON.stringify(one));
    assertEquals((problem as ProblemBody).instance, answer.headers.get("x-request-id"));
  }
  const [operator, reader] = await Promise.all([
    newUser({ workplaces: [operation.workplace_name ?? ""] }),
    newUser({ role: "readonly", workplaces: [operation.workplace_name ?? ""] }),
  ]);
  for (const one of [item(operation, "CANCEL", { reason_code: "UNSPECIFIED" }), item(busy, "STOP")]) {
    const [together, alone] = [await send([one], operator), await operator.client.post<ProblemBody>("/events/v1", one)];
    assertEquals(said(together.body.results[0]?.problem as ProblemBody), said(alone.body));
  }
  assertProblem(await send([item(operation, "STOP")], reader), 403, "forbidden");
  assertEquals((await eventsOf(operation)).length, 2);
});

Deno.test("POST batch atomic: all or nothing, told which and why; all good is 201", async () => {
  const operation = await newOperation({ qty_desired: 20 });
  const good = withIds([item(operation, "START"), item(operation, "REPORT_QUANTITY", { qty_good: 5 })]);
  const refusals: [Item, number, "invalid_quantity" | "validation_failed" | "integrity_error"][] = [
    [item(operation, "REPORT_QUANTITY", { qty_good: 16 }), 422, "invalid_quantity"],
    [item(operation, "REPORT_QUANTITY", { qty_good: "16" }), 422, "validation_failed"],
    [item(operation, "STOP", { user_id: crypto.randomUUID() }), 400, "integrity_error"],
  ];
  for (const [bad, status, code] of refusals) {
    const problem = assertProblem(await send([...good, bad, item(operation, "STOP")], { atomic: true }), status, code);
    assertEquals(problem.index, 2);
    if (code === "invalid_quantity") assertEquals(pick(problem, "limit", "qty_good"), { limit: 20, qty_good: 21 });
  }
  assertEquals([(await eventsOf(operation)).length, (await read(operation)).version], [0, 1]);
  assertEquals((await send([...good, item(operation, "STOP")], { atomic: true })).status, 201);
  const mixed = await send([...good, item(operation, "START")], { atomic: true });
  assertEquals([mixed.status, statuses(mixed)], [207, [200, 200, 201]]);
});

Deno.test("POST batch with dry_run items: they tell what would be after what went before, and leave nothing", async () => {
  const operation = await newOperation();
  const answer = await send([
    item(operation, "START", { dry_run: true }),
    item(operation, "STOP", { dry_run: true }),
    item(operation, "START"),
    item(operation, "STOP", { dry_run: true }),
    item(operation, "REPORT_QUANTITY", { qty_good: 51, dry_run: true }),
  ]);
  assertEquals([answer.status, statuses(answer)], [207, [200, 422, 201, 200, 422]]);
  assertEquals((await eventsOf(operation)).map(({ action_type }) => action_type), ["START"]);
  assertEquals((await read(operation)).status, "IN_PROGRESS");
});

Deno.test("POST batch: 1 to 1000 events; 1000 of them in one call, a third of them new, and again all are known", async () => {
  const operation = await newOperation({ qty_desired: 2000 });
  for (const events of [[], Array(1001).fill(item(operation, "START"))]) {
    assertProblem(await send(events), 422, "validation_failed");
  }
  for (const wrong of [5, [], null]) assertProblem(await send([wrong]), 422, "validation_failed");
  // a terminal that wrote each count three times
  const counts = withIds(
    Array.from({ length: 333 }, () => item(operation, "REPORT_QUANTITY", { qty_good: 1, qty_scrap: 1 })),
  );
  const items = [...withIds([item(operation, "START", { occurred_at: at("08:00") })]), ...counts, ...counts, ...counts];
  const answer = await send(items);
  assertEquals([answer.status, answer.body.summary], [207, { total: 1000, recorded: 334, known: 666 }]);
  assertEquals(pick(await read(operation), "qty_good", "qty_scrap"), { qty_good: 333, qty_scrap: 333 });
  const again = await send(items);
  assertEquals([again.status, again.body.summary], [200, { total: 1000, known: 1000 }]);
  assertEquals((await read(operation)).version, 335);
});

// ---------------------------------------------------------------- terminals

Deno.test("POST batch: a day that was offline, uploaded late and twice, after the supervisor's correction elsewhere", async () => {
  const workplace_name = newWorkplace();
  const operator = await newUser({ workplaces: [workplace_name] });
  const [one, two] = await Promise.all([
    newOperation({ workplace_name, qty_desired: 30 }),
    newOperation({ workplace_name, qty_desired: 10 }),
  ]);
  const day = withIds([
    item(one, "START", { phase: "SETUP", occurred_at: at("06:00") }),
    item(one, "START", { occurred_at: at("06:15") }),
    item(one, "REPORT_QUANTITY", { qty_good: 14, qty_scrap: 1, occurred_at: at("07:00"), reason_code: "SETUP" }),
    item(one, "STOP", { reason_code: "BREAK", occurred_at: at("08:00") }),
    item(two, "START", { occurred_at: at("08:00") }),
    item(two, "COMPLETE", { occurred_at: at("08:20") }),
    item(one, "START", { occurred_at: at("08:20") }),
    item(one, "COMPLETE", { occurred_at: at("09:00") }),
  ]);
  const first = await send(day, operator);
  assertEquals([first.status, first.body.summary], [201, { total: 8, recorded: 8 }]);
  await reported(one, ["CORRECT", { qty_good: -2, qty_scrap: 2 }]);
  const before = [await read(one), await read(two)];
  const second = await send(day, operator);
  assertEquals([second.status, second.body.summary], [200, { total: 8, known: 8 }]);
  assertEquals([await read(one), await read(two)], before);
  // 06:00-06:15 setup; 06:15-08:00 and 08:20-09:00 processing
  assertEquals(
    pick(
      await read(one),
      "qty_good",
      "qty_scrap",
      "t_actual_setup_min",
      "t_actual_processing_min",
      "t_actual_lead_min",
    ),
    { qty_good: 28, qty_scrap: 3, t_actual_setup_min: 15, t_actual_processing_min: 145, t_actual_lead_min: 180 },
  );
  assertEquals(pick(await read(two), "qty_good", "t_actual_processing_min"), {
    qty_good: 10,
    t_actual_processing_min: 20,
  });
  assertEquals(new Set((await runsOf(one)).map(({ user_id }) => user_id)), new Set([operator.id]));
});

Deno.test("POST batch by two terminals over the same operations in opposite orders, 10 times: both are answered in full", async () => {
  const workplaces = [newWorkplace(), newWorkplace(), newWorkplace()];
  const operations = await Promise.all(
    Array.from(
      { length: 12 },
      (_, index) => newOperation({ workplace_name: workplaces[index % 3], qty_desired: 1000 }),
    ),
  );
  for (const place of workplaces) {
    assertEquals((await server.patch(`/workplaces/v1/${place}`, { capacity: 4 })).status, 200);
  }
  const round = async () => {
    const up = operations.flatMap((one) => [item(one, "START"), item(one, "REPORT_QUANTITY", { qty_good: 1 })]);
    const down = operations.toReversed().flatMap((one) => [
      item(one, "START"),
      item(one, "REPORT_QUANTITY", { qty_good: 1 }),
    ]);
    const filter = { workplace_name: workplaces };
    const answers = await Promise.all([
      send(withIds(up)),
      send(withIds(down)),
      server.patch<Results>("/operations/v1", {
        filter,
        patch: { note: "race", activity_code: "RACE" },
        dry_run: false,
      }),
    ]);
    for (const { status, text } of answers) assert(status === 200 || status === 201 || status === 207, text);
    assertEquals(
      [...codes(answers[0]), ...codes(answers[1])].filter((code) => code !== null && code !== "already_running"),
      [],
    );
  };
  for (let turn = 0; turn < 10; turn++) await round();
  const after: OperationWithActions[] = await Promise.all(operations.map((one) => read(one)));
  assertEquals(after.map(({ qty_good }) => qty_good), Array(12).fill(20));
  for (const one of operations) {
    const events = await eventsOf(one);
    assertEquals(events.map(({ op_seq }) => op_seq), Array.from({ length: 21 }, (_, index) => index + 1));
  }
});

Deno.test("POST batch: an id that two terminals use at once for different operations goes to one of them", async () => {
  const [one, two] = [await newOperation(), await newOperation()];
  const id = crypto.randomUUID();
  const answers = await Promise.all([send([item(one, "START", { id })]), send([item(two, "START", { id })])]);
  const told = answers.map((answer) => codes(answer)[0] ?? "recorded").toSorted();
  assertEquals(told, ["idempotency_conflict", "recorded"]);
  assertEquals([await eventsOf(one), await eventsOf(two)].flat().length, 1);
});
