/** Bulk changes: a rehearsal first, each operation under the rules of a single PATCH. */
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
  operationPath,
  type ProblemBody,
  server,
  unique,
} from "../support/harness.ts";
import { at, eventsOf, minutesAgo, pick, read, reported, type Results } from "../support/floor.ts";

function change(
  filter: Record<string, unknown>,
  patch: Record<string, unknown>,
  { dry_run = false, client = server, headers }: {
    dry_run?: boolean | undefined;
    client?: Client;
    headers?: Record<string, string>;
  } = {},
): Promise<Answer<Results>> {
  return client.patch<Results>("/operations/v1", { filter, patch, dry_run }, { headers });
}

const labelOf = ({ order_no, asset_id, operation_no }: Operation) => `${order_no}/${asset_id}/${operation_no}`;
const idsOf = ({ body }: Answer<Results>) => body.results.map(({ id }) => id);

/** Operations of one order: 0010, 0020, ... */
const ofOneOrder = (count: number, overrides: Partial<Operation> = {}): Promise<Operation[]> => {
  const order_no = unique("B");
  return Promise.all(
    Array.from(
      { length: count },
      (_, index) => newOperation({ order_no, operation_no: String(10 * (index + 1)).padStart(4, "0"), ...overrides }),
    ),
  );
};

Deno.test("PATCH /operations/v1: changes nothing until dry_run is false, and then answers the same", async () => {
  const operations = await ofOneOrder(3, { status: "PLANNED" });
  const filter = { order_no: operations[0]?.order_no };
  const patch = { status: "RELEASED", qty_desired: 60, note: "Material is here" };
  const rehearsed = await server.patch<Results>("/operations/v1", { filter, patch });
  assertEquals([rehearsed.status, rehearsed.body.summary], [200, { total: 3, changed: 3 }]);
  assertEquals(rehearsed.body.results[1], {
    index: 1,
    status: 200,
    id: labelOf(operations[1] as Operation),
    version: 2,
    problem: null,
  });
  assertEquals(await Promise.all(operations.map((one) => read(one))), operations as Awaited<ReturnType<typeof read>>[]);
  const real = await change(filter, patch);
  assertEquals([real.status, real.body], [200, rehearsed.body]);
  for (const one of operations) {
    assertEquals(pick(await read(one), "status", "qty_desired", "version"), {
      status: "RELEASED",
      qty_desired: 60,
      version: 2,
    });
    assertEquals((await eventsOf(one)).map(({ action_type, note }) => [action_type, note]), [[
      "RELEASE",
      "Material is here",
    ]]);
  }
  const again = await change(filter, patch);
  assertEquals(again.body.results.map(({ version }) => version), [2, 2, 2]);
});

Deno.test("PATCH /operations/v1: changes the others when one operation is rejected with the problem of a single PATCH", async () => {
  const operations = await ofOneOrder(5, { qty_desired: 50 });
  const [running, planned, finished, blocked] = operations as [Operation, Operation, Operation, Operation];
  await reported(running, ["START"]);
  await reported(finished, ["START"], ["COMPLETE"]);
  await reported(blocked, ["HOLD", { reason_code: "QUALITY" }]);
  await reported(planned, ["CANCEL", { reason_code: "UNSPECIFIED" }]);
  const answer = await change({ order_no: running.order_no }, { status: "ON_HOLD", qty_desired: 40 });
  assertEquals([answer.status, answer.body.summary], [207, { total: 5, changed: 3, refused: 2 }]);
  assertEquals(answer.body.results.map(({ status }) => status), [200, 422, 422, 200, 200]);
  for (const index of [1, 2]) {
    const one = operations[index] as Operation;
    const alone = await server.patch<ProblemBody>(operationPath(one), { status: "ON_HOLD", qty_desired: 40 });
    assertEquals({ ...answer.body.results[index]?.problem as ProblemBody, instance: "" }, {
      ...alone.body,
      instance: "",
    });
    assertEquals((await read(one)).version, answer.body.results[index]?.version);
  }
  assertEquals((await read(running)).hold_kind, "PAUSED");
  assertEquals((await read(operations[4] as Operation)).hold_kind, "BLOCKED");
});

