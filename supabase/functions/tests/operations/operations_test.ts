/** Operations: plan and execution through create, read, PATCH and delete, and conditional requests. */
import {
  type Answer,
  assert,
  assertEquals,
  assertExists,
  assertMatch,
  assertProblem,
  dataApi,
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

/** Events of an operation, oldest first. */
async function eventsOf({ order_no }: Operation): Promise<OperationEvent[]> {
  const { body } = await server.get<OperationEvent[]>("/events/v1", { query: { order_no } });
  return body.toReversed();
}

/** Picks fields of the operation by name. */
function fields<Name extends keyof Operation>(operation: Operation, ...names: Name[]): Pick<Operation, Name> {
  return Object.fromEntries(names.map((name) => [name, operation[name]])) as Pick<Operation, Name>;
}

async function patched(operation: Operation, patch: Record<string, unknown>): Promise<OperationWithActions> {
  const { status, body, text } = await server.patch<OperationWithActions>(operationPath(operation), patch);
  assertEquals(status, 200, text);
  return body;
}

/** A running operation, started an hour ago. */
async function newRunning(overrides: Partial<Operation> = {}): Promise<Operation> {
  const operation = await newOperation(overrides);
  const { status, body, text } = await report(server, operation, "START", { occurred_at: minutesAgo(60) });
  assertEquals(status, 201, text);
  assertExists(body.operation);
  return body.operation;
}

function minutesAgo(minutes: number): string {
  return new Date(Date.now() - minutes * 60_000).toISOString();
}

const pointersOf = (answer: Answer) =>
  assertProblem(answer, 422, "validation_failed").errors?.map(({ pointer }) => pointer).sort();

Deno.test("POST /operations/v1: creates a PLANNED operation without quantities, and all else null, when only the key is given", async () => {
  const key = { order_no: unique("O"), asset_id: 2_147_483_647, operation_no: "0010" };
  const { status, body, headers } = await server.post<OperationWithActions>("/operations/v1", key);
  assertEquals(status, 201);
  assertEquals(headers.get("etag"), '"1"');
  const { created_at, updated_at, allowed_actions, ...rest } = body;
  assertEquals(created_at, updated_at);
  assert(allowed_actions.length > 0);
  assertEquals(rest, {
    ...key,
    status: "PLANNED",
    hold_kind: null,
    hold_reason_code: null,
    reference_url: null,
    activity_code: null,
    activity_description: null,
    workplace_name: null,
    workplace_group: null,
    qty_desired: null,
    qty_processed: 0,
    qty_good: 0,
    qty_scrap: 0,
    qty_parked: 0,
    overrun_tolerance_pct: 0,
    planned_start_at: null,
    planned_end_at: null,
    actual_start_at: null,
    actual_end_at: null,
    t_target_processing_min: null,
    t_target_setup_min: null,
    t_target_lead_min: null,
    t_target_per_piece_min: null,
    t_actual_processing_min: null,
    t_actual_setup_min: null,
    t_actual_lead_min: null,
    timestamp_ms: null,
    change_type: null,
    source_conflict: false,
    version: 1,
  });
});

Deno.test("POST /operations/v1: stores and answers every field when the whole plan is given", async () => {
  const plan = {
    order_no: unique("O"),
    asset_id: 1,
    operation_no: "0010",
    reference_url: "https://dms.example.com/403860",
    activity_code: "LASER",
    activity_description: "Lasersnijden – 3 mm Stähl 😀",
    workplace_name: newWorkplace(),
    workplace_group: "Laser",
    qty_desired: 2_147_483_647,
    overrun_tolerance_pct: 12.5,
    planned_start_at: "2026-11-24T08:00:00.000Z",
    planned_end_at: "2026-11-24T10:00:00.000Z",
    t_target_processing_min: 90.125,
    t_target_setup_min: 0,
    t_target_lead_min: 999_999_999,
    t_target_per_piece_min: 0.000_8,
    timestamp_ms: "1970-01-01T00:00:00.000Z",
    change_type: "INSERT",
    status: "RELEASED",
  };
  const created = await server.post<OperationWithActions>("/operations/v1", plan);
  assertEquals(created.status, 201, created.text);
  const { status, body } = await server.get<OperationWithActions>(operationPath(created.body));
  assertEquals([status, body], [200, created.body]);
  const read = Object.fromEntries(Object.keys(plan).map((field) => [field, Object(body)[field]]));
  assertEquals(read, plan);
});

Deno.test("POST /operations/v1: adds the workplace with its group when it is unknown", async () => {
  const { workplace_name } = await newOperation({ workplace_group: "Bending" });
  assertExists(workplace_name);
  const path = `/rest/v1/workplaces?select=name,workplace_group,capacity,active&name=eq.${workplace_name}`;
  const { body } = await dataApi(server).get(path);
  assertEquals(Object(body), [{ name: workplace_name, workplace_group: "Bending", capacity: null, active: true }]);
});

Deno.test("POST /operations/v1: records one event for earlier work when the operation has some", async () => {
  const operation = await newOperation({
    status: "FINISHED",
    qty_processed: 50,
    qty_scrap: 3,
    actual_start_at: "2025-10-01T08:15:00.000Z",
    actual_end_at: "2025-10-01T10:05:00.000Z",
    t_actual_processing_min: 84.5,
    t_actual_setup_min: 12,
  });
  const expected = { status: "FINISHED", qty_processed: 50, qty_scrap: 3, qty_good: 47, t_actual_lead_min: 110 };
  assertEquals(fields(operation, "status", "qty_processed", "qty_scrap", "qty_good", "t_actual_lead_min"), {
    ...expected,
    status: "FINISHED",
  });
  assertEquals(fields(operation, "t_actual_processing_min", "t_actual_setup_min"), {
    t_actual_processing_min: 84.5,
    t_actual_setup_min: 12,
  });
  const [opening, ...others] = await eventsOf(operation);
  assertEquals(others, []);
  assertEquals(
    [
      opening?.action_type,
      opening?.op_seq,
      opening?.status_before,
      opening?.status_after,
      opening?.qty_good,
      opening?.qty_scrap,
    ],
    ["CORRECT", 1, null, "FINISHED", 47, 3],
  );
  assertEquals(opening?.changes?.qty_processed, { before: null, after: 50 });
});

Deno.test("POST /operations/v1: answers 422 and stores nothing when the plan contradicts itself", async () => {
  const base = { order_no: unique("O"), asset_id: 1, operation_no: "0010" };
  const at = "2026-11-24T08:00:00Z";
  const before = "2026-11-24T07:59:59Z";
  assertEquals(pointersOf(await server.post("/operations/v1", { ...base, planned_start_at: at, planned_end_at: at })), [
    "/planned_end_at",
  ]);
  assertEquals(
    pointersOf(await server.post("/operations/v1", { ...base, planned_start_at: at, planned_end_at: before })),
    ["/planned_end_at"],
  );
  assertEquals(
    pointersOf(
      await server.post("/operations/v1", {
        ...base,
        status: "FINISHED",
        actual_start_at: "2025-11-24T08:00:00Z",
        actual_end_at: "2025-11-24T07:00:00Z",
      }),
    ),
    ["/actual_end_at"],
  );
  assertProblem(await server.get(operationPath(base)), 404, "not_found");
});

Deno.test("POST and PATCH: answer in_future, and change nothing, when timestamp_ms is more than 24 h ahead", async () => {
  const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const key = { order_no: unique("O"), asset_id: 1, operation_no: "0010" };
  const create = (hours: number) => server.post("/operations/v1", { ...key, timestamp_ms: inHours(hours) });
  const operation = await newOperation({ timestamp_ms: "2026-01-01T00:00:00.000Z" });
  const path = operationPath(operation);
  const change = (hours: number) => server.patch(path, { activity_code: "LASER", timestamp_ms: inHours(hours) });
  for (const send of [create, change]) {
    const { errors, detail } = assertProblem(await send(25), 422, "validation_failed");
    assertEquals(errors?.map(({ pointer, code }) => [pointer, code]), [["/timestamp_ms", "in_future"]]);
    assertMatch(String(detail), /is (25 h 0 min|24 h 59 min) ahead of the server's clock/);
  }
  assertProblem(await server.get(operationPath(key)), 404, "not_found");
  const { body } = await server.get<Operation>(path);
  assertEquals(fields(body, "version", "activity_code", "timestamp_ms"), {
    version: 1,
    activity_code: operation.activity_code,
    timestamp_ms: "2026-01-01T00:00:00.000Z",
  });
  assertEquals([(await create(23.5)).status, (await change(23.5)).status], [201, 200]);
});

Deno.test("POST /operations/v1: names every field that the server decides when the body has some", async () => {
  const decided = {
    id: 1,
    version: 7,
    created_at: "2026-01-01T00:00:00Z",
    updated_at: "2026-01-01T00:00:00Z",
    created_by: crypto.randomUUID(),
    qty_good: 1,
    hold_kind: "PAUSED",
    hold_reason_code: "BREAK",
    source_conflict: true,
    allowed_actions: [],
    last_op_seq: 3,
    running_since: "2026-01-01T00:00:00Z",
  };
  const refused = Object.keys(decided).map((field) => `/${field}`).sort();
  const base = { order_no: unique("O"), asset_id: 1, operation_no: "0010" };
  assertEquals(pointersOf(await server.post("/operations/v1", { ...base, ...decided })), refused);
  const operation = await newOperation();
  assertEquals(pointersOf(await server.patch(operationPath(operation), decided)), refused);
  const rename = { order_no: "404000-002", asset_id: 2, operation_no: "0030" };
  assertEquals(pointersOf(await server.patch(operationPath(operation), rename)), [
    "/asset_id",
    "/operation_no",
    "/order_no",
  ]);
});

Deno.test("PATCH: sets the fields of the plan, clears those that are null, and records no event when the plan changes", async () => {
  const operation = await newOperation({ activity_description: "Laser cutting", t_target_setup_min: 15 });
  const place = newWorkplace();
  const changed = await patched(operation, {
    workplace_name: place,
    activity_description: null,
    qty_desired: 60,
    overrun_tolerance_pct: 10,
    planned_end_at: "2026-11-24T10:00:00+01:00",
  });
  const { allowed_actions: _, ...rest } = operation;
  const { allowed_actions: _a, updated_at, ...now } = changed;
  assertEquals(now, {
    ...Object.fromEntries(Object.entries(rest).filter(([field]) => field !== "updated_at")) as Omit<
      Operation,
      "updated_at"
    >,
    workplace_name: place,
    activity_description: null,
    qty_desired: 60,
    overrun_tolerance_pct: 10,
    planned_end_at: "2026-11-24T09:00:00.000Z",
    version: 2,
  });
  assert(updated_at > operation.updated_at);
  assertEquals(await eventsOf(operation), []);
  const cleared = await patched(operation, { workplace_name: null, qty_desired: null, planned_end_at: null });
  assertEquals(fields(cleared, "workplace_name", "qty_desired", "planned_end_at", "version"), {
    workplace_name: null,
    qty_desired: null,
    planned_end_at: null,
    version: 3,
  });
});

Deno.test("PATCH: answers 200 with the same version, and records no event, when nothing changes", async () => {
  const operation = await newRunning();
  const same = await patched(operation, {
    status: "IN_PROGRESS",
    qty_desired: 50,
    qty_processed: 0,
    workplace_name: operation.workplace_name,
    actual_start_at: operation.actual_start_at,
  });
  assertEquals(same.version, operation.version);
  assertEquals((await eventsOf(operation)).length, 1);
});

Deno.test("PATCH: answers 422 when the body is empty, or contradicts the stored plan", async () => {
  const operation = await newOperation({ planned_start_at: "2026-11-24T08:00:00Z" });
  const path = operationPath(operation);
  assertProblem(await server.patch(path, {}), 422, "validation_failed");
  assertProblem(await server.patch(path, []), 422, "validation_failed");
  assertEquals(pointersOf(await server.patch(path, { planned_end_at: "2026-11-24T08:00:00Z" })), ["/planned_end_at"]);
  assertEquals(pointersOf(await server.patch(path, { status: null })), ["/status"]);
  assertEquals(pointersOf(await server.patch(path, { qty_processed: null, qty_scrap: -1 })), [
    "/qty_processed",
    "/qty_scrap",
  ]);
  assertEquals((await server.get<Operation>(path)).body.version, 1);
});

Deno.test("PATCH qty_processed: records the difference as a report when it grows, and as a correction when it shrinks", async () => {
  const operation = await newRunning();
  await patched(operation, { qty_processed: 25 });
  await patched(operation, { qty_processed: 40, qty_scrap: 3 });
  await patched(operation, { qty_scrap: 5 });
  const last = await patched(operation, { qty_processed: 30, note: "Counted again" });
  assertEquals(fields(last, "qty_processed", "qty_scrap", "qty_good", "status"), {
    qty_processed: 30,
    qty_scrap: 5,
    qty_good: 25,
    status: "IN_PROGRESS",
  });
  const events = await eventsOf(operation);
  assertEquals(events.map((event) => [event.op_seq, event.action_type, event.qty_good, event.qty_scrap]), [
    [1, "START", 0, 0],
    [2, "REPORT_QUANTITY", 25, 0],
    [3, "REPORT_QUANTITY", 12, 3],
    [4, "CORRECT", -2, 2],
    [5, "CORRECT", -10, 0],
  ]);
  assertEquals(events[4]?.changes, { qty_processed: { before: 40, after: 30 } });
  assertEquals(events[3]?.changes, { qty_scrap: { before: 3, after: 5 } });
  assertEquals(events[4]?.note, "Counted again");
});

Deno.test("PATCH status IN_PROGRESS: records one START of that time when actual_start_at is given", async () => {
  const operation = await newOperation();
  const actual_start_at = minutesAgo(30);
  const started = await patched(operation, { status: "IN_PROGRESS", actual_start_at });
  assertEquals(fields(started, "status", "actual_start_at"), { status: "IN_PROGRESS", actual_start_at });
  const events = await eventsOf(operation);
  assertEquals(events.map((event) => [event.action_type, event.occurred_at, event.phase]), [
    ["START", actual_start_at, "PROCESSING"],
  ]);
});

Deno.test("PATCH actual_start_at: moves the first run and its minutes by a correction when the operation has started", async () => {
  const operation = await newRunning();
  const stopped_at = minutesAgo(20);
  await report(server, operation, "STOP", { occurred_at: stopped_at });
  const actual_start_at = new Date(Date.parse(operation.actual_start_at ?? "") - 30 * 60_000).toISOString();
  const moved = await patched(operation, { actual_start_at });
  assertEquals(moved.actual_start_at, actual_start_at);
  assertEquals(
    moved.t_actual_processing_min,
    Math.round((Date.parse(stopped_at) - Date.parse(actual_start_at)) / 60) / 1000,
  );
  const correction = (await eventsOf(operation)).at(-1);
  assertEquals(correction?.action_type, "CORRECT");
  assertEquals(correction?.changes, { actual_start_at: { before: operation.actual_start_at, after: actual_start_at } });
  // work was reported before that
  assertProblem(await server.patch(operationPath(operation), { actual_start_at: minutesAgo(1) }), 409, "out_of_order");
});

Deno.test("PATCH: records start, quantities and end in their order when they come together", async () => {
  const operation = await newOperation();
  const [actual_start_at, actual_end_at] = [minutesAgo(60), minutesAgo(5)];
  const running = await patched(operation, { status: "IN_PROGRESS", actual_start_at, qty_processed: 20, qty_scrap: 1 });
  assertEquals(fields(running, "status", "qty_good"), { status: "IN_PROGRESS", qty_good: 19 });
  const done = await patched(operation, { status: "FINISHED", qty_processed: 51, actual_end_at });
  assertEquals(
    fields(done, "status", "qty_processed", "qty_scrap", "actual_start_at", "actual_end_at", "t_actual_lead_min"),
    {
      status: "FINISHED",
      qty_processed: 51,
      qty_scrap: 1,
      actual_start_at,
      actual_end_at,
      t_actual_lead_min: Math.round((Date.parse(actual_end_at) - Date.parse(actual_start_at)) / 60) / 1000,
    },
  );
  const events = await eventsOf(operation);
  assertEquals(events.map(({ action_type }) => action_type), ["START", "REPORT_QUANTITY", "REPORT_QUANTITY", "FINISH"]);
  assertEquals(events.map(({ op_seq }) => op_seq), [1, 2, 3, 4]);
  assertEquals(events.at(-1)?.reason_code, null);
});

Deno.test("PATCH status: records the given reason, and UNSPECIFIED when there is none", async () => {
  const short = await newRunning();
  await patched(short, { status: "FINISHED", qty_processed: 10 });
  assertEquals((await eventsOf(short)).at(-1)?.reason_code, "UNSPECIFIED");

  const full = await newRunning();
  await patched(full, { status: "FINISHED", qty_processed: 50 });
  assertEquals((await eventsOf(full)).at(-1)?.reason_code, null);

  const held = await newOperation();
  const blocked = await patched(held, { status: "ON_HOLD" });
  assertEquals(fields(blocked, "hold_kind", "hold_reason_code"), {
    hold_kind: "BLOCKED",
    hold_reason_code: "UNSPECIFIED",
  });
  const cancelled = await patched(held, {
    status: "CANCELLED",
    reason_code: "ORDER_CANCELLED",
    note: "Customer called",
  });
  assertEquals(fields(cancelled, "hold_kind", "hold_reason_code"), { hold_kind: null, hold_reason_code: null });
  const last = (await eventsOf(held)).at(-1);
  assertEquals([last?.action_type, last?.reason_code, last?.note], ["CANCEL", "ORDER_CANCELLED", "Customer called"]);

  const unknown = await server.patch(operationPath(await newOperation()), { status: "CANCELLED", reason_code: "WHIM" });
  assertEquals(pointersOf(unknown), ["/reason_code"]);
});

Deno.test("PATCH status ON_HOLD: records an operator's pause, which IN_PROGRESS resumes, when the operation is running", async () => {
  const operation = await newRunning();
  const paused = await patched(operation, { status: "ON_HOLD" });
  assertEquals(fields(paused, "status", "hold_kind"), { status: "ON_HOLD", hold_kind: "PAUSED" });
  const resumed = await patched(operation, { status: "IN_PROGRESS" });
  assertEquals(fields(resumed, "status", "hold_kind", "actual_start_at"), {
    status: "IN_PROGRESS",
    hold_kind: null,
    actual_start_at: operation.actual_start_at,
  });
  assertEquals((await eventsOf(operation)).map(({ action_type }) => action_type), ["START", "STOP", "START"]);
});

Deno.test("PATCH: stores nothing when its last step is rejected", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  const answer = await server.patch(path, { status: "IN_PROGRESS", qty_desired: 40, qty_processed: 41 });
  assertProblem(answer, 422, "invalid_quantity");
  const { body } = await server.get<Operation>(path);
  assertEquals(fields(body, "version", "status", "qty_desired", "qty_processed"), {
    version: 1,
    status: "RELEASED",
    qty_desired: 50,
    qty_processed: 0,
  });
  assertEquals(await eventsOf(operation), []);
  assertProblem(await server.patch(path, { qty_processed: 5 }), 422, "invalid_state_transition");
});

Deno.test("PATCH: changes the execution but not the plan when the caller is an operator of the workplace", async () => {
  const operation = await newOperation();
  const { client, id, email } = await newUser({ workplaces: [operation.workplace_name ?? ""] });
  const path = operationPath(operation);
  const refused = assertProblem(await client.patch(path, { qty_desired: 60 }), 403, "forbidden");
  assertEquals(refused.required_role, "supervisor");
  const started = await client.patch<OperationWithActions>(path, { status: "IN_PROGRESS", qty_processed: 1 });
  assertEquals(started.status, 200, started.text);
  const actions = new Map(started.body.allowed_actions.map((one) => [one.action, one]));
  assertEquals(actions.get("STOP"), { action: "STOP", allowed: true, blocked_by: null });
  assertEquals(actions.get("START"), { action: "START", allowed: false, blocked_by: "already_running" });
  assertEquals(actions.get("CANCEL"), { action: "CANCEL", allowed: false, blocked_by: "forbidden" });
  for (const event of await eventsOf(operation)) {
    assertEquals([event.user_id, event.user_email], [id, email]);
  }
  assertProblem(await client.patch(path, { status: "CANCELLED" }), 403, "forbidden");
  assertProblem(await client.delete(path), 403, "forbidden");
  assertProblem(
    await client.post("/operations/v1", { order_no: unique("O"), asset_id: 1, operation_no: "1" }),
    403,
    "forbidden",
  );
});

Deno.test("DELETE: deletes the operation, keeps its events and frees its key when it has no work", async () => {
  for (const way of [["PLANNED"], ["RELEASED"], ["RELEASED", "ON_HOLD"], ["RELEASED", "CANCELLED"]] as const) {
    const operation = await newOperation({ status: way[0] });
    for (const status of way.slice(1)) await patched(operation, { status });
    const path = operationPath(operation);
    const answer = await server.delete(path);
    assertEquals([answer.status, answer.text], [204, ""]);
    assertProblem(await server.get(path), 404, "not_found");
    assertProblem(await server.delete(path), 404, "not_found");
    assertEquals((await eventsOf(operation)).length, way.length - 1);
    const again = await newOperation({ order_no: operation.order_no });
    assertEquals([again.version, again.status], [1, "RELEASED"]);
  }
});

Deno.test("DELETE: answers 422 when the operation has work", async () => {
  const running = await newRunning();
  const finished = await newOperation({ status: "FINISHED" });
  const paused = await newRunning();
  await report(server, paused, "STOP");
  const cancelled = await newRunning();
  await patched(cancelled, { status: "CANCELLED" });
  for (const operation of [running, finished, paused, cancelled]) {
    const problem = assertProblem(await server.delete(operationPath(operation)), 422, "invalid_state_transition");
    const { status, body } = await server.get<Operation>(operationPath(operation));
    assertEquals([status, problem.current_status], [200, body.status]);
  }
});

Deno.test("GET /operations/v1/{key}: answers the version as ETag, and 304 without a body when If-None-Match has it", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  const { headers } = await server.get(path);
  assertEquals(headers.get("etag"), '"1"');
  const get = (known: string) => server.get(path, { headers: { "If-None-Match": known } });
  for (const known of ['"1"', 'W/"1"', "*", '"7", "1"', ' "7" ,W/"1" ']) {
    const answer = await get(known);
    assertEquals([answer.status, answer.text, answer.headers.get("etag")], [304, "", '"1"'], known);
  }
  for (const known of ['"2"', "1", '""', '"1', "nonsense", '"01"', 'w/"1"']) {
    assertEquals((await get(known)).status, 200, known);
  }
  const changed = await server.patch(path, { qty_desired: 60 });
  assertEquals(changed.headers.get("etag"), '"2"');
  assertEquals((await get('"1"')).status, 200);
  assertEquals((await get('"2"')).status, 304);
  assertEquals((await server.request("HEAD", path, { headers: { "If-None-Match": '"2"' } })).status, 304);
});

