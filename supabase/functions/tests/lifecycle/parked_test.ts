/** Pieces of a counter beyond what the operation may have: kept apart, listed, and settled. */
import {
  assertEquals,
  assertProblem,
  newOperation,
  newUser,
  type Operation,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { eventsOf, patched, pick, read, reported, reportOne, type Results } from "../support/floor.ts";
import { race } from "../support/racing.ts";

const counts = (operation: Operation) => pick(operation, "status", "qty_good", "qty_scrap", "qty_parked");
const ofEvent = (event: Awaited<ReturnType<typeof reportOne>>) =>
  pick(event, "action_type", "qty_good", "qty_parked", "delta_good");

async function runningOperation(more: Partial<Operation> = {}): Promise<Operation> {
  const operation = await newOperation({ qty_desired: 10, ...more });
  await reported(operation, ["START"]);
  return operation;
}

async function parkedOperation(): Promise<Operation> {
  const operation = await runningOperation();
  return await reported(operation, ["REPORT_QUANTITY", { qty_good: 14, overrun: "park" }]);
}

const listed = async (operation: Operation, has_parked: boolean) => {
  const { order_no } = operation;
  const { body } = await server.get<Operation[]>("/operations/v1", {
    query: { order_no, has_parked: String(has_parked) },
  });
  return body.length === 1;
};

Deno.test("POST /events/v1: books what fits and keeps the rest when overrun is park", async () => {
  const operation = await runningOperation({ overrun_tolerance_pct: 10 });
  assertProblem(await report(server, operation, "REPORT_QUANTITY", { qty_good: 14 }), 422, "invalid_quantity");
  const refused = await report(server, operation, "REPORT_QUANTITY", { qty_good: 14, overrun: "refuse" });
  assertProblem(refused, 422, "invalid_quantity");
  const first = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 8, qty_scrap: 1, overrun: "park" });
  assertEquals(ofEvent(first), { action_type: "REPORT_QUANTITY", qty_good: 8, qty_parked: 0, delta_good: 8 });
  const second = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 6, overrun: "park" });
  assertEquals(ofEvent(second), { action_type: "REPORT_QUANTITY", qty_good: 3, qty_parked: 3, delta_good: 3 });
  const full = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 2, overrun: "park" });
  assertEquals(ofEvent(full), { action_type: "REPORT_QUANTITY", qty_good: 0, qty_parked: 2, delta_good: 0 });
  assertEquals(counts(await read(operation)), { status: "IN_PROGRESS", qty_good: 11, qty_scrap: 1, qty_parked: 5 });
  assertEquals([await listed(operation, true), await listed(operation, false)], [true, false]);
});

Deno.test("POST /events/v1: parks nothing when the operation has no limit or the pieces fit", async () => {
  const [unlimited, roomy] = await Promise.all([runningOperation({ qty_desired: null }), runningOperation()]);
  for (const operation of [unlimited, roomy]) {
    const after = await reported(operation, ["REPORT_QUANTITY", { qty_good: 10, overrun: "park" }]);
    assertEquals(pick(after, "qty_good", "qty_parked"), { qty_good: 10, qty_parked: 0 });
    assertEquals([await listed(operation, true), await listed(operation, false)], [false, true]);
  }
});

Deno.test("POST /events/v1: COMPLETE finishes the operation and keeps the rest when overrun is park", async () => {
  const operation = await runningOperation();
  const done = await reportOne(operation, "COMPLETE", { qty_good: 12, overrun: "park" });
  assertEquals(counts(done.operation), { status: "FINISHED", qty_good: 10, qty_scrap: 0, qty_parked: 2 });
});

Deno.test("POST /events/v1 CORRECT: settles parked pieces when a supervisor or above sends it", async () => {
  const operation = await parkedOperation();
  const workplaces = [operation.workplace_name ?? ""];
  const [operator, supervisor] = await Promise.all([
    newUser({ workplaces }),
    newUser({ role: "supervisor", workplaces }),
  ]);
  assertEquals(operation.qty_parked, 4);
  const settled = { qty_scrap: 3, qty_parked: -3 };
  assertProblem(await report(operator.client, operation, "CORRECT", settled), 403, "forbidden");
  const tooMany = assertProblem(
    await report(supervisor.client, operation, "CORRECT", { qty_parked: -5 }),
    422,
    "invalid_quantity",
  );
  assertEquals(tooMany.qty_parked, 4);
  for (const field of [{ qty_parked: 1 }, { overrun: "park" }]) {
    assertProblem(await report(supervisor.client, operation, "CORRECT", field), 422, "validation_failed");
  }
  assertProblem(
    await report(supervisor.client, operation, "REPORT_QUANTITY", { qty_parked: -1 }),
    422,
    "validation_failed",
  );
  const event = await reportOne(operation, "CORRECT", settled, supervisor.client);
  assertEquals(event.changes?.qty_parked, { before: 4, after: 1 });
  assertEquals(counts(event.operation), { status: "IN_PROGRESS", qty_good: 10, qty_scrap: 3, qty_parked: 1 });
  const dropped = await reportOne(operation, "CORRECT", { qty_parked: -1 }, supervisor.client);
  assertEquals(counts(dropped.operation), { status: "IN_PROGRESS", qty_good: 10, qty_scrap: 3, qty_parked: 0 });
});

