/** The import of the ERP's change feed: any order, any number of times, while the floor is working. */
import fc from "fast-check";
import type postgres from "postgres";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import {
  type Answer,
  assert,
  assertEquals,
  assertExists,
  assertMatch,
  assertProblem,
  type Client,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  type OperationWithActions,
  type ProblemBody,
  server,
  unique,
} from "../support/harness.ts";
import { at, eventsOf, minutesAgo, patched, pick, read, reported, type Results, runsOf } from "../support/floor.ts";
import { withinTime } from "../support/time_limit.ts";

type Row = Record<string, unknown>;

function importRows(
  rows: unknown,
  options: { client?: Client; query?: Record<string, string | boolean>; headers?: Record<string, string> } = {},
): Promise<Answer<Results>> {
  const { client = server, ...rest } = options;
  return client.post<Results>("/operations/v1/import", rows, rest);
}

/** Imports rows that must all be accepted; what became of each. */
async function imported(rows: Row[], query: Record<string, string | boolean> = {}): Promise<(string | undefined)[]> {
  const { status, body, text } = await importRows(rows, { query });
  assertEquals(status, 200, text);
  return body.results.map(({ outcome }) => outcome);
}

const outcomes = ({ body }: Answer<Results>): (string | undefined)[] => body.results.map(({ outcome }) => outcome);

/** A row for a new operation at a workplace of its own, at this source time. */
function row(overrides: Row = {}): Row & Pick<Operation, "order_no" | "asset_id" | "operation_no"> {
  return {
    order_no: unique("I"),
    asset_id: 1,
    operation_no: "0010",
    workplace_name: newWorkplace(),
    activity_code: "LASER",
    qty_desired: 50,
    status: "RELEASED",
    timestamp_ms: at("06:00"),
    change_type: "INSERT",
    ...overrides,
  };
}

const keyOf = ({ order_no, asset_id, operation_no }: Pick<Operation, "order_no" | "asset_id" | "operation_no">) => ({
  order_no,
  asset_id,
  operation_no,
});

async function get(key: Pick<Operation, "order_no" | "asset_id" | "operation_no">) {
  const { status, body, text } = await server.get<OperationWithActions>(operationPath(key));
  assertEquals(status, 200, text);
  return body;
}

/** Without what says when and how often it was written. */
function stateOf(
  { version: _, created_at: __, updated_at: ___, allowed_actions: ____, ...rest }: OperationWithActions,
) {
  return rest;
}

// ---------------------------------------------------------------- one row

Deno.test("POST import: a new row creates, a newer one updates the plan, older and equal ones are skipped_stale", async () => {
  const first = row({ planned_start_at: at("08:00"), planned_end_at: at("10:00") });
  const key = keyOf(first);
  const created = await importRows([first]);
  assertEquals([created.status, created.body.results], [200, [
    {
      index: 0,
      status: 201,
      id: `${key.order_no}/1/0010`,
      outcome: "created",
      problem: null,
      creates_workplace: first.workplace_name,
    },
  ]]);
  assertEquals(created.body.summary, { total: 1, created: 1 });
  const stored = await get(key);
  assertEquals(pick(stored, "status", "qty_desired", "version", "timestamp_ms", "change_type", "source_conflict"), {
    status: "RELEASED",
    qty_desired: 50,
    version: 1,
    timestamp_ms: at("06:00"),
    change_type: "INSERT",
    source_conflict: false,
  });
  assertEquals(await imported([first]), ["skipped_stale"]);
  const older = { ...first, timestamp_ms: at("05:59:59"), qty_desired: 10 };
  assertEquals(await imported([older, { ...first, qty_desired: 10 }]), ["skipped_stale", "skipped_stale"]);
  assertEquals(await get(key), stored);

  const newer = {
    ...key,
    timestamp_ms: at("06:01"),
    change_type: "UPDATE",
    qty_desired: 60,
    planned_end_at: at("11:00"),
  };
  const updated = await importRows([newer]);
  assertEquals(updated.body.results[0], {
    index: 0,
    status: 200,
    id: `${key.order_no}/1/0010`,
    outcome: "updated",
    problem: null,
  });
  // what the row leaves out stays
  assertEquals(
    pick(await get(key), "qty_desired", "planned_start_at", "planned_end_at", "activity_code", "status", "change_type"),
    {
      qty_desired: 60,
      planned_start_at: at("08:00"),
      planned_end_at: at("11:00"),
      activity_code: "LASER",
      status: "RELEASED",
      change_type: "UPDATE",
    },
  );
  // null clears
  assertEquals(await imported([{ ...key, timestamp_ms: at("06:02"), activity_code: null, planned_end_at: null }]), [
    "updated",
  ]);
  assertEquals(pick(await get(key), "activity_code", "planned_end_at"), { activity_code: null, planned_end_at: null });
  assertEquals(await eventsOf(stored), []);
});

Deno.test("POST import: creates operations only PLANNED, RELEASED, or CANCELLED with an event", async () => {
  const statuses = [undefined, null, "PLANNED", "RELEASED", "CANCELLED", "IN_PROGRESS", "ON_HOLD", "FINISHED"];
  const rows = statuses.map((status) => row({ status }));
  const answer = await importRows(rows);
  assertEquals(answer.status, 207);
  assertEquals(outcomes(answer), [...Array(5).fill("created"), ...Array(3).fill("rejected")]);
  assertEquals(answer.body.summary, { total: 8, created: 5, rejected: 3 });
  const problem = answer.body.results[5]?.problem as ProblemBody;
  assertEquals([problem.status, problem.code, problem.errors?.[0]?.pointer], [422, "validation_failed", "/status"]);
  const stored = await Promise.all(rows.slice(0, 5).map(get));
  assertEquals(stored.map(({ status }) => status), ["PLANNED", "PLANNED", "PLANNED", "RELEASED", "CANCELLED"]);
  const events = await Promise.all(stored.map(eventsOf));
  assertEquals(events.map((list) => list.map(({ action_type, reason_code }) => [action_type, reason_code])), [
    [],
    [],
    [],
    [],
    [["CANCEL", "UNSPECIFIED"]],
  ]);
  for (const one of rows.slice(5)) assertProblem(await server.get(operationPath(one)), 404, "not_found");
});

Deno.test("POST import: releases and cancels operations before work begins, each with an event", async () => {
  const rows = [row({ status: "PLANNED" }), row({ status: "PLANNED" }), row(), row()];
  await imported(rows);
  const [, , , held] = await Promise.all(rows.map(get));
  assertExists(held);
  await reported(held, ["HOLD", { reason_code: "QUALITY" }]);
  const statuses = ["RELEASED", "CANCELLED", "CANCELLED", "CANCELLED"];
  const next = rows.map((one, index) => ({ ...keyOf(one), status: statuses[index], timestamp_ms: at("06:10") }));
  assertEquals(await imported(next), Array(4).fill("updated"));
  const stored = await Promise.all(rows.map(get));
  assertEquals(stored.map(({ status, source_conflict }) => [status, source_conflict]), [
    ["RELEASED", false],
    ["CANCELLED", false],
    ["CANCELLED", false],
    ["CANCELLED", false],
  ]);
  const events = await Promise.all(stored.map(eventsOf));
  assertEquals(events.map((list) => list.map(({ action_type, status_before }) => [action_type, status_before])), [
    [["RELEASE", "PLANNED"]],
    [["CANCEL", "PLANNED"]],
    [["CANCEL", "RELEASED"]],
    [["HOLD", "RELEASED"], ["CANCEL", "ON_HOLD"]],
  ]);
});

