/** Operations that the plan moves to another workplace while they run. */
import {
  assertEquals,
  assertProblem,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  report,
  server,
} from "../support/harness.ts";
import { eventsOf, patched, pick, read, reported, reportOne, type Results } from "../support/floor.ts";

/** An operation that runs where it was started, and is planned at another workplace by now; users of both and of each. */
async function movedOperation() {
  const operation = await newOperation({ qty_desired: 10 });
  const here = operation.workplace_name ?? "";
  const there = newWorkplace();
  await reported(operation, ["START"]);
  const moved = await patched(operation, { workplace_name: there });
  const [operator, receiver, supervisor, stranger] = await Promise.all([
    newUser({ workplaces: [here] }),
    newUser({ workplaces: [there] }),
    newUser({ role: "supervisor", workplaces: [here, there] }),
    newUser({ workplaces: [newWorkplace()] }),
  ]);
  return {
    operation,
    here,
    there,
    moved,
    operator: operator.client,
    receiver: receiver.client,
    supervisor: supervisor.client,
    stranger: stranger.client,
  };
}

const planOf = ({ workplace_name, asset_id }: Operation) => ({ workplace_name, asset_id });

Deno.test("POST /events/v1: answers planned_elsewhere with the workplace when the caller sees where the operation was moved", async () => {
  const { operation, moved, operator, supervisor } = await movedOperation();
  for (const client of [server, supervisor]) {
    for (const subject of [{}, { asset_id: undefined }]) {
      const answer = await report(client, operation, "REPORT_QUANTITY", { qty_good: 1, ...subject });
      const problem = assertProblem(answer, 409, "planned_elsewhere");
      assertEquals(pick(problem, "workplace_name", "asset_id"), planOf(moved));
    }
  }
  // a workplace that never had it is a wrong one
  const wrong = { ...operation, workplace_name: newWorkplace() };
  assertProblem(await report(server, wrong, "REPORT_QUANTITY", { qty_good: 1 }), 404, "not_found");
  // to those who see the old workplace alone it is missing, as if it had never been there
  assertProblem(await report(operator, operation, "REPORT_QUANTITY", { qty_good: 1 }), 404, "not_found");
  assertEquals(pick(await read(operation), "qty_good", "version"), pick(moved, "qty_good", "version"));
  // where it is planned, it is reported as ever
  assertEquals((await report(supervisor, moved, "REPORT_QUANTITY", { qty_good: 1 })).status, 201);
  assertEquals((await eventsOf(operation)).at(-1)?.workplace_name, moved.workplace_name);
});

Deno.test("POST /events/v1: ends work where it was started when the operation was moved meanwhile", async () => {
  const { operation, here, there, operator, stranger } = await movedOperation();
  assertProblem(await report(stranger, operation, "STOP"), 404, "not_found");
  const stopped = await reportOne(operation, "STOP", {}, operator);
  assertEquals(stopped.workplace_name, here);
  assertEquals(pick(stopped.operation, "status", "workplace_name"), { status: "ON_HOLD", workplace_name: there });
  // nothing runs there any more
  for (const action of ["STOP", "START", "FINISH"] as const) {
    assertProblem(await report(operator, operation, action), 404, "not_found");
  }
  assertEquals((await read(operation)).status, "ON_HOLD");
});

Deno.test("POST /events/v1: books pieces with the end of work where it was started when the operation was moved", async () => {
  const { operation, operator } = await movedOperation();
  const completed = await report(operator, operation, "COMPLETE", {
    asset_id: undefined,
    qty_good: 10,
    qty_scrap: 1,
  });
  assertEquals(completed.status, 201, completed.text);
  assertEquals(pick(await read(operation), "status", "qty_good", "qty_scrap"), {
    status: "FINISHED",
    qty_good: 10,
    qty_scrap: 1,
  });
});

Deno.test("POST /events/v1/batch: treats a moved operation as single reports do when it was started offline", async () => {
  const { operation, here, moved, operator, supervisor } = await movedOperation();
  const item = (action_type: string, more = {}) => ({
    action_type,
    ...pick(operation, "order_no", "operation_no", "asset_id"),
    workplace_name: here,
    ...more,
  });
  const events = [item("REPORT_QUANTITY", { qty_good: 1 }), item("STOP"), item("START")];
  const seen = await supervisor.post<Results>("/events/v1/batch", {
    events: events.map((event) => ({ ...event, dry_run: true })),
  });
  assertEquals(seen.body.results.map(({ status }) => status), [409, 200, 409], seen.text);
  const problem = seen.body.results[0]?.problem;
  assertEquals([problem?.code, problem?.workplace_name], ["planned_elsewhere", moved.workplace_name]);
  const answer = await operator.post<Results>("/events/v1/batch", { events });
  assertEquals(answer.body.results.map(({ status }) => status), [404, 201, 404], answer.text);
  assertEquals((await eventsOf(operation)).at(-1)?.workplace_name, here);
});