Deno.test("PATCH /operations/v1: books the parked pieces that fit when qty_desired or the tolerance grows", async () => {
  const operation = await parkedOperation();
  const grown = await patched(operation, { qty_desired: 12 });
  assertEquals(counts(grown), { status: "IN_PROGRESS", qty_good: 12, qty_scrap: 0, qty_parked: 2 });
  const last = (await eventsOf(operation)).at(-1);
  assertEquals(pick(last ?? {} as never, "action_type", "delta_good", "qty_parked"), {
    action_type: "CORRECT",
    delta_good: 2,
    qty_parked: -2,
  });
  const tolerant = await patched(operation, { overrun_tolerance_pct: 10 });
  assertEquals(counts(tolerant), { status: "IN_PROGRESS", qty_good: 13, qty_scrap: 0, qty_parked: 1 });
  // what the caller states is what is there
  const stated = await patched(operation, { qty_desired: 20, qty_processed: 14 });
  assertEquals(counts(stated), { status: "IN_PROGRESS", qty_good: 14, qty_scrap: 0, qty_parked: 1 });
  const free = await patched(operation, { qty_desired: null });
  assertEquals(counts(free), { status: "IN_PROGRESS", qty_good: 15, qty_scrap: 0, qty_parked: 0 });
});

Deno.test("POST import: books the parked pieces that fit when the source raises qty_desired", async () => {
  const [running, finished, cancelled] = await Promise.all([parkedOperation(), parkedOperation(), parkedOperation()]);
  await reported(finished, ["FINISH"]);
  await reported(cancelled, ["CANCEL", { reason_code: "UNSPECIFIED" }]);
  const rows = [running, finished, cancelled].map((operation) => ({
    ...pick(operation, "order_no", "asset_id", "operation_no", "workplace_name"),
    qty_desired: 13,
    timestamp_ms: new Date().toISOString(),
    change_type: "UPDATE",
  }));
  const answer = await server.post<Results>("/operations/v1/import", rows);
  assertEquals(answer.status < 300, true, answer.text);
  const after = await Promise.all([running, finished, cancelled].map((operation) => read(operation)));
  assertEquals(after.map((operation) => pick(operation, "status", "qty_good", "qty_parked")), [
    { status: "IN_PROGRESS", qty_good: 13, qty_parked: 1 },
    { status: "FINISHED", qty_good: 13, qty_parked: 1 },
    // no correction leads out of the end
    { status: "CANCELLED", qty_good: 10, qty_parked: 4 },
  ]);
  assertEquals([await listed(running, true), await listed(cancelled, true), await listed(cancelled, false)], [
    true,
    false,
    true,
  ]);
});

Deno.test("POST /events/v1: keeps every piece when 20 counters report with overrun park at once", async () => {
  const operation = await runningOperation();
  const answers = await race(20, () => report(server, operation, "REPORT_QUANTITY", { qty_good: 1, overrun: "park" }));
  assertEquals(new Set(answers.map(({ status }) => status)), new Set([201]));
  assertEquals(pick(await read(operation), "qty_good", "qty_parked"), { qty_good: 10, qty_parked: 10 });
});

Deno.test("POST /events/v1/batch: parks as single reports do, dry_run included, when a terminal was offline", async () => {
  const operation = await runningOperation();
  const item = {
    action_type: "REPORT_QUANTITY",
    ...pick(operation, "order_no", "operation_no", "workplace_name", "asset_id"),
    qty_good: 7,
    overrun: "park",
  };
  const tried = await report(server, operation, "REPORT_QUANTITY", { qty_good: 11, overrun: "park", dry_run: true });
  assertEquals(pick(tried.body, "qty_good", "qty_parked"), { qty_good: 10, qty_parked: 1 });
  const answer = await server.post<Results>("/events/v1/batch", { events: [item, item] });
  assertEquals(answer.status, 201, answer.text);
  assertEquals(pick(await read(operation), "qty_good", "qty_parked"), { qty_good: 10, qty_parked: 4 });
  const bulk = await server.patch<Results>("/operations/v1", {
    filter: { order_no: operation.order_no, has_parked: true },
    patch: { qty_desired: 14, activity_code: unique("A").slice(0, 20) },
    dry_run: false,
  });
  assertEquals(bulk.body.results.map(({ status }) => status), [200], bulk.text);
  assertEquals(pick(await read(operation), "qty_good", "qty_parked"), { qty_good: 14, qty_parked: 0 });
});