Deno.test("POST import: never overwrites the execution", async () => {
  const first = row();
  const key = keyOf(first);
  await imported([first]);
  const before = await reported(
    await get(key),
    ["START", { occurred_at: at("08:00") }],
    ["REPORT_QUANTITY", { qty_good: 20, qty_scrap: 2 }],
    ["STOP", { occurred_at: at("09:00"), reason_code: "BREAK" }],
  );
  const floor = (operation: Operation) =>
    pick(
      operation,
      "status",
      "hold_kind",
      "hold_reason_code",
      "qty_processed",
      "qty_scrap",
      "actual_start_at",
      "actual_end_at",
      "t_actual_setup_min",
      "t_actual_processing_min",
    );
  const intruding = {
    ...first,
    timestamp_ms: at("09:30"),
    change_type: "UPDATE",
    qty_desired: 40,
    qty_processed: 7,
    qty_scrap: 7,
    actual_start_at: at("01:00"),
    actual_end_at: at("02:00"),
    t_actual_setup_min: 99,
    t_actual_processing_min: 99,
    t_actual_lead_min: 99,
  };
  for (const [index, status] of ["PLANNED", "RELEASED", "IN_PROGRESS", "ON_HOLD", "FINISHED"].entries()) {
    const timestamp_ms = new Date(Date.parse(at("09:30")) + index).toISOString();
    assertEquals(
      await imported([{ ...intruding, status, timestamp_ms }], { mode: index % 2 ? "takeover" : "update" }),
      [
        "updated",
      ],
    );
  }
  const after = await get(key);
  assertEquals(floor(after), floor(before));
  assertEquals([after.qty_desired, after.source_conflict], [40, false]);
  assertEquals((await eventsOf(after)).length, 3);
  // fewer than were made already: the plan cannot become that
  const answer = await importRows([{ ...key, timestamp_ms: at("10:00"), qty_desired: 19 }]);
  assertEquals((answer.body.results[0]?.problem as ProblemBody).code, "invalid_quantity");
  assertEquals((await get(key)).qty_desired, 40);
});

Deno.test("POST import: keeps and applies the stored tolerance when the row has none", async () => {
  const operation = await newOperation({ qty_desired: 50, overrun_tolerance_pct: 10 });
  await reported(operation, ["START"], ["REPORT_QUANTITY", { qty_good: 55 }]);
  const next = { ...keyOf(operation), overrun_tolerance_pct: null, timestamp_ms: at("06:00") };
  assertEquals(await imported([next]), ["updated"]);
  assertEquals((await read(operation)).overrun_tolerance_pct, 10);
});

Deno.test("POST import PLANNED: takes back the release of an operation that never started, with an event", async () => {
  const rows = [row(), row({ status: "PLANNED" }), row(), row()];
  await imported(rows);
  const [created, released, held, started] = await Promise.all(rows.map(get));
  assertExists(created);
  assertExists(released);
  assertExists(held);
  assertExists(started);
  await reported(released, ["RELEASE"]);
  await reported(held, ["HOLD", { reason_code: "QUALITY" }]);
  await reported(started, ["START"]);
  const back = rows.map((one) => ({ ...keyOf(one), status: "PLANNED", qty_desired: 40, timestamp_ms: at("06:10") }));
  const rehearsed = await importRows(back, { query: { dry_run: true } });
  assertEquals(outcomes(rehearsed), Array(4).fill("updated"));
  assertEquals((await get(created)).status, "RELEASED");
  assertEquals(await imported(back), Array(4).fill("updated"));

  const stored = await Promise.all(rows.map(get));
  assertEquals(stored.map(({ status, qty_desired }) => [status, qty_desired]), [
    ["PLANNED", 40],
    ["PLANNED", 40],
    ["ON_HOLD", 40],
    ["IN_PROGRESS", 40],
  ]);
  const events = await Promise.all(stored.map(eventsOf));
  const told = events.map((list) =>
    list.map(({ action_type, status_before, status_after, changes }) => [
      `${action_type} ${status_before} -> ${status_after}`,
      changes,
    ])
  );
  const withdrawal = ["CORRECT RELEASED -> PLANNED", { status: { before: "RELEASED", after: "PLANNED" } }];
  assertEquals(told, [
    [withdrawal],
    [["RELEASE PLANNED -> RELEASED", null], withdrawal],
    [["HOLD RELEASED -> ON_HOLD", null]],
    [["START RELEASED -> IN_PROGRESS", null]],
  ]);
  // nothing has begun: no minutes, no times
  assertEquals(pick(stored[0] ?? created, "actual_start_at", "t_actual_processing_min", "t_actual_setup_min"), {
    actual_start_at: null,
    t_actual_processing_min: null,
    t_actual_setup_min: null,
  });
  assertProblem(
    await server.post(`${operationPath(created)}/transitions`, { action: "START" }),
    422,
    "invalid_state_transition",
  );
  // and forth, and back in one call; a row without a status says nothing of it
  const again = { ...keyOf(created), timestamp_ms: at("06:20") };
  assertEquals(
    await imported([{ ...again, status: "RELEASED" }, { ...again, timestamp_ms: at("06:21"), qty_desired: 30 }]),
    [
      "updated",
      "updated",
    ],
  );
  assertEquals((await get(created)).status, "RELEASED");
  assertEquals(
    await imported([
      { ...again, status: "PLANNED", timestamp_ms: at("06:22") },
      { ...again, status: "RELEASED", timestamp_ms: at("06:23") },
      { ...again, status: null, timestamp_ms: at("06:24") },
    ]),
    Array(3).fill("updated"),
  );
  assertEquals((await get(created)).status, "RELEASED");
  assertEquals((await reported(await get(created), ["START"], ["COMPLETE"])).status, "FINISHED");
});

Deno.test("POST import PLANNED: either takes the release back or comes too late when the work starts at the same time", async () => {
  const rows = Array.from({ length: 12 }, () => row());
  await imported(rows);
  const operations = await Promise.all(rows.map(get));
  const [answer, starts] = await Promise.all([
    importRows(rows.map((one) => ({ ...keyOf(one), status: "PLANNED", timestamp_ms: at("07:00") }))),
    Promise.all(operations.map((one) => server.post(`${operationPath(one)}/transitions`, { action: "START" }))),
  ]);
  assertEquals(outcomes(answer), Array(12).fill("updated"));
  const stored = await Promise.all(rows.map(get));
  assertEquals(
    stored.map(({ status }) => status),
    starts.map(({ status }) => status === 201 ? "IN_PROGRESS" : "PLANNED"),
  );
});