Deno.test("PATCH and DELETE: succeed when If-Match is the current version, any, or a list with it", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  const conditions = ['"1"', "*", '"1", "3"', ' "3" , "4","9" ', '"other", "5"'];
  for (const [index, condition] of conditions.entries()) {
    const answer = await server.patch(path, { qty_desired: 60 + index }, { headers: { "If-Match": condition } });
    // the condition held for version index + 1 and the answer is the next one
    assertEquals(
      [answer.status, answer.headers.get("etag")],
      condition.includes('"4"') ? [200, '"5"'] : [200, `"${index + 2}"`],
      condition,
    );
  }
  assertEquals((await server.delete(path, { headers: { "If-Match": '"6"' } })).status, 204);
});

Deno.test("PATCH and DELETE: answer 412 with the current version, and change nothing, when If-Match is another version", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  await patched(operation, { qty_desired: 60 });
  // a weak tag is never the same strongly (RFC 9110, 13.1.1)
  for (
    const condition of ['"1"', '"3"', 'W/"2"', '"02"', '"2 "', '""', '"99999999999999999999"', '"a,b"', '"1", W/"2"']
  ) {
    const headers = { "If-Match": condition };
    for (
      const answer of [
        await server.patch(path, { qty_desired: 70 }, { headers }),
        await server.delete(path, { headers }),
      ]
    ) {
      assertEquals(assertProblem(answer, 412, "stale_version").current_version, 2, condition);
    }
  }
  const { body } = await server.get<Operation>(path);
  assertEquals([body.version, body.qty_desired], [2, 60]);
});

