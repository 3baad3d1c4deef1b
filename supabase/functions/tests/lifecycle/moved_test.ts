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
    for (const subject of [operation, { ...operation, asset_id: undefined } as unknown as Operation]) {
      const answer = await report(client, subject, "REPORT_QUANTITY", { qty_good: 1 });
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
  const first = { asset_id: undefined } as unknown as Operation;
  const completed = await report(operator, { ...operation, ...first }, "COMPLETE", { qty_good: 10, qty_scrap: 1 });
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