// ---------------------------------------------------------------- unknown workplaces

Deno.test("POST import: names the workplace that a row creates, in a dry run too, or rejects the row when told so", async () => {
  const known = row();
  await imported([known]);
  const fresh = newWorkplace();
  const rows = [
    { ...keyOf(known), workplace_name: fresh, timestamp_ms: at("06:10") },
    row({ workplace_name: known.workplace_name }),
    row({ workplace_name: fresh }),
    { ...keyOf(known), timestamp_ms: at("06:20"), qty_desired: 5 },
    row({ workplace_name: newWorkplace(), qty_desired: -1 }),
    { ...keyOf(row()), workplace_name: newWorkplace(), change_type: "DELETE", timestamp_ms: at("06:00") },
  ];
  const created = ({ body }: Answer<Results>) => body.results.map(({ creates_workplace }) => creates_workplace);
  const rejected = await importRows(rows, { query: { unknown_workplaces: "reject" } });
  assertEquals(outcomes(rejected), ["rejected", "created", "rejected", "updated", "rejected", "deleted"]);
  assertEquals(created(rejected), Array(6).fill(undefined));
  const { code, detail } = rejected.body.results[2]?.problem as ProblemBody;
  assertEquals([code, detail], [
    "validation_failed",
    `unknown_workplace at /workplace_name: There is no workplace "${fresh}": create it first, or import with unknown_workplaces=create`,
  ]);
  assertProblem(await server.get(`/workplaces/v1/${fresh}`), 404, "not_found");

  const newer = rows.map((one) => ({ ...one, timestamp_ms: at("07:00") }));
  newer.splice(3, 1);
  const told = [fresh, undefined, fresh, undefined, undefined];
  assertEquals(created(await importRows(newer, { query: { dry_run: true } })), told);
  assertProblem(await server.get(`/workplaces/v1/${fresh}`), 404, "not_found");
  assertEquals(created(await importRows(newer)), told);
  assertEquals((await server.get(`/workplaces/v1/${fresh}`)).status, 200);
  assertEquals(
    created(await importRows(newer.map((one) => ({ ...one, timestamp_ms: at("08:00") })))),
    Array(5).fill(undefined),
  );
});

// ---------------------------------------------------------------- deletions and conflicts

Deno.test("POST import DELETE: deletes an operation without work, and only newer rows create it again", async () => {
  const first = row();
  const key = keyOf(first);
  await imported([first]);
  const operation = await get(key);
  const gone = { ...key, change_type: "DELETE", timestamp_ms: at("07:00") };
  assertEquals(await imported([gone]), ["deleted"]);
  assertProblem(await server.get(operationPath(key)), 404, "not_found");
  assertEquals(await imported([first, gone, { ...first, timestamp_ms: at("06:59") }]), Array(3).fill("skipped_stale"));
  assertProblem(await server.get(operationPath(key)), 404, "not_found");
  assertEquals(await imported([{ ...first, timestamp_ms: at("07:01"), qty_desired: 5 }]), ["created"]);
  const again = await get(key);
  assertEquals(again.qty_desired, 5);
  assert(again.created_at >= operation.created_at);
  // unknown so far: its insert may still come, late
  const unknown = row();
  assertEquals(await imported([{ ...keyOf(unknown), change_type: "DELETE", timestamp_ms: at("07:00") }]), ["deleted"]);
  assertEquals(await imported([unknown]), ["skipped_stale"]);
  assertProblem(await server.get(operationPath(unknown)), 404, "not_found");
});

Deno.test("POST import DELETE and CANCELLED: flag the operation and keep it when work has begun", async () => {
  const ways: [string, Parameters<typeof reported>[1][]][] = [
    ["running", [["START"]]],
    ["paused", [["START"], ["STOP"]]],
    ["blocked", [["START"], ["HOLD", { reason_code: "QUALITY" }]]],
    ["finished", [["START"], ["COMPLETE"]]],
  ];
  for (const [name, way] of ways) {
    for (const taking of [{ change_type: "DELETE" }, { change_type: "UPDATE", status: "CANCELLED", qty_desired: 60 }]) {
      const first = row();
      const key = keyOf(first);
      await imported([first]);
      const before = await reported(await get(key), ...way);
      const answer = await importRows([{ ...key, ...taking, timestamp_ms: at("07:00") }]);
      assertEquals([answer.status, outcomes(answer), answer.body.results[0]?.status], [200, ["flagged"], 200], name);
      const after = await get(key);
      assertEquals(pick(after, "status", "source_conflict", "qty_processed"), {
        status: before.status,
        source_conflict: true,
        qty_processed: before.qty_processed,
      });
      assertEquals(after.qty_desired, taking.qty_desired ?? 50);
      assertEquals((await eventsOf(after)).length, way.length);
      assertEquals(await imported([{ ...key, ...taking, timestamp_ms: at("07:00") }]), ["skipped_stale"]);
      assertEquals(await imported([{ ...key, status: "RELEASED", timestamp_ms: at("07:01") }]), ["updated"]);
      assertEquals((await get(key)).source_conflict, false);
    }
  }
});

Deno.test("POST import CANCELLED: succeeds when the reason UNSPECIFIED is inactive", async () => {
  const path = "/reason-codes/v1/CANCEL/UNSPECIFIED";
  const first = row();
  await imported([first]);
  assertEquals((await server.patch(path, { active: false })).status, 200);
  try {
    assertEquals(await imported([{ ...keyOf(first), status: "CANCELLED", timestamp_ms: at("07:00") }]), ["updated"]);
    assertEquals((await get(first)).status, "CANCELLED");
  } finally {
    assertEquals((await server.patch(path, { active: true })).status, 200);
  }
});

// ---------------------------------------------------------------- many rows

Deno.test("POST import: applies several rows of one operation in the order of their source times", async () => {
  const first = row({ planned_start_at: at("08:00") });
  const key = keyOf(first);
  const rows = [
    { ...key, timestamp_ms: at("06:02"), qty_desired: 70 },
    first,
    { ...key, timestamp_ms: at("06:01"), planned_start_at: at("09:00"), qty_desired: 60 },
    first,
  ];
  assertEquals(await imported(rows), ["updated", "created", "updated", "skipped_stale"]);
  assertEquals(pick(await get(key), "qty_desired", "planned_start_at", "activity_code", "timestamp_ms"), {
    qty_desired: 70,
    planned_start_at: at("09:00"),
    activity_code: "LASER",
    timestamp_ms: at("06:02"),
  });
  // equal rows are taken once, however many they are: the others are stale, or as bad as the first
  const often = row({ workplace_name: first.workplace_name });
  const bad = {
    ...often,
    timestamp_ms: at("06:05"),
    status: "RELEASED",
    overrun_tolerance_pct: 0,
    qty_desired: 1,
    planned_start_at: at("09:00"),
    planned_end_at: at("08:00"),
  };
  const repeated = await importRows([...Array(499).fill(often), bad, ...Array(499).fill(often), bad]);
  assertEquals(repeated.body.summary, { total: 1000, created: 1, skipped_stale: 997, rejected: 2 });
  assertEquals(repeated.body.results[999], {
    ...repeated.body.results[499] as typeof repeated.body.results[0],
    index: 999,
  });
  // made, taken away and made again
  const other = row();
  const story = [
    { ...other, timestamp_ms: at("06:02"), qty_desired: 5 },
    { ...keyOf(other), change_type: "DELETE", timestamp_ms: at("06:01") },
    other,
  ];
  assertEquals(await imported(story), ["created", "deleted", "created"]);
  assertEquals((await get(other)).qty_desired, 5);
  // a bad row does not make the good one before it stale
  const mixed = row();
  const answer = await importRows([mixed, {
    ...mixed,
    timestamp_ms: at("06:01"),
    planned_start_at: at("09:00"),
    planned_end_at: at("08:00"),
  }]);
  assertEquals(outcomes(answer), ["created", "rejected"]);
  assertEquals((await get(mixed)).timestamp_ms, at("06:00"));
});