Deno.test("POST /events/v1: records one end of moved work when two race", async () => {
  const { operation, there, operator, receiver } = await movedOperation();
  const answers = await Promise.all([
    report(operator, operation, "STOP"),
    report(receiver, { ...operation, workplace_name: there }, "STOP"),
  ]);
  assertEquals(answers.filter(({ status }) => status === 201).length, 1, answers.map(({ text }) => text).join());
  assertEquals((await eventsOf(operation)).filter(({ action_type }) => action_type === "STOP").length, 1);
});

/** Two assets of one operation of the order at one workplace; the second runs and was moved. */
async function twoAssets() {
  const first = await newOperation({ qty_desired: 10, asset_id: 1 });
  const { order_no, operation_no, workplace_name } = first;
  const second = await newOperation({ order_no, operation_no, workplace_name, qty_desired: 10, asset_id: 2 });
  await reported(second, ["START"]);
  await patched(second, { workplace_name: newWorkplace() });
  return { first, second, item: { action_type: "STOP", order_no, operation_no, workplace_name } };
}

Deno.test("POST events and batch: mean the operation that is planned there when another asset was moved", async () => {
  const { first, second, item } = await twoAssets();
  await reported(first, ["START"]);
  const other = await newOperation();
  const good = { ...item, ...pick(other, "order_no", "workplace_name"), action_type: "START" };
  const answer = await server.post<Results>("/events/v1/batch", { events: [good, item] });
  assertEquals(answer.body.results.map(({ status }) => status), [201, 201], answer.text);
  assertEquals([(await read(first)).status, (await read(second)).status], ["ON_HOLD", "IN_PROGRESS"]);
});

Deno.test("POST events and batch: are ambiguous when two moved assets run there and asset_id is missing", async () => {
  const { first, item } = await twoAssets();
  await reported(first, ["START"]);
  await patched(first, { workplace_name: newWorkplace() });
  const single = assertProblem(await server.post("/events/v1", item), 409, "ambiguous_operation");
  assertEquals(single.asset_ids, [1, 2]);
  for (const dry_run of [true, false]) {
    const { body, text } = await server.post<Results>("/events/v1/batch", { events: [{ ...item, dry_run }] });
    assertEquals(body.results.map(({ problem }) => problem?.code), ["ambiguous_operation"], text);
  }
  assertEquals((await server.post("/events/v1", { ...item, asset_id: 2 })).status, 201);
});

Deno.test("POST /events/v1/batch: ends moved work once when a second report of the old workplace follows", async () => {
  const { operation, here, there, supervisor } = await movedOperation();
  const key = pick(operation, "order_no", "operation_no", "asset_id");
  const at = (workplace_name: string, action_type: string) => ({ ...key, workplace_name, action_type });
  const tried = await supervisor.post<Results>("/events/v1/batch", {
    atomic: false,
    events: [at(here, "STOP"), at(there, "START"), at(here, "STOP")],
  });
  assertEquals(tried.body.results.map(({ status }) => status), [201, 201, 409], tried.text);
  const second = await movedOperation();
  const events = ["STOP", "COMPLETE"].map((action_type) => ({
    ...pick(second.operation, "order_no", "operation_no", "asset_id"),
    workplace_name: second.here,
    action_type,
  }));
  const answer = await second.operator.post<Results>("/events/v1/batch", { events });
  assertEquals(answer.body.results.map(({ status }) => status), [201, 404], answer.text);
});

Deno.test("POST /events/v1: names no workplace when the operation was moved to none", async () => {
  const operation = await newOperation({ qty_desired: 10 });
  await reported(operation, ["START"]);
  await patched(operation, { workplace_name: null });
  const { detail } = assertProblem(await report(server, operation, "REPORT_QUANTITY", {}), 409, "planned_elsewhere");
  assertEquals(detail.includes("any more but at none"), true, detail);
});