Deno.test("PATCH and DELETE: answer malformed_request when If-Match is no list of tags", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  for (const condition of ["1", '"1', "", 'w/"1"', '"1" "2"', '*, "1"', '"1",', "null", "'1'"]) {
    const headers = { "If-Match": condition };
    assertProblem(await server.patch(path, { qty_desired: 70 }, { headers }), 400, "malformed_request");
    assertProblem(await server.delete(path, { headers }), 400, "malformed_request");
  }
  assertEquals((await server.get<Operation>(path)).body.version, 1);
});

Deno.test("PATCH and DELETE: answer 404 for any If-Match when the operation is missing", async () => {
  for (const condition of ['"1"', "*"]) {
    const headers = { "If-Match": condition };
    assertProblem(
      await server.patch("/operations/v1/999999/1/0010", { qty_desired: 1 }, { headers }),
      404,
      "not_found",
    );
    assertProblem(await server.delete("/operations/v1/999999/1/0010", { headers }), 404, "not_found");
  }
});

Deno.test("PATCH: exactly one of 20 succeeds when they race from one ETag", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  const headers = { "If-Match": '"1"' };
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => server.patch<Operation>(path, { qty_desired: 100 + index }, { headers })),
  );
  const winners = answers.filter(({ status }) => status === 200);
  assertEquals(winners.length, 1);
  for (const answer of answers) {
    if (answer.status !== 200) assertEquals(assertProblem(answer, 412, "stale_version").current_version, 2);
  }
  const { body } = await server.get<Operation>(path);
  assertEquals([body.version, body.qty_desired], [2, winners[0]?.body.qty_desired]);
});