Deno.test("POST import: rejects each invalid row with its problem and imports the others", async () => {
  const good = row();
  const bad: [Row, code: string, pointer: string | undefined][] = [
    [row({ qty_desired: -1 }), "validation_failed", "/qty_desired"],
    [row({ qty_desired: "50" }), "validation_failed", "/qty_desired"],
    [row({ timestamp_ms: undefined }), "validation_failed", "/timestamp_ms"],
    [row({ timestamp_ms: "yesterday" }), "validation_failed", "/timestamp_ms"],
    [row({ asset_id: 0 }), "validation_failed", "/asset_id"],
    [row({ order_no: "" }), "validation_failed", "/order_no"],
    [row({ status: "DONE" }), "validation_failed", "/status"],
    [row({ colour: "red" }), "validation_failed", "/colour"],
    [row({ planned_start_at: at("09:00"), planned_end_at: at("09:00") }), "validation_failed", "/planned_end_at"],
    [row({ overrun_tolerance_pct: 101 }), "validation_failed", "/overrun_tolerance_pct"],
  ];
  const rows: unknown[] = [...bad.map(([one]) => one), 5, null, "text", [], good];
  const answer = await importRows(rows);
  assertEquals(answer.status, 207);
  assertEquals(answer.body.summary, { total: rows.length, created: 1, rejected: rows.length - 1 });
  assertEquals(answer.body.results.map(({ index }) => index), rows.map((_, index) => index));
  for (const [index, [, code, pointer]] of bad.entries()) {
    const { status, problem } = answer.body.results[index] ?? {};
    const { errors, ...said } = problem as ProblemBody;
    assertEquals([status, said.code, errors?.map((error) => error.pointer)], [422, code, [pointer]], `row ${index}`);
    assertEquals(said.instance, answer.headers.get("x-request-id"));
  }
  assertEquals((await get(good)).status, "RELEASED");
  for (const none of [[], {}, "rows", 7]) assertProblem(await importRows(none), 422, "validation_failed");
  const many = await importRows(Array.from({ length: 1001 }, () => ({})));
  assertEquals(assertProblem(many, 422, "validation_failed").limit, 1000);
});

Deno.test("POST import dry_run: predicts the results of random histories", async () => {
  const order_no = unique("I");
  const workplace_name = newWorkplace();
  for (const operation_no of ["0010", "0020"]) await imported([row({ order_no, operation_no, workplace_name })]);
  await reported(await get({ order_no, asset_id: 1, operation_no: "0020" }), ["START"]);
  const oneRow = fc.record({
    order_no: fc.constant(order_no),
    asset_id: fc.constant(1),
    operation_no: fc.constantFrom("0010", "0020", "0030", "0040"),
    workplace_name: fc.constant(workplace_name),
    qty_desired: fc.constantFrom(5, 50, null),
    qty_processed: fc.constantFrom(0, 3, 9),
    qty_scrap: fc.constantFrom(0, 1),
    status: fc.constantFrom("PLANNED", "RELEASED", "CANCELLED", "ON_HOLD", "IN_PROGRESS", "FINISHED"),
    planned_start_at: fc.constantFrom(at("08:00"), at("12:00")),
    planned_end_at: fc.constantFrom(at("10:00"), at("14:00")),
    timestamp_ms: fc.nat(20).map((minute) => at(`07:${String(minute + 10)}`)),
    change_type: fc.constantFrom("INSERT", "UPDATE", "UPDATE", "DELETE"),
  }, { requiredKeys: ["order_no", "asset_id", "operation_no", "timestamp_ms", "change_type"] });
  let turn = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(oneRow, { minLength: 4, maxLength: 24 }),
      fc.boolean(),
      withinTime(8_000, async (drawn, isTakeover) => {
        // each call is about operations of its own and the two that are known, an hour after the call before
        turn++;
        const rows = drawn.map((one) => ({
          ...one,
          operation_no: one.operation_no < "0030" ? one.operation_no : `${turn}-${one.operation_no}`,
          timestamp_ms: new Date(Date.parse(one.timestamp_ms) + turn * 3_600_000 - 24 * 3_600_000).toISOString(),
        }));
        const query: Record<string, string> = isTakeover ? { mode: "takeover" } : {};
        const told = await importRows(rows, { query: { ...query, dry_run: true } });
        const done = await importRows(rows, { query });
        assertEquals(told.status, done.status);
        assertEquals(
          told.body.results.map(({ problem: _, ...rest }) => rest),
          done.body.results.map(({ problem: _, ...rest }) => rest),
          JSON.stringify(rows),
        );
      }),
    ),
    { numRuns: 20, endOnFailure: true },
  );
});

Deno.test({
  name: "POST import dry_run: neither waits for other requests nor blocks them",
  ignore: !hasDatabase,
  async fn() {
    const known = row();
    await imported([known]);
    await withDatabase(async (sql: postgres.Sql) => {
      await sql.begin(async (sql) => {
        await sql`select pg_advisory_xact_lock(hashtext('app.apply_feed'))`;
        await sql`select from public.mes_operations where order_no = ${known.order_no} for update`;
        const rows = [{ ...known, qty_desired: 60, timestamp_ms: at("07:00") }, row()];
        const rehearsed = await importRows(rows, { query: { dry_run: true } });
        assertEquals([rehearsed.status, outcomes(rehearsed)], [200, ["updated", "created"]]);
      });
    });
  },
});