Deno.test("PATCH /operations/v1: selects operations as lists do when several conditions are given", async () => {
  const [workplace, other] = [newWorkplace(), newWorkplace()];
  const group = unique("Group");
  const order_no = unique("B");
  const make = (operation_no: string, overrides: Partial<Operation>) =>
    newOperation({ order_no, operation_no, workplace_name: workplace, activity_code: "BEND", ...overrides });
  const operations = [
    await make("0010", { status: "PLANNED", planned_start_at: at("08:00"), planned_end_at: at("09:00") }),
    await make("0020", { workplace_name: other, workplace_group: group, planned_start_at: at("10:00") }),
    await make("0030", { activity_code: "LASER", qty_desired: 0 }),
    await make("0040", { activity_description: `${order_no} tumble`, planned_start_at: at("12:00") }),
  ];
  const chosen = async (filter: Record<string, unknown>) => {
    const { body, text, status } = await change({ order_no, ...filter }, { activity_code: "X" }, { dry_run: true });
    assertEquals(status, 200, text);
    return body.results.map(({ id }) => operations.findIndex((one) => labelOf(one) === id));
  };
  assertEquals(await chosen({}), [0, 1, 2, 3]);
  assertEquals(await chosen({ status: ["PLANNED"] }), [0]);
  assertEquals(await chosen({ status: ["PLANNED", "RELEASED"] }), [0, 1, 2, 3]);
  assertEquals(await chosen({ workplace_name: [other] }), [1]);
  assertEquals(await chosen({ workplace_group: group }), [1]);
  assertEquals(await chosen({ activity_code: "BEND", status: ["RELEASED"] }), [1, 3]);
  assertEquals(await chosen({ planned_start_after: at("08:00"), planned_start_before: at("12:00") }), [0, 1]);
  assertEquals(await chosen({ has_remaining_qty: false }), [2]);
  assertEquals(await chosen({ is_overdue: true }), [0]);
  assertEquals(await chosen({ q: order_no }), [0, 1, 2, 3]);
  assertEquals(await chosen({ q: `${order_no} TUM` }), [3]);
  assertEquals(await chosen({ activity_code: "x' or true --" }), []);
  const none = await change({ order_no: unique("B") }, { activity_code: "X" });
  assertEquals([none.status, none.body], [200, { results: [], summary: { total: 0 } }]);
  const wrong: [Record<string, unknown>, Record<string, unknown>][] = [
    [{}, { activity_code: "X" }],
    [{ colour: "red" }, { activity_code: "X" }],
    [{ order_no }, {}],
    [{ order_no }, { order_no: "other" }],
    [{ order_no, status: "PLANNED" }, { activity_code: "X" }],
  ];
  for (const [filter, patch] of wrong) assertProblem(await change(filter, patch), 422, "validation_failed");
});

Deno.test("PATCH /operations/v1: changes only long open runs when the filter has open_longer_than_h", async () => {
  const operations = await ofOneOrder(3);
  const [forgotten, recent, stopped] = operations as [Operation, Operation, Operation];
  const hoursAgo = (hours: number) => ({ occurred_at: minutesAgo(hours * 60) });
  await reported(forgotten, ["START", hoursAgo(13)]);
  await reported(recent, ["START", hoursAgo(1)]);
  await reported(stopped, ["START", hoursAgo(30)], ["STOP"]);
  const { order_no } = forgotten;
  const longer = async (open_longer_than_h: number) =>
    idsOf(await change({ order_no, open_longer_than_h }, { activity_code: "X" }, { dry_run: true }));
  assertEquals(await longer(12), [labelOf(forgotten)]);
  assertEquals(await longer(0.5), [labelOf(forgotten), labelOf(recent)]);
  assertEquals(await longer(14), []);
  for (const open_longer_than_h of [-1, 100_000, "12"]) {
    assertProblem(await change({ order_no, open_longer_than_h }, { activity_code: "X" }), 422, "validation_failed");
  }
  const changed = await change({ order_no, open_longer_than_h: 12 }, { activity_code: "X" });
  assertEquals([changed.status, changed.body.summary], [200, { total: 1, changed: 1 }]);
  assertEquals((await read(recent)).activity_code, recent.activity_code);
});

