/** Batches of terminals that were offline: each event as if it had been sent alone. */
import type postgres from "postgres";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
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
} from "../support/harness.ts";
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
} from "../support/floor.ts";

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

Deno.test("POST /events/v1/batch: records events in their order with one result each, and answers 201 when all are new", async () => {
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

Deno.test("POST /events/v1/batch: generates an id for each event when the client sends none", async () => {
  const operation = await newOperation();
  const answer = await send([item(operation, "START"), item(operation, "STOP")]);
  assertEquals(answer.status, 201);
  assertEquals((await eventsOf(operation)).map(({ id }) => id), answer.body.results.map(({ id }) => id));
});

Deno.test("POST /events/v1/batch: answers 207 when results differ, and records the others when one event is rejected", async () => {
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

Deno.test("POST /events/v1/batch: names the first rejected report as the cause when what follows needs its state", async () => {
  const [blocked, other] = await Promise.all([newOperation({ status: "PLANNED" }), newOperation()]);
  const answer = await send([
    item(other, "START"),
    item(blocked, "START"),
    item(blocked, "REPORT_QUANTITY", { qty_good: 1 }),
    item(other, "REPORT_QUANTITY", { qty_good: -1 }),
    item(blocked, "STOP"),
    item(other, "STOP"),
    item(other, "STOP"),
    item(blocked, "RELEASE"),
    item(blocked, "STOP"),
    { ...item(blocked, "START"), phase: "NONE" },
    item(blocked, "FINISH"),
  ]);
  assertEquals(statuses(answer), [201, 422, 422, 422, 422, 201, 422, 201, 422, 422, 422], answer.text);
  const none = undefined;
  assertEquals(
    answer.body.results.map(({ caused_by }) => caused_by),
    // a STOP that repeats another, or comes too early, has itself as its cause
    [none, none, 1, none, 1, none, none, none, none, none, 9],
  );
});

Deno.test("POST /events/v1/batch: names the cause when the reports differ in asset_id, or one reverses another", async () => {
  const operation = await newOperation({ status: "PLANNED" });
  const id = crypto.randomUUID();
  const answer = await send([
    item(operation, "START", { asset_id: undefined }),
    item(operation, "REPORT_QUANTITY", { id, qty_good: 1 }),
    item(operation, "REVERSE", { reverses_event_id: id }),
  ]);
  assertEquals(answer.body.results.map(({ caused_by }) => caused_by), [undefined, 0, 1], answer.text);
});

Deno.test("POST /events/v1/batch: rejects each report when its user is unknown", async () => {
  const operation = await newOperation();
  await reportOne(operation, "START");
  const user_id = crypto.randomUUID();
  const one = item(operation, "REPORT_QUANTITY", { qty_good: 1, user_id });
  const answer = await send([one, one, one]);
  assertEquals(codes(answer), ["integrity_error", "integrity_error", "integrity_error"], answer.text);
});

Deno.test("POST /events/v1/batch: answers 200 without effect when it is repeated, and the first answer when it has a key", async () => {
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

Deno.test("POST /events/v1/batch: records one event when two have the same id", async () => {
  const operation = await newOperation();
  const [start, pieces] = withIds([item(operation, "START"), item(operation, "REPORT_QUANTITY", { qty_good: 7 })]);
  const answer = await send([start, pieces, pieces, { ...pieces, qty_good: 1 }]);
  assertEquals(statuses(answer), [201, 201, 200, 409]);
  assertEquals((await read(operation)).qty_good, 7);
});

Deno.test("POST /events/v1/batch: answers each item with the problem that a single report gets", async () => {
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
    // the server's clock goes on between the two, and a batch has commands on downtimes besides
    const alike = (text: string) =>
      text.replaceAll(/server's clock, \S+/g, "server's clock").replaceAll(/ \| 'DOWNTIME_\w+'/g, "");
    return {
      ...problem,
      instance: "",
      ...("server_time" in problem ? { server_time: "" } : {}),
      detail: alike(problem.detail),
      errors: problem.errors?.map((error) => ({ ...error, message: alike(error.message) })),
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

Deno.test("POST /events/v1/batch: records nothing and names the event when atomic is true and one is rejected", async () => {
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

Deno.test("POST /events/v1/batch: shows the effect of dry_run items after the previous items, and stores nothing of them", async () => {
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

Deno.test("POST /events/v1/batch: takes 1 to 1000 events, and answers 200 when all are repeated", async () => {
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

// ---------------------------------------------------------------- room at the workplace

/** A workplace of this capacity with so many released operations. */
async function capped(capacity: number, count: number): Promise<Operation[]> {
  const workplace_name = newWorkplace();
  const operations: Operation[] = [];
  for (let i = 0; i < count; i++) operations.push(await newOperation({ workplace_name, qty_desired: 10 }));
  assertEquals((await server.patch(`/workplaces/v1/${workplace_name}`, { capacity })).status, 200);
  return operations;
}

const isRunning = async (operations: Operation[]) =>
  (await Promise.all(operations.map((one) => read(one)))).map(({ status }) => status === "IN_PROGRESS");

Deno.test("POST /events/v1/batch: needs no capacity when the work begins and ends in the batch", async () => {
  const [busy, one, two, three, four] = await capped(1, 5);
  assert(busy && one && two && three && four);
  await reported(busy, ["START"]);
  const answer = await send(withIds([
    item(one, "START", { phase: "SETUP", occurred_at: at("08:00") }),
    item(one, "START", { occurred_at: at("08:10") }),
    item(two, "START", { occurred_at: at("08:20") }),
    item(one, "STOP", { reason_code: "BREAK", occurred_at: at("09:00") }),
    item(two, "COMPLETE", { occurred_at: at("09:10") }),
    item(one, "START", { occurred_at: at("09:20") }),
    item(one, "FINISH", { reason_code: "MATERIAL", occurred_at: at("09:30") }),
    item(three, "START", { occurred_at: at("09:40") }),
    item(three, "HOLD", { reason_code: "QUALITY", occurred_at: at("09:50") }),
    item(four, "START", { occurred_at: at("10:00") }),
    item(four, "CANCEL", { reason_code: "UNSPECIFIED", occurred_at: at("10:10") }),
  ]));
  assertEquals([answer.status, answer.body.summary], [201, { total: 11, recorded: 11 }]);
  assertEquals(
    pick(await read(one), "status", "t_actual_setup_min", "t_actual_processing_min", "actual_start_at"),
    { status: "FINISHED", t_actual_setup_min: 10, t_actual_processing_min: 60, actual_start_at: at("08:00") },
  );
  assertEquals((await runsOf(one)).map(({ started_at, ended_at }) => [started_at, ended_at]), [
    [at("08:00"), at("08:10")],
    [at("08:10"), at("09:00")],
    [at("09:20"), at("09:30")],
  ]);
  assertEquals(await isRunning([busy, one, two, three, four]), [true, false, false, false, false]);
});

Deno.test("POST /events/v1/batch: rejects a START at a full workplace when its end is rejected", async () => {
  const [busy, one, two] = await capped(1, 3);
  assert(busy && one && two);
  await reported(busy, ["START"]);
  const answer = await send([
    item(one, "START", { occurred_at: at("08:00") }),
    item(one, "REPORT_QUANTITY", { qty_good: 1, occurred_at: at("08:10") }),
    item(two, "START", { occurred_at: at("08:20") }),
    item(one, "STOP", { occurred_at: at("07:00") }),
    item(two, "STOP", { occurred_at: at("08:30") }),
    item(one, "FINISH", { occurred_at: at("08:40") }),
    item(one, "START", { phase: "SETUP", occurred_at: at("08:50") }),
  ]);
  const refused = "invalid_state_transition";
  assertEquals(codes(answer), ["workplace_busy", refused, null, refused, null, refused, "workplace_busy"]);
  const alone = await server.post<ProblemBody>("/events/v1", item(one, "START"));
  const told = answer.body.results[0]?.problem as ProblemBody;
  assertEquals({ ...told, instance: "" }, { ...assertProblem(alone, 409, "workplace_busy"), instance: "" });
  assertEquals(await isRunning([busy, one, two]), [true, false, false]);
  assertEquals([(await eventsOf(one)).length, (await eventsOf(two)).length], [0, 2]);
  assertEquals(pick(await read(one), "status", "version"), { status: "RELEASED", version: 1 });
});

Deno.test("POST /events/v1/batch: counts capacity after the batch in the order of the STARTs, and rejects all when atomic", async () => {
  const [running, first, second, third] = await capped(2, 4);
  assert(running && first && second && third);
  await reported(running, ["START", { occurred_at: at("06:00") }]);
  const items = [
    item(first, "START", { occurred_at: at("08:00") }),
    item(second, "START", { occurred_at: at("08:00") }),
    item(third, "START", { occurred_at: at("08:00") }),
    item(running, "STOP", { occurred_at: at("08:30") }),
  ];
  const problem = assertProblem(await send(items, { atomic: true }), 409, "workplace_busy");
  assertEquals([problem.index, problem.capacity], [2, 2]);
  assertEquals(await isRunning([running, first, second, third]), [true, false, false, false]);
  const answer = await send(items);
  assertEquals(codes(answer), [null, null, "workplace_busy", null]);
  assertEquals(await isRunning([running, first, second, third]), [false, true, true, false]);
  const { running_operations } = answer.body.results[2]?.problem as ProblemBody;
  const names = (running_operations as Operation[]).map(({ order_no }) => order_no);
  assertEquals(names.toSorted(), [first.order_no, second.order_no].toSorted());
  // what stops and starts again needs room as well
  const restarted = await send([item(first, "STOP"), item(third, "START"), item(first, "START")]);
  assertEquals(codes(restarted), [null, null, "workplace_busy"]);
  assertEquals(await isRunning([running, first, second, third]), [false, false, true, true]);
});

Deno.test("POST /events/v1/batch: never runs more than 2 operations when eight terminals report at a workplace of capacity 2", async () => {
  const operations = await capped(2, 8);
  for (let turn = 0; turn < 5; turn++) {
    const answers = await Promise.all(
      operations.map((one) => send([item(one, "START"), item(one, "STOP"), item(one, "START")])),
    );
    const told = answers.map(codes).map(([start, stop, again]) => [start, stop, again].join());
    assertEquals(told.filter((each) => each === ",,").length, 2, told.join(" "));
    assertEquals(told.filter((each) => each === ",,workplace_busy").length, 6, told.join(" "));
    assertEquals((await isRunning(operations)).filter(Boolean).length, 2);
    const stopped = await send(operations.map((one) => item(one, "STOP")));
    assertEquals(stopped.body.summary.recorded, 2);
  }
});

Deno.test("POST /events/v1/batch: shows the running operations at its turn when a START is a dry run", async () => {
  const [one, two] = await capped(1, 2);
  assert(one && two);
  const answer = await send([
    item(two, "START", { dry_run: true }),
    item(one, "START"),
    item(two, "START", { dry_run: true }),
    item(one, "STOP"),
    item(two, "START", { dry_run: true }),
  ]);
  assertEquals(statuses(answer), [200, 201, 409, 201, 200]);
});

// ---------------------------------------------------------------- the most that a call takes

/** 500 times START and STOP of one operation, from some days ago on. */
function restless(operation: Operation): Item[] {
  const began = Date.now() - 5 * 24 * 3_600_000;
  return withIds(
    Array.from(
      { length: 1000 },
      (_, i) =>
        item(operation, i % 2 === 0 ? "START" : "STOP", { occurred_at: new Date(began + i * 1000).toISOString() }),
    ),
  );
}

Deno.test("POST /events/v1/batch: answers eight terminals, some of them after a retry, when each sends 1,000 events at once", async () => {
  const operations = await Promise.all(Array.from({ length: 8 }, () => newOperation()));
  const waits = await Promise.all(operations.map(async (operation) => {
    const items = restless(operation);
    const headers = { "idempotency-key": crypto.randomUUID() };
    const waits_s: number[] = [];
    while (waits_s.length < 30) {
      const answer = await send(items, { headers });
      if (answer.status === 201) return waits_s;
      assertProblem(answer, 503, "unavailable");
      const wait_s = Number(answer.headers.get("retry-after"));
      waits_s.push(wait_s);
      await new Promise((done) => setTimeout(done, wait_s * 1000));
    }
    throw new Error("not answered in 30 tries");
  }));
  assert(waits.flat().length > 0, "eight at once are more than the slots");
  assert(waits.flat().every((wait_s) => wait_s >= 1 && wait_s <= 3), JSON.stringify(waits));
  for (const operation of operations) {
    assertEquals(pick(await read(operation), "version", "t_actual_processing_min"), {
      version: 1001,
      // 500 runs of a second, each rounded to 0.017 min
      t_actual_processing_min: 8.5,
    });
  }
});

Deno.test({
  name:
    "report_events: 400 START and STOP on one operation with 2,000 runs read no more than over 40 operations without one",
  ignore: !hasDatabase,
  async fn() {
    const deep = await newOperation();
    const wide = await Promise.all(Array.from({ length: 40 }, () => newOperation()));
    const undone = new Error("undone");
    await withDatabase(async (sql: postgres.Sql) => {
      await sql.begin(async (sql) => {
        await sql`set local statement_timeout = 0`;
        await sql`set local role service_role`;
        const take = (items: Item[]) => sql`select public.report_events(${JSON.stringify(items)}::text::jsonb)`;
        const pagesOf = async (items: Item[]) => {
          const [row] = await sql`
            explain (analyze, buffers, format json) select public.report_events(${JSON.stringify(items)}::text::jsonb)`;
          const [{ Plan: plan }] = row?.["QUERY PLAN"];
          return Number(plan["Shared Hit Blocks"]) + Number(plan["Shared Read Blocks"]);
        };
        for (let turn = 0; turn < 4; turn++) await take(later(restless(deep), turn * 2000));
        await pagesOf(later(restless(deep), 10_000).slice(0, 20));
        const one = await pagesOf(later(restless(deep), 20_000).slice(0, 400));
        const items = restless(deep).slice(0, 400).map((one, i) => ({
          ...one,
          ...pick(wide[Math.floor(i / 2) % 40] ?? deep, "order_no", "workplace_name"),
        }));
        const many = await pagesOf(items);
        console.log(`MEASURED batch of 400: ${one} pages on one operation with 2,000 runs, ${many} over 40`);
        assert(one <= 1.5 * many, `${one} pages on one operation, ${many} over 40`);
        throw undone;
      }).catch((error) => {
        if (error !== undone) throw error;
      });
    });
  },
});

const later = (items: Item[], seconds: number) =>
  items.map((one) => ({
    ...one,
    occurred_at: new Date(Date.parse(String(one.occurred_at)) + seconds * 1000).toISOString(),
  }));

Deno.test({
  name: "report_events: rejects a large batch when all slots are taken, and never a small one",
  ignore: !hasDatabase,
  async fn() {
    const operation = await newOperation();
    const items = restless(operation);
    await withDatabase(async (holder: postgres.Sql, sql: postgres.Sql) => {
      await holder`select pg_advisory_lock(hashtext('app.require_batch_slot'), 1)`;
      await sql.begin(async (sql) => {
        // others have the second one
        await sql`update app.settings set batch_slots = 1`;
        await sql`set local role service_role`;
        const take = (count: number) =>
          sql.savepoint((sql) =>
            sql`select public.report_events(${JSON.stringify(items.slice(0, count))}::text::jsonb)`
          );
        const error = await take(102).then(() => undefined, (error) => error);
        assertEquals([error?.code, error?.message], ["PT503", "unavailable"]);
        const { retry_after_s } = JSON.parse(error.detail);
        assert(retry_after_s >= 1 && retry_after_s <= 3, error.detail);
        await take(100);
        await holder`select pg_advisory_unlock(hashtext('app.require_batch_slot'), 1)`;
        await take(102);
        await sql`reset role`;
        await sql`update app.settings set batch_slots = default`;
      });
    });
    assertEquals((await read(operation)).version, 103);
  },
});

// ---------------------------------------------------------------- terminals

Deno.test("POST /events/v1/batch: records an offline day once when it is uploaded late and twice, after a correction elsewhere", async () => {
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

Deno.test("POST /events/v1/batch: answers both terminals in full when they report the same operations in opposite orders", async () => {
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

Deno.test("POST /events/v1/batch: gives an id to one operation when two terminals use it at once", async () => {
  const [one, two] = [await newOperation(), await newOperation()];
  const id = crypto.randomUUID();
  const answers = await Promise.all([send([item(one, "START", { id })]), send([item(two, "START", { id })])]);
  const told = answers.map((answer) => codes(answer)[0] ?? "recorded").toSorted();
  assertEquals(told, ["idempotency_conflict", "recorded"]);
  assertEquals([await eventsOf(one), await eventsOf(two)].flat().length, 1);
});