Deno.test("POST import: rejects a source time more than 24 h ahead", async () => {
  const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const answer = await importRows([row({ timestamp_ms: inHours(24.5) }), row({ timestamp_ms: inHours(23.5) })]);
  assertEquals([answer.status, outcomes(answer)], [207, ["rejected", "created"]]);
  const problem = answer.body.results[0]?.problem as ProblemBody;
  assertEquals([problem.code, problem.errors?.map(({ pointer, code }) => [pointer, code])], [
    "validation_failed",
    [["/timestamp_ms", "in_future"]],
  ]);
  assertMatch(problem.detail, /^in_future at \/timestamp_ms: "\S+" is 24 h 30 min ahead of the server's clock, \S+Z$/);
});

Deno.test("POST import dry_run: answers the same, writes nothing", async () => {
  const known = row({ status: "PLANNED" });
  const begun = row();
  await imported([known, begun]);
  await reported(await get(begun), ["START"]);
  const fresh = row({ order_no: known.order_no, operation_no: "0020" });
  const away = row();
  await imported([away]);
  const rows = [
    { ...known, status: "RELEASED", timestamp_ms: at("07:00") },
    { ...keyOf(begun), change_type: "DELETE", timestamp_ms: at("07:00") },
    { ...keyOf(away), change_type: "DELETE", timestamp_ms: at("07:00") },
    fresh,
    known,
    row({ qty_desired: -1 }),
    row({ status: "FINISHED" }),
  ];
  const before = await Promise.all([known, begun, away].map(get));
  const rehearsed = await importRows(rows, { query: { dry_run: true } });
  assertEquals(outcomes(rehearsed), [
    "updated",
    "flagged",
    "deleted",
    "created",
    "skipped_stale",
    "rejected",
    "rejected",
  ]);
  const lasting = (operation: OperationWithActions) => ({ ...operation, t_actual_processing_min: null });
  assertEquals((await Promise.all([known, begun, away].map(get))).map(lasting), before.map(lasting));
  assertProblem(await server.get(operationPath(fresh)), 404, "not_found");
  assertProblem(await server.get(`/workplaces/v1/${fresh.workplace_name}`), 404, "not_found");
  const real = await importRows(rows);
  const anyone = ({ body, status }: Answer<Results>) => ({
    status,
    ...body,
    results: body.results.map(({ problem, ...rest }) => ({ ...rest, code: (problem as ProblemBody | null)?.code })),
  });
  assertEquals(anyone(real), anyone(rehearsed));
  assertProblem(await server.get(operationPath(away)), 404, "not_found");
});

Deno.test("POST import: imports 1000 rows in one request, and skips them when repeated", async () => {
  const order_no = unique("I");
  const workplace_name = newWorkplace();
  const rows = Array.from({ length: 1000 }, (_, index) => ({
    order_no,
    asset_id: 1 + index % 4,
    operation_no: String(10 * Math.floor(index / 4)).padStart(6, "0"),
    workplace_name,
    qty_desired: index,
    status: index % 2 ? "PLANNED" : "RELEASED",
    timestamp_ms: at("06:00"),
    planned_start_at: at("08:00"),
  }));
  const first = await importRows(rows);
  assertEquals([first.status, first.body.summary], [200, { total: 1000, created: 1000 }]);
  const again = await importRows(rows.toReversed());
  assertEquals([again.status, again.body.summary], [200, { total: 1000, skipped_stale: 1000 }]);
  const released = await importRows(rows.map((one) => ({ ...one, status: "RELEASED", timestamp_ms: at("06:01") })));
  assertEquals(released.body.summary, { total: 1000, updated: 1000 });
  const { headers } = await server.get("/operations/v1", {
    query: { order_no, status: "RELEASED", limit: 1, count: "exact" },
  });
  assertEquals(headers.get("x-total-count"), "1000");
});

Deno.test("POST import: leads to the same result in any order, number of times and portions", async () => {
  // full rows of four operations; the source cancels for good, as the lifecycle does
  const kinds = fc.constantFrom("PLANNED", "RELEASED", "CANCELLED", "DELETE");
  const history = fc.array(fc.tuple(kinds, fc.nat(99)), { minLength: 1, maxLength: 5 });
  const feeds = fc.tuple(history, history, history, history);
  await fc.assert(
    fc.asyncProperty(feeds, fc.infiniteStream(fc.nat(1_000_000)), async (histories, chance) => {
      const workplace_name = newWorkplace();
      const below = (limit: number) => (chance.next().value ?? 0) % limit;
      const feed = (order_no: string): Row[] =>
        histories.flatMap((changes, operation) => {
          let status = "PLANNED";
          return changes.map(([kind, qty_desired], turn) => {
            if (kind !== "DELETE" && status !== "CANCELLED") status = kind;
            return {
              order_no,
              asset_id: 1,
              operation_no: `00${operation + 1}0`,
              timestamp_ms: new Date(Date.parse(at("06:00")) + turn * 1000).toISOString(),
              ...(kind === "DELETE" ? { change_type: "DELETE" } : { workplace_name, qty_desired, status }),
            };
          });
        });
      const end = async (order_no: string) => {
        const { body } = await server.get<OperationWithActions[]>("/operations/v1", { query: { order_no } });
        return body.map((operation) => ({ ...stateOf(operation), order_no: "" }));
      };
      const orderly = unique("I");
      for (const one of feed(orderly)) await importRows([one]);
      const shuffled = unique("I");
      const rows = feed(shuffled);
      const sent = [...rows, ...rows.filter(() => below(2) === 0)].map((one) => ({ one, rank: below(1_000_000) }))
        .toSorted((a, b) => a.rank - b.rank).map(({ one }) => one);
      while (sent.length > 0) {
        const { body } = await importRows(sent.splice(0, 1 + below(6)));
        assertEquals(body.summary.rejected, undefined);
      }
      assertEquals(await end(shuffled), await end(orderly));
    }),
    // every run sends up to 60 requests: a counterexample is printed as it is, not shrunk
    { numRuns: 12, endOnFailure: true },
  );
});

// ---------------------------------------------------------------- takeover

Deno.test("POST import mode=takeover: imports rows as they are, each with one opening event", async () => {
  const workplace_name = newWorkplace();
  const rows = [
    row({ workplace_name, status: "PLANNED" }),
    row({ workplace_name, status: "RELEASED" }),
    row({
      workplace_name,
      status: "IN_PROGRESS",
      qty_processed: 22,
      qty_scrap: 2,
      actual_start_at: at("08:00"),
      t_actual_setup_min: 5,
    }),
    row({
      workplace_name,
      status: "ON_HOLD",
      qty_processed: 10,
      actual_start_at: at("07:00"),
      t_actual_processing_min: 45.5,
    }),
    row({
      workplace_name,
      status: "FINISHED",
      qty_processed: 50,
      actual_start_at: at("06:00"),
      actual_end_at: at("07:30"),
      t_actual_processing_min: 80,
    }),
    row({ workplace_name, status: "CANCELLED" }),
  ];
  assertEquals(await imported(rows, { mode: "takeover" }), Array(6).fill("created"));
  const stored = await Promise.all(rows.map(get));
  assertEquals(stored.map(({ status }) => status), rows.map(({ status }) => status as Operation["status"]));
  const [, , running, paused, finished] = stored;
  assertExists(running);
  assertExists(paused);
  assertExists(finished);
  assertEquals(pick(running, "qty_processed", "qty_scrap", "qty_good", "actual_start_at", "t_actual_setup_min"), {
    qty_processed: 22,
    qty_scrap: 2,
    qty_good: 20,
    actual_start_at: at("08:00"),
    t_actual_setup_min: 5,
  });
  assertEquals(pick(paused, "hold_kind", "t_actual_processing_min", "actual_start_at"), {
    hold_kind: "PAUSED",
    t_actual_processing_min: 45.5,
    actual_start_at: at("07:00"),
  });
  assertEquals(pick(finished, "actual_start_at", "actual_end_at", "t_actual_processing_min", "t_actual_lead_min"), {
    actual_start_at: at("06:00"),
    actual_end_at: at("07:30"),
    t_actual_processing_min: 80,
    t_actual_lead_min: 90,
  });
  const events = await Promise.all(stored.map(eventsOf));
  assertEquals(events.map((list) => list.length), [0, 0, 1, 1, 1, 1]);
  const [opening] = events[2] ?? [];
  assertExists(opening);
  assertEquals(
    pick(opening, "action_type", "op_seq", "status_before", "status_after", "qty_good", "qty_scrap", "changes"),
    {
      action_type: "CORRECT",
      op_seq: 1,
      status_before: null,
      status_after: "IN_PROGRESS",
      qty_good: 20,
      qty_scrap: 2,
      changes: {
        status: { before: null, after: "IN_PROGRESS" },
        qty_processed: { before: null, after: 22 },
        qty_scrap: { before: null, after: 2 },
        actual_start_at: { before: null, after: at("08:00") },
        t_actual_setup_min: { before: null, after: 5 },
      },
    },
  );
  assertEquals((await runsOf(running)).length, 1);
  // once, and then as rows of the ERP
  assertEquals(await imported(rows, { mode: "takeover" }), Array(6).fill("skipped_stale"));
  const done = await reported(paused, ["START"], ["COMPLETE"]);
  assertEquals([done.status, done.qty_good], ["FINISHED", 50]);
});

Deno.test("POST import mode=takeover: rejects impossible rows one by one", async () => {
  const bad: [Row, string][] = [
    [{ status: "FINISHED", actual_start_at: at("09:00"), actual_end_at: at("08:00") }, "/actual_end_at"],
    [{ status: "IN_PROGRESS", actual_start_at: minutesAgo(-60) }, "/actual_start_at"],
    [{ status: "FINISHED", actual_end_at: minutesAgo(-60) }, "/actual_end_at"],
    [{ status: "IN_PROGRESS", actual_start_at: at("08:00"), actual_end_at: at("09:00") }, "/actual_end_at"],
    [{ status: "FINISHED", qty_processed: 51 }, "invalid_quantity"],
    [{ status: "FINISHED", qty_processed: 1, qty_scrap: 2 }, "invalid_quantity"],
  ];
  const good = row({ status: "FINISHED", qty_processed: 52, qty_scrap: 2 });
  const answer = await importRows([...bad.map(([more]) => row(more)), good], { query: { mode: "takeover" } });
  assertEquals(outcomes(answer), [...bad.map(() => "rejected"), "created"]);
  const told = answer.body.results.slice(0, bad.length).map(({ problem }) => {
    const { code, errors } = problem as ProblemBody;
    return errors?.[0]?.pointer ?? code;
  });
  assertEquals(told, bad.map(([, expected]) => expected));
});

// ---------------------------------------------------------------- who

Deno.test("POST import: is for supervisors at their workplaces, and for managers anywhere and for takeovers", async () => {
  const [own, other] = [newWorkplace(), newWorkplace()];
  const [operator, supervisor, manager] = await Promise.all([
    newUser({ workplaces: ["*"] }),
    newUser({ role: "supervisor", workplaces: [own] }),
    newUser({ role: "manager" }),
  ]);
  const rows = [row({ workplace_name: own }), row({ workplace_name: other }), row({ workplace_name: null })];
  assertEquals(
    assertProblem(await importRows(rows, { client: operator.client }), 403, "forbidden").required_role,
    "supervisor",
  );
  const takeover = { client: supervisor.client, query: { mode: "takeover" } };
  assertEquals(assertProblem(await importRows(rows, takeover), 403, "forbidden").required_role, "manager");

  const partly = await importRows(rows, { client: supervisor.client });
  assertEquals([partly.status, outcomes(partly)], [207, ["created", "rejected", "rejected"]]);
  for (const { status, problem } of partly.body.results.slice(1)) {
    assertEquals([status, (problem as ProblemBody).code], [403, "forbidden"]);
  }
  assertEquals(outcomes(await importRows(rows, { client: manager.client })), ["skipped_stale", "created", "created"]);
  assertEquals((await get(rows[0] ?? row())).workplace_name, own);

  // neither to take from another place, nor to put there, nor to delete a hidden operation
  const later = { timestamp_ms: at("07:00") };
  const [mine, theirs] = rows;
  assertExists(mine);
  assertExists(theirs);
  const attempts = await importRows([
    { ...keyOf(theirs), ...later, workplace_name: own },
    { ...keyOf(mine), ...later, workplace_name: other },
    { ...keyOf(theirs), ...later, change_type: "DELETE" },
    { ...keyOf(row()), ...later, change_type: "DELETE" },
  ], { client: supervisor.client });
  assertEquals(attempts.body.results.map(({ status }) => status), [403, 403, 404, 404]);
  const [hidden, missing] = attempts.body.results.slice(2).map(({ problem }) => problem as ProblemBody);
  assertEquals(hidden, missing);
  assertEquals(await Promise.all([mine, theirs].map(async (one) => (await get(one)).workplace_name)), [own, other]);
  const { created_at: _ } = await get(mine);
  assertEquals(
    outcomes(await importRows([{ ...keyOf(mine), ...later, change_type: "DELETE" }], { client: supervisor.client })),
    [
      "deleted",
    ],
  );
});

// ---------------------------------------------------------------- forms

const csvField = (value: unknown) => {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function csv(rows: Row[], { eol = "\n", bom = "" } = {}): string {
  const names = [...new Set(rows.flatMap((one) => Object.keys(one)))];
  return bom + [names, ...rows.map((one) => names.map((name) => one[name]))]
    .map((line) => line.map(csvField).join(",")).join(eol) +
    eol;
}

Deno.test("POST import: imports the same rows from JSON, NDJSON and CSV", async () => {
  const description = 'Cut, "bracket" 4 mm;\nsecond line; ä€😀';
  const make = (order_no: string, workplace_name: string): Row[] => [
    {
      order_no,
      asset_id: 7,
      operation_no: "0010",
      workplace_name,
      activity_description: description,
      qty_desired: 50,
      overrun_tolerance_pct: 2.5,
      t_target_setup_min: 12.25,
      planned_start_at: at("08:00"),
      status: "RELEASED",
      timestamp_ms: at("06:00"),
      change_type: "INSERT",
      reference_url: null,
    },
    {
      order_no,
      asset_id: 8,
      operation_no: "007",
      workplace_name,
      activity_description: null,
      qty_desired: null,
      overrun_tolerance_pct: null,
      t_target_setup_min: 0,
      planned_start_at: null,
      status: "",
      timestamp_ms: at("06:00").replace("Z", "+00:00"),
      change_type: "UPDATE",
      reference_url: "https://dms.example.com/?a=1,2",
    },
    { order_no, asset_id: 9, operation_no: "1e3", workplace_name, qty_desired: "1e3", timestamp_ms: at("06:00") },
  ];
  const forJson = (rows: Row[]) => rows.map((one) => ({ ...one, status: one.status === "" ? null : one.status }));
  const forms: Record<string, [type: string, body: (rows: Row[]) => string]> = {
    JSON: ["application/json", (rows) => JSON.stringify(forJson(rows))],
    "JSON with BOM": ["application/json", (rows) => `\ufeff${JSON.stringify(forJson(rows))}`],
    NDJSON: ["application/x-ndjson", (rows) => forJson(rows).map((one) => JSON.stringify(one)).join("\n")],
    "NDJSON with CRLF, BOM and empty lines": [
      "application/x-ndjson; charset=utf-8",
      (rows) => `\ufeff${forJson(rows).map((one) => JSON.stringify(one)).join("\r\n\r\n")}\r\n`,
    ],
    CSV: ["text/csv", (rows) => csv(rows)],
    "CSV with CRLF and BOM": ["text/csv; charset=utf-8", (rows) => csv(rows, { eol: "\r\n", bom: "\ufeff" })],
  };
  const answers = await Promise.all(
    Object.values(forms).map(async ([type, body]) => {
      const [order_no, workplace_name] = [unique("I"), newWorkplace()];
      const { status, body: { results, summary } } = await server.post<Results>("/operations/v1/import", undefined, {
        rawBody: body(make(order_no, workplace_name)),
        headers: { "content-type": type },
      });
      const { body: stored } = await server.get<OperationWithActions[]>("/operations/v1", { query: { order_no } });
      return {
        status,
        summary,
        results: results.map(({ problem, id: _, creates_workplace, ...rest }) => ({
          ...rest,
          creates_workplace: creates_workplace === workplace_name,
          pointers: (problem as ProblemBody | null)?.errors?.map(({ pointer }) => pointer),
        })),
        stored: stored.map((operation) => ({ ...stateOf(operation), order_no: "", workplace_name: "" })),
      };
    }),
  );
  const [first] = answers;
  assertExists(first);
  assertEquals([first.status, first.summary], [207, { total: 3, created: 2, rejected: 1 }]);
  assertEquals(first.results[2]?.pointers, ["/qty_desired"]);
  const text = first.stored.find(({ asset_id }) => asset_id === 7)?.activity_description;
  assertEquals(text, description);
  for (const [index, answer] of answers.entries()) {
    assertEquals(answer, first, Object.keys(forms)[index]);
  }
});

Deno.test("POST import: reads a number of a CSV only when it has one reading, or when decimal says which", async () => {
  const field = (text: string) => `"${text}"`;
  /** What an import stores as quantity and minutes, or why it does not. */
  async function stored(name: "qty_desired" | "t_target_setup_min", text: string, decimal?: string) {
    const { order_no } = row();
    const { body: { results }, status, text: answer } = await server.post<Results>("/operations/v1/import", undefined, {
      rawBody: `order_no,asset_id,operation_no,timestamp_ms,${name}\n${order_no},1,0010,${at("06:00")},${
        field(text)
      }\n`,
      headers: { "content-type": "text/csv" },
      query: decimal === undefined ? {} : { decimal },
    });
    const problem = results[0]?.problem as ProblemBody | null;
    if (problem !== null) return problem.detail;
    assertEquals(status, 200, answer);
    return (await get({ order_no, asset_id: 1, operation_no: "0010" }))[name];
  }
  const is = (text: string, readings: string) =>
    `unknown_decimal at /qty_desired: "${text}" is ${readings}: send \`decimal\``;
  const isNot = (text: string, decimal: string) =>
    `invalid_number at /qty_desired: "${text}" is not a number with decimal=${decimal}`;
  // deno-fmt-ignore
  const quantities: [text: string, untold: unknown, point: unknown, comma: unknown][] = [
    ["1000",       1000,                                                              1000,                     1000],
    ["50.0",       50,                                                                50,                       isNot("50.0", "comma")],
    ["1.000",      is("1.000", "1 with decimal=point, 1000 with decimal=comma"),      1,                        1000],
    ["1,000",      is("1,000", "1000 with decimal=point, 1 with decimal=comma"),      1000,                     1],
    ["1.000.000",  is("1.000.000", "1000000 with decimal=comma"),                     isNot("1.000.000", "point"), 1000000],
    ["1.000,0",    is("1.000,0", "1000 with decimal=comma"),                          isNot("1.000,0", "point"), 1000],
    ["1 000",      is("1 000", "1000 with decimal=point, 1000 with decimal=comma"),   1000,                     1000],
    ["1\u00a0000", is("1\u00a0000", "1000 with decimal=point, 1000 with decimal=comma"), 1000,                 1000],
    ["1'000",      is("1'000", "1000 with decimal=point, 1000 with decimal=comma"),   1000,                     1000],
    ["1.00.000",   `invalid_type at /qty_desired: must be a number, not "1.00.000"`,  isNot("1.00.000", "point"), isNot("1.00.000", "comma")],
    ["-5",         "too_small at /qty_desired: must be at least 0, not -5",           "too_small at /qty_desired: must be at least 0, not -5", "too_small at /qty_desired: must be at least 0, not -5"],
    ["1.5",        "invalid_type at /qty_desired: must be a whole number, not 1.5",   "invalid_type at /qty_desired: must be a whole number, not 1.5", isNot("1.5", "comma")],
    ["fifty",      `invalid_type at /qty_desired: must be a number, not "fifty"`,     isNot("fifty", "point"),  isNot("fifty", "comma")],
  ];
  for (const [text, untold, point, comma] of quantities) {
    const read = await Promise.all(
      [undefined, "point", "comma"].map((decimal) => stored("qty_desired", text, decimal)),
    );
    assertEquals(read, [untold, point, comma], text);
  }
  assertEquals(await stored("t_target_setup_min", "1,5", "comma"), 1.5);
  assertEquals(await stored("t_target_setup_min", "1.234,5", "comma"), 1234.5);
  assertEquals(await stored("t_target_setup_min", "1,234.5", "point"), 1234.5);
  assertEquals(await stored("t_target_setup_min", "0.125"), 0.125);
  assertMatch(String(await stored("t_target_setup_min", "1,5")), /^unknown_decimal at .* is 1.5 with decimal=comma/);
  assertProblem(await importRows([row()], { query: { decimal: "dot" } }), 422, "validation_failed");
});

Deno.test("POST import: takes milliseconds since 1970 as timestamp_ms from JSON, NDJSON and CSV, but no seconds", async () => {
  const ms = Date.parse(at("06:00"));
  const one = row({ timestamp_ms: ms });
  assertEquals(await imported([one]), ["created"]);
  assertEquals((await get(one)).timestamp_ms, at("06:00"));
  assertEquals(await imported([{ ...one, timestamp_ms: at("06:00") }]), ["skipped_stale"]);
  const send = (type: string, rawBody: string) =>
    server.post<Results>("/operations/v1/import", undefined, { rawBody, headers: { "content-type": type } });
  const line = row({ timestamp_ms: ms + 1 });
  assertEquals((await send("application/x-ndjson", JSON.stringify(line))).status, 200);
  assertEquals((await get(line)).timestamp_ms, at("06:00").replace("000Z", "001Z"));
  const { order_no } = row();
  assertEquals(
    (await send("text/csv", `order_no,asset_id,operation_no,timestamp_ms\n${order_no},1,0010,${ms}\n`)).status,
    200,
  );
  assertEquals((await get({ order_no, asset_id: 1, operation_no: "0010" })).timestamp_ms, at("06:00"));

  const wrong: [unknown, string][] = [
    [
      ms / 1000,
      "too_small at /timestamp_ms: must be at least 100000000000 milliseconds since 1970: fewer look like seconds",
    ],
    [0, "too_small at /timestamp_ms"],
    [-ms, "too_small at /timestamp_ms"],
    [253_402_300_800_000, "too_big at /timestamp_ms: must lie before the year 10000"],
    [ms + 0.5, "invalid_union at /timestamp_ms"],
    [String(ms), "invalid_union at /timestamp_ms"],
    [true, "invalid_union at /timestamp_ms: must be an RFC 3339 date and time with an offset, or a whole number"],
    [Date.now() + 25 * 3_600_000, "in_future at /timestamp_ms"],
  ];
  const answer = await importRows(wrong.map(([timestamp_ms]) => row({ timestamp_ms })));
  assertEquals(outcomes(answer), wrong.map(() => "rejected"));
  for (const [index, [value, start]] of wrong.entries()) {
    const { detail } = answer.body.results[index]?.problem as ProblemBody;
    assert(detail.startsWith(start), `${value}: ${detail}`);
  }
});

Deno.test("POST import: rejects a malformed line alone, and malformed CSV and other types as a whole", async () => {
  const good = row();
  const send = (type: string | null, rawBody: string) =>
    server.post<Results>("/operations/v1/import", undefined, { rawBody, headers: { "content-type": type } });
  const lines = [JSON.stringify(good), "{", '{"a":1,"a":2}', "[1]", '{"order_no":"\\u0000"}'];
  const answer = await send("application/x-ndjson", lines.join("\n"));
  assertEquals([answer.status, outcomes(answer)], [207, ["created", ...Array(4).fill("rejected")]]);
  assertEquals(answer.body.results.slice(1).map(({ status, problem }) => [status, (problem as ProblemBody).code]), [
    [400, "malformed_json"],
    [400, "malformed_json"],
    [422, "validation_failed"],
    [422, "validation_failed"],
  ]);
  const quote = "has a quote that is neither doubled nor at an end of its field, or is not closed";
  const broken = {
    'order_no,asset_id\n"X,1': `line 2 ${quote}`,
    "order_no,asset_id\nX": "a row has 1 fields, the header line 2",
    'order_no,asset_id\nX"Y,1': `line 2 ${quote}`,
  };
  for (const [body, fault] of Object.entries(broken)) {
    const { detail } = assertProblem(await send("text/csv", body), 400, "malformed_request");
    assertEquals(detail, `The body is not CSV: ${fault}`);
  }
  for (const separator of [";", "\t", "|"]) {
    const table = [["order_no", "t_target_setup_min"], ["X", "12,5"]].map((fields) => fields.join(separator)).join(
      "\n",
    );
    const { detail } = assertProblem(await send("text/csv", table), 400, "malformed_request");
    const header = JSON.stringify(`order_no${separator}t_target_setup_min`);
    assertEquals(detail, `The header line has one field, ${header}: the separator of this endpoint is the comma`);
  }
  assertProblem(await send("application/json", "[{]"), 400, "malformed_json");
  assertProblem(await send("text/csv", ""), 400, "malformed_request");
  assertProblem(await send("text/csv", "order_no,asset_id\n"), 422, "validation_failed");
  assertProblem(await send("application/x-ndjson", "\n \n"), 422, "validation_failed");
  for (const type of ["text/plain", "application/xml", null]) {
    assertProblem(await send(type, JSON.stringify([good])), 415, "unsupported_media_type");
  }
});

// ---------------------------------------------------------------- retries and races

Deno.test("POST import: answers the same without effect when it is repeated with its key", async () => {
  const rows = [row(), row({ qty_desired: -1 })];
  const headers = { "idempotency-key": crypto.randomUUID() };
  const rehearsed = await importRows(rows, { headers, query: { dry_run: true } });
  assertEquals(outcomes(rehearsed), ["created", "rejected"]);
  const first = await importRows(rows, { headers });
  assertEquals([first.status, outcomes(first), first.headers.get("idempotency-replayed")], [207, [
    "created",
    "rejected",
  ], null]);
  const again = await importRows(rows, { headers });
  assertEquals([again.status, outcomes(again), again.headers.get("idempotency-replayed")], [207, [
    "created",
    "rejected",
  ], "true"]);
  assertProblem(await importRows([rows[0]], { headers }), 422, "idempotency_key_reused");
});

Deno.test("POST import: imports each row once when 6 requests race with the same rows in opposite orders", async () => {
  const order_no = unique("I");
  const workplaces = [newWorkplace(), newWorkplace(), newWorkplace()];
  const rows = Array.from({ length: 60 }, (_, index) =>
    row({
      order_no,
      operation_no: String(index).padStart(4, "0"),
      workplace_name: workplaces[index % 3],
      status: index % 5 ? "RELEASED" : "CANCELLED",
    }));
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, turn) => importRows(turn % 2 ? rows.toReversed() : rows)),
  );
  assertEquals(answers.map(({ status }) => status), Array(6).fill(200));
  assertEquals(answers.flatMap(outcomes).filter((outcome) => outcome === "created").length, rows.length);
  const { body } = await server.get<Operation[]>("/operations/v1", { query: { order_no, limit: 500 } });
  assertEquals(body.length, rows.length);
  assertEquals(body.filter(({ status }) => status === "CANCELLED").length, 12);
});

Deno.test("POST import: succeeds when the same operations start at the same time", async () => {
  const rows = Array.from({ length: 12 }, () => row());
  await imported(rows);
  const operations = await Promise.all(rows.map(get));
  const [imports, starts] = await Promise.all([
    Promise.all([1, 2, 3, 4].map((turn) =>
      importRows(
        (turn % 2 ? rows : rows.toReversed()).map((one) => ({
          ...one,
          qty_desired: 50 + turn,
          timestamp_ms: at(`07:0${turn}`),
        })),
      )
    )),
    Promise.all(operations.map((operation) => reported(operation, ["START"], ["REPORT_QUANTITY", { qty_good: 1 }]))),
  ]);
  assertEquals(imports.map(({ status }) => status), [200, 200, 200, 200]);
  assertEquals(starts.map(({ status }) => status), Array(12).fill("IN_PROGRESS"));
  for (const operation of await Promise.all(rows.map(get))) {
    assertEquals(pick(operation, "status", "qty_desired", "qty_good", "source_conflict"), {
      status: "IN_PROGRESS",
      qty_desired: 54,
      qty_good: 1,
      source_conflict: false,
    });
  }
  await Promise.all(operations.map((operation) => patched(operation, { status: "ON_HOLD" })));
});