Deno.test("PATCH: all of 20 succeed one after the other when they race without a condition", async () => {
  const operation = await newRunning();
  const path = operationPath(operation);
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => server.patch<Operation>(path, { qty_desired: 100 + index })),
  );
  assertEquals(answers.map(({ status }) => status), answers.map(() => 200));
  const versions = answers.map(({ body }) => body.version).sort((a, b) => a - b);
  assertEquals(versions, versions.map((_, index) => operation.version + 1 + index));
});

Deno.test("POST /operations/v1: exactly one of 20 creates the operation when they race with one key", async () => {
  const key = { order_no: unique("O"), asset_id: 1, operation_no: "0010", workplace_name: newWorkplace() };
  const answers = await Promise.all(Array.from({ length: 20 }, () => server.post("/operations/v1", key)));
  assertEquals(answers.filter(({ status }) => status === 201).length, 1);
  for (const answer of answers) if (answer.status !== 201) assertProblem(answer, 409, "duplicate_operation");
});

Deno.test("GET /operations/v1/{key}: finds the operation when its key has any printable characters", async () => {
  const awkward = [
    "a/b",
    "a%2Fb",
    "%",
    "a b",
    "ä€😀",
    "'\"",
    "a,(b)",
    "*",
    "..a",
    "a+b",
    "a?b#c",
    "שלום",
    "x".repeat(64),
  ];
  for (const text of awkward) {
    const operation = await newOperation({ order_no: text, operation_no: unique("K") });
    const { status, body } = await server.get<Operation>(operationPath(operation));
    assertEquals([status, body.order_no], [200, text]);
    assertEquals((await server.patch(operationPath(operation), { qty_desired: 51 })).status, 200);
    assertEquals((await server.delete(operationPath(operation))).status, 204);
  }
  const refused = ["", " a", "a ", "x".repeat(65), ".", "..", "a\u0000b", "a\nb", "\u200f\ud800"];
  for (const order_no of refused) {
    const body = { order_no, asset_id: 1, operation_no: "0010" };
    assertEquals(pointersOf(await server.post("/operations/v1", body)), ["/order_no"], JSON.stringify(order_no));
  }
  for (const asset of ["0", "-1", "1.5", "01", "2147483648", "a", "1e3", "%20"]) {
    assertEquals(pointersOf(await server.get(`/operations/v1/404000-001/${asset}/0020`)), ["/asset_id"], asset);
  }
  for (const path of [`/operations/v1/${"x".repeat(65)}/1/0020`, "/operations/v1/a%00b/1/0020"]) {
    assertEquals(pointersOf(await server.get(path)), ["/order_no"]);
  }
});

Deno.test("Operations: answer alike when they are hidden and when they are missing", async () => {
  const operation = await newOperation();
  const { client } = await newUser({ role: "supervisor", workplaces: [newWorkplace()] });
  const hidden = operationPath(operation);
  const missing = operationPath({ ...operation, order_no: unique("O") });
  const requests = [
    (path: string) => client.get(path),
    (path: string) => client.patch(path, { qty_desired: 1 }),
    (path: string) => client.delete(path),
    (path: string) => client.get(path, { headers: { "If-None-Match": "*" } }),
    (path: string) => client.patch(path, { qty_desired: 1 }, { headers: { "If-Match": '"9"' } }),
  ];
  for (const request of requests) {
    const [there, gone] = [await request(hidden), await request(missing)].map((answer) => {
      const { instance: _, ...problem } = assertProblem(answer, 404, "not_found");
      return problem;
    });
    assertEquals(there, gone);
    assertMatch(String(there?.detail), /no such resource/);
  }
  assertEquals((await server.get<Operation>(hidden)).body.version, 1);
});