Deno.test("PATCH /operations/v1: rejects more than 500 matches with the limit", async () => {
  const order_no = unique("B");
  const workplace_name = newWorkplace();
  const rows = Array.from({ length: 501 }, (_, index) => ({
    order_no,
    asset_id: 1 + index,
    operation_no: "0010",
    workplace_name,
    activity_code: index === 500 ? "LAST" : "FIRST",
    timestamp_ms: at("06:00"),
  }));
  assertEquals((await server.post<Results>("/operations/v1/import", rows)).status, 200);
  const refused = assertProblem(await change({ order_no }, { qty_desired: 5 }), 422, "validation_failed");
  assertEquals(refused.limit, 500);
  const answer = await change({ order_no, activity_code: "FIRST" }, { status: "RELEASED", qty_desired: 5 });
  assertEquals([answer.status, answer.body.summary], [200, { total: 500, changed: 500 }]);
  // in the order of lists
  assertEquals(idsOf(answer).slice(0, 3), [1, 2, 3].map((asset_id) => `${order_no}/${asset_id}/0010`));
  const { headers } = await server.get("/operations/v1", {
    query: { order_no, status: "RELEASED", limit: 1, count: "exact" },
  });
  assertEquals(headers.get("x-total-count"), "500");
});

Deno.test("PATCH /operations/v1: changes what supervisors and above see, and only to their workplaces", async () => {
  const [own, other] = [newWorkplace(), newWorkplace()];
  const order_no = unique("B");
  const mine = await newOperation({ order_no, operation_no: "0010", workplace_name: own });
  const theirs = await newOperation({ order_no, operation_no: "0020", workplace_name: other });
  const [reader, operator, supervisor, manager] = await Promise.all([
    newUser({ role: "readonly", workplaces: ["*"] }),
    newUser({ workplaces: ["*"] }),
    newUser({ role: "supervisor", workplaces: [own] }),
    newUser({ role: "manager" }),
  ]);
  for (const { client } of [reader, operator]) {
    assertEquals(
      assertProblem(await change({ order_no }, { qty_desired: 5 }, { client }), 403, "forbidden").required_role,
      "supervisor",
    );
  }
  const partly = await change({ order_no }, { qty_desired: 5 }, supervisor);
  assertEquals([partly.status, idsOf(partly)], [200, [labelOf(mine)]]);
  assertEquals((await read(theirs)).qty_desired, 50);
  const away = await change({ order_no }, { workplace_name: other }, supervisor);
  assertEquals([away.status, (away.body.results[0]?.problem as ProblemBody).code], [207, "forbidden"]);
  assertEquals(idsOf(await change({ order_no }, { qty_desired: 6 }, manager)), [mine, theirs].map(labelOf));
});

Deno.test("PATCH /operations/v1: answers the same without effect when it is repeated with its key", async () => {
  const [operation] = await ofOneOrder(1, { status: "PLANNED" }) as [Operation];
  const headers = { "idempotency-key": crypto.randomUUID() };
  const filter = { order_no: operation.order_no, status: ["PLANNED"] };
  const rehearsed = await change(filter, { status: "RELEASED" }, { headers, dry_run: true });
  assertEquals(rehearsed.body.summary, { total: 1, changed: 1 });
  const other = { "idempotency-key": crypto.randomUUID() };
  const first = await change(filter, { status: "RELEASED" }, { headers: other });
  const again = await change(filter, { status: "RELEASED" }, { headers: other });
  assertEquals([again.text, again.headers.get("idempotency-replayed")], [first.text, "true"]);
  assertEquals((await eventsOf(operation)).length, 1);
});

Deno.test("PATCH /operations/v1: causes no deadlock and loses no report when operations run", async () => {
  const workplaces = [newWorkplace(), newWorkplace()];
  const operations = await Promise.all(
    Array.from({ length: 10 }, (_, index) => newOperation({ workplace_name: workplaces[index % 2], qty_desired: 100 })),
  );
  for (const place of workplaces) await server.patch(`/workplaces/v1/${place}`, { capacity: 5 });
  const filters = [{ workplace_name: workplaces }, { workplace_name: workplaces.toReversed() }];
  for (const status of ["IN_PROGRESS", "ON_HOLD", "IN_PROGRESS", "ON_HOLD"]) {
    const answers = await Promise.all([
      ...filters.map((filter) => change(filter, { status })),
      server.post<Results>("/events/v1/batch", {
        events: operations.toReversed().map((one) => ({
          action_type: "START",
          dry_run: true,
          ...pick(one, "order_no", "operation_no", "workplace_name"),
        })),
      }),
    ]);
    for (const { status, text } of answers) assert(status === 200 || status === 207, text);
    const now = await Promise.all(operations.map((one) => read(one)));
    assertEquals(new Set(now.map((one) => one.status)), new Set([status as Operation["status"]]));
  }
});