Deno.test("POST REVERSE: takes back what its event has parked when it takes back everything", async () => {
  const operation = await runningOperation();
  const wrong = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 100, overrun: "park" });
  await reportOne(operation, "CORRECT", { qty_parked: -10 });
  const part = await reportOne(operation, "REVERSE", { reverses_event_id: wrong.id, qty_good: 4 });
  assertEquals(counts(part.operation), { status: "IN_PROGRESS", qty_good: 6, qty_scrap: 0, qty_parked: 80 });
  const rest = await reportOne(operation, "REVERSE", { reverses_event_id: wrong.id });
  assertEquals(pick(rest, "qty_good", "qty_parked", "delta_good"), { qty_good: 6, qty_parked: -80, delta_good: -6 });
  assertEquals(counts(rest.operation), { status: "IN_PROGRESS", qty_good: 0, qty_scrap: 0, qty_parked: 0 });
  const again = await report(server, operation, "REVERSE", { reverses_event_id: wrong.id });
  assertProblem(again, 422, "invalid_quantity");
  assertEquals(counts(await patched(operation, { qty_desired: 50 })).qty_good, 0);
});

Deno.test("POST REVERSE: takes back parked pieces when nothing else is left of its event", async () => {
  const operation = await reported(await runningOperation(), ["REPORT_QUANTITY", { qty_good: 10 }]);
  const surplus = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 3, overrun: "park" });
  const { operation: after } = await reportOne(operation, "REVERSE", { reverses_event_id: surplus.id });
  assertEquals(counts(after), { status: "IN_PROGRESS", qty_good: 10, qty_scrap: 0, qty_parked: 0 });
});

Deno.test("POST import: leaves parked pieces when the row does not change how many the operation may have", async () => {
  const operation = await parkedOperation();
  const [first] = await eventsOf(operation).then((events) => events.slice(-1));
  await reportOne(operation, "REVERSE", { reverses_event_id: first?.id, qty_good: 10 });
  const row = { ...pick(operation, "order_no", "asset_id", "operation_no"), timestamp_ms: new Date().toISOString() };
  const rows = [
    { ...row, workplace_name: operation.workplace_name, activity_description: "New text", qty_desired: 10 },
    { ...row, change_type: "DELETE", timestamp_ms: new Date(Date.now() + 1).toISOString() },
  ];
  for (const one of rows) {
    const answer = await server.post<Results>("/operations/v1/import", [one]);
    assertEquals(answer.body.results.map(({ status }) => status), [200], answer.text);
    assertEquals(pick(await read(operation), "qty_good", "qty_parked"), { qty_good: 0, qty_parked: 4 });
  }
});

Deno.test("POST import: applies the other rows, and rehearses the same, when parked pieces are more than can be counted", async () => {
  const [operation, healthy] = await Promise.all([runningOperation(), runningOperation()]);
  await reported(operation, ["REPORT_QUANTITY", { qty_good: 2_147_483_647, qty_scrap: 1_000, overrun: "park" }]);
  const rows = [operation, healthy].map((one) => ({
    ...pick(one, "order_no", "asset_id", "operation_no", "workplace_name"),
    qty_desired: null,
    timestamp_ms: new Date().toISOString(),
  }));
  for (const query of ["?dry_run=true", ""]) {
    const answer = await server.post<Results>(`/operations/v1/import${query}`, rows);
    assertEquals(answer.body.results.map(({ status }) => status), [200, 200], answer.text);
  }
  assertEquals(pick(await read(operation), "qty_processed", "qty_parked"), {
    qty_processed: 2_147_483_647,
    qty_parked: 1_000 - 10 + 10,
  });
  assertEquals((await read(healthy)).qty_desired, null);
});

Deno.test("POST import: rehearses what it does when two rows of one call change the limit", async () => {
  const operation = await parkedOperation();
  const row = (qty_desired: number, laterMs: number) => ({
    ...pick(operation, "order_no", "asset_id", "operation_no", "workplace_name"),
    qty_desired,
    timestamp_ms: new Date(Date.now() + laterMs).toISOString(),
  });
  const rows = [row(15, 0), row(12, 1)];
  const answers = [];
  for (const query of ["?dry_run=true", ""]) {
    const { body } = await server.post<Results>(`/operations/v1/import${query}`, rows);
    answers.push(body.results.map(({ status, problem }) => [status, problem?.code]));
  }
  assertEquals(answers[0], answers[1]);
  assertEquals(answers[1], [[200, undefined], [422, "invalid_quantity"]]);
});

Deno.test("PATCH /operations/v1: finishes without a shortfall when parked pieces make up for it", async () => {
  const operation = await parkedOperation();
  const finished = await patched(operation, { status: "FINISHED", qty_desired: 14 });
  assertEquals(counts(finished), { status: "FINISHED", qty_good: 14, qty_scrap: 0, qty_parked: 0 });
  assertEquals((await eventsOf(operation)).slice(-2).map((event) => pick(event, "action_type", "reason_code")), [
    { action_type: "CORRECT", reason_code: null },
    { action_type: "FINISH", reason_code: null },
  ]);
});
