/** Events: reports drive their operation, one call being one transaction. */
import postgres from "postgres";
import {
  type Answer,
  assert,
  assertEquals,
  assertExists,
  assertProblem,
  env,
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
import { isBlocked, type State, statusOf, target } from "../support/lifecycle_table.ts";

type Action = OperationEvent["action_type"];

/** Minutes before now, as the API writes instants. */
function minutesAgo(minutes: number): string {
  return new Date(Date.now() - minutes * 60_000).toISOString();
}

/** Reports that must be taken; the operation after the last one. */
async function reported(
  operation: Operation,
  ...reports: [action: Action, more?: Record<string, unknown>][]
): Promise<OperationWithActions> {
  let after: OperationWithActions | null = null;
  for (const [action, more] of reports) {
    const { status, body, text } = await report(server, operation, action, more);
    assertEquals(status, 201, text);
    after = body.operation;
  }
  assertExists(after);
  return after;
}

async function read(operation: Operation): Promise<OperationWithActions> {
  const { status, body, text } = await server.get<OperationWithActions>(operationPath(operation));
  assertEquals(status, 200, text);
  return body;
}

async function eventsOf({ order_no }: Operation): Promise<OperationEvent[]> {
  const { body } = await server.get<OperationEvent[]>("/events/v1", { query: { order_no } });
  return body.toReversed();
}

function fields<Name extends keyof Operation>(operation: Operation, ...names: Name[]): Pick<Operation, Name> {
  return Object.fromEntries(names.map((name) => [name, operation[name]])) as Pick<Operation, Name>;
}

const pointersOf = (answer: Answer<unknown>) =>
  assertProblem(answer, 422, "validation_failed").errors?.map(({ pointer }) => pointer).sort();

Deno.test("POST /events/v1 START: opens a run and answers event and operation when the operation is released", async () => {
  const operation = await newOperation();
  const { client, id, email } = await newUser({ workplaces: [operation.workplace_name ?? ""] });
  const data = { status: "RELEASED", qty_desired: 50, nested: { list: [1, "ä", null, true, 0.5] } };
  const occurred_at = minutesAgo(10);
  const answer = await report(client, operation, "START", { operation_data: data, occurred_at, note: "Second shift" });
  assertEquals(answer.status, 201, answer.text);
  const { operation: after, id: event_id, created_at, ...event } = answer.body;
  assertEquals(event, {
    pos: null,
    action_type: "START",
    order_no: operation.order_no,
    asset_id: 1,
    operation_no: "0010",
    workplace_name: operation.workplace_name,
    op_seq: 1,
    status_before: "RELEASED",
    status_after: "IN_PROGRESS",
    occurred_at,
    phase: "PROCESSING",
    qty_good: 0,
    qty_scrap: 0,
    delta_good: 0,
    delta_scrap: 0,
    qty_parked: 0,
    reason_code: null,
    note: "Second shift",
    reverses_event_id: null,
    changes: null,
    operation_data: data,
    user_id: id,
    user_email: email,
    reported_by: null,
    person: null,
    webhook_success: false,
    webhook_response: null,
    error_message: null,
  });
  assert(Math.abs(Date.parse(created_at) - Date.now()) < 60_000);
  assertExists(after);
  assertEquals(fields(after, "status", "actual_start_at", "actual_end_at", "version"), {
    status: "IN_PROGRESS",
    actual_start_at: occurred_at,
    actual_end_at: null,
    version: 2,
  });
  // the open run counts as far as it has come
  assert((after.t_actual_processing_min ?? 0) >= 10, `${after.t_actual_processing_min} min`);
  assertEquals(answer.headers.get("location"), `/functions/v1/events/v1/${event_id}`);
  const { operation: _, ...stored } = answer.body;
  const { body: again } = await client.get<OperationEvent>(`/events/v1/${event_id}`);
  assertEquals(again, { ...stored, pos: again.pos });
  assert((again.pos ?? 0) > 0, "an event has its position once its transaction is committed");
  assertEquals((await read(operation)).version, 2);
});

Deno.test("POST /events/v1: sums phases, pauses and quantities when an operation goes from START to FINISH", async () => {
  const operation = await newOperation();
  const after = await reported(
    operation,
    ["START", { phase: "SETUP", occurred_at: minutesAgo(100) }],
    ["START", { phase: "PROCESSING", occurred_at: minutesAgo(88) }], // 12 min of setup
    ["REPORT_QUANTITY", { qty_good: 20, occurred_at: minutesAgo(60) }],
    ["STOP", { reason_code: "BREAK", occurred_at: minutesAgo(48) }], // 40 min of processing
    ["REPORT_QUANTITY", { qty_good: 9, qty_scrap: 3, reason_code: "DIMENSION", occurred_at: minutesAgo(49) }],
    ["START", { occurred_at: minutesAgo(18) }],
    ["REPORT_QUANTITY", { qty_good: 21 }],
    ["FINISH", { occurred_at: minutesAgo(8) }], // 10 min of processing
  );
  assertEquals(
    fields(after, "status", "hold_kind", "hold_reason_code", "qty_processed", "qty_good", "qty_scrap"),
    { status: "FINISHED", hold_kind: null, hold_reason_code: null, qty_processed: 53, qty_good: 50, qty_scrap: 3 },
  );
  const about = (minutes: number | null, expected: number) =>
    assert(Math.abs((minutes ?? NaN) - expected) < 0.05, `${minutes} min, not ${expected}`);
  about(after.t_actual_setup_min, 12);
  about(after.t_actual_processing_min, 50);
  about(after.t_actual_lead_min, 92);
  const events = await eventsOf(operation);
  assertEquals(events.map(({ op_seq }) => op_seq), [1, 2, 3, 4, 5, 6, 7, 8]);
  assertEquals(events.map(({ status_after }) => status_after), [
    "IN_PROGRESS",
    "IN_PROGRESS",
    "IN_PROGRESS",
    "ON_HOLD",
    "ON_HOLD",
    "IN_PROGRESS",
    "IN_PROGRESS",
    "FINISHED",
  ]);
  for (const [index, event] of events.entries()) {
    assertEquals(event.status_before, index === 0 ? "RELEASED" : events[index - 1]?.status_after);
  }
  assertEquals(events.map(({ phase }) => phase), ["SETUP", "PROCESSING", null, null, null, "PROCESSING", null, null]);
  assertEquals(events.map(({ reason_code }) => reason_code), [
    null,
    null,
    null,
    "BREAK",
    "DIMENSION",
    null,
    null,
    null,
  ]);
  const sum = (name: "qty_good" | "qty_scrap") => events.reduce((total, event) => total + event[name], 0);
  assertEquals([sum("qty_good"), sum("qty_scrap")], [after.qty_good, after.qty_scrap]);
});

Deno.test("POST /events/v1 START: resumes the operation when another operator of the workplace paused it with a reason", async () => {
  const operation = await newOperation();
  const workplaces = [operation.workplace_name ?? ""];
  const [first, second] = await Promise.all([newUser({ workplaces }), newUser({ workplaces })]);
  await report(first.client, operation, "START");
  const { body: stopped } = await report(first.client, operation, "STOP", { reason_code: "MATERIAL" });
  assertExists(stopped.operation);
  assertEquals(fields(stopped.operation, "status", "hold_kind", "hold_reason_code"), {
    status: "ON_HOLD",
    hold_kind: "PAUSED",
    hold_reason_code: "MATERIAL",
  });
  const { status, body: resumed } = await report(second.client, operation, "START");
  assertEquals(status, 201);
  assertExists(resumed.operation);
  assertEquals(fields(resumed.operation, "status", "hold_kind", "hold_reason_code"), {
    status: "IN_PROGRESS",
    hold_kind: null,
    hold_reason_code: null,
  });
  assertEquals((await eventsOf(operation)).map(({ user_id }) => user_id), [first.id, first.id, second.id]);
});

Deno.test("POST /events/v1 COMPLETE: finishes, and books the missing pieces when the report has no quantities", async () => {
  const missing = await reported(await newOperation(), ["START"], ["REPORT_QUANTITY", { qty_good: 20, qty_scrap: 2 }], [
    "COMPLETE",
  ]);
  assertEquals(fields(missing, "status", "qty_good", "qty_scrap", "qty_processed"), {
    status: "FINISHED",
    qty_good: 50,
    qty_scrap: 2,
    qty_processed: 52,
  });
  const scrapped = await reported(await newOperation(), ["START"], ["STOP"], ["COMPLETE", { qty_scrap: 4 }]);
  assertEquals(fields(scrapped, "status", "qty_good", "qty_scrap"), { status: "FINISHED", qty_good: 50, qty_scrap: 4 });
  const given = { qty_good: 10, qty_scrap: 1, reason_code: "MATERIAL" };
  const short = await reported(await newOperation(), ["START"], ["COMPLETE", given]);
  assertEquals(fields(short, "status", "qty_good", "qty_scrap"), { status: "FINISHED", qty_good: 10, qty_scrap: 1 });
  const enough = await reported(await newOperation(), ["START"], ["REPORT_QUANTITY", { qty_good: 50 }], ["COMPLETE"]);
  assertEquals(enough.qty_good, 50);

  const unlimited = await newOperation({ qty_desired: undefined });
  await reported(unlimited, ["START"]);
  assertProblem(await report(server, unlimited, "COMPLETE"), 422, "invalid_quantity");
  assertEquals((await reported(unlimited, ["COMPLETE", { qty_good: 7 }])).qty_good, 7);
});

Deno.test("POST /events/v1 FINISH and COMPLETE: need a reason and name its kind when pieces are missing", async () => {
  const operation = await newOperation();
  await reported(operation, ["START"], ["REPORT_QUANTITY", { qty_good: 49 }]);
  for (const [action, more] of [["FINISH", {}], ["COMPLETE", { qty_good: 0 }]] as const) {
    const refused = assertProblem(await report(server, operation, action, more), 422, "reason_required");
    assertEquals(refused.kind, "SHORTFALL");
  }
  assertEquals((await read(operation)).status, "IN_PROGRESS");
  const finished = await reported(operation, ["FINISH", { reason_code: "MATERIAL" }]);
  assertEquals(fields(finished, "status", "qty_good"), { status: "FINISHED", qty_good: 49 });
});

Deno.test("POST /events/v1: names the reason_code when it is unknown or of another kind", async () => {
  const operation = await newOperation();
  await reported(operation, ["START"]);
  for (const [action, reason_code] of [["STOP", "DIMENSION"], ["STOP", "WHIM"], ["FINISH", "BREAK"]] as const) {
    assertEquals(pointersOf(await report(server, operation, action, { reason_code })), ["/reason_code"]);
  }
  const scrap = { qty_good: 1, qty_scrap: 1, reason_code: "BREAK" };
  assertEquals(pointersOf(await report(server, operation, "REPORT_QUANTITY", scrap)), ["/reason_code"]);
  assertEquals((await eventsOf(operation)).length, 1);
});

Deno.test("POST /events/v1: rejects good pieces, but not scrap, when they exceed target and tolerance", async () => {
  const operation = await newOperation({ qty_desired: 15, overrun_tolerance_pct: 10 });
  await reported(operation, ["START"], ["REPORT_QUANTITY", { qty_good: 16, qty_scrap: 1000 }]);
  const refused = assertProblem(
    await report(server, operation, "REPORT_QUANTITY", { qty_good: 1 }),
    422,
    "invalid_quantity",
  );
  // 15 + 10 % is 16.5: half a piece is none
  assertEquals([refused.limit, refused.qty_desired, refused.qty_good], [16, 15, 17]);
  const max = 2_147_483_647;
  const overflow = await report(server, operation, "REPORT_QUANTITY", { qty_scrap: max });
  assertProblem(overflow, 422, "invalid_quantity");
  assertEquals(fields(await read(operation), "qty_good", "qty_scrap"), { qty_good: 16, qty_scrap: 1000 });

  const unlimited = await newOperation({ qty_desired: undefined });
  const after = await reported(unlimited, ["START"], ["REPORT_QUANTITY", { qty_good: max }]);
  assertEquals(after.qty_processed, max);
  assertProblem(await report(server, unlimited, "REPORT_QUANTITY", { qty_good: 1 }), 422, "invalid_quantity");
});

Deno.test("POST /events/v1: names the fields when values are invalid or the action does not use them", async () => {
  const operation = await newOperation();
  const wrong: [Action, Record<string, unknown>, string[]][] = [
    ["START", { qty_good: 1, reason_code: "BREAK" }, ["/qty_good", "/reason_code"]],
    ["START", { phase: "PAUSE" }, ["/phase"]],
    ["STOP", { phase: "SETUP", qty_scrap: 1 }, ["/phase", "/qty_scrap"]],
    ["REPORT_QUANTITY", { qty_good: -1, qty_scrap: 1.5 }, ["/qty_good", "/qty_scrap"]],
    ["REPORT_QUANTITY", { qty_good: "1", phase: "SETUP" }, ["/phase", "/qty_good"]],
    ["REPORT_QUANTITY", { qty_good: 2_147_483_648 }, ["/qty_good"]],
    ["FINISH", { qty_good: 1 }, ["/qty_good"]],
    ["START", { id: "7", asset_id: 0 }, ["/asset_id", "/id"]],
    ["START", { op_seq: 1, created_at: minutesAgo(1), status_after: "FINISHED" }, [
      "/created_at",
      "/op_seq",
      "/status_after",
    ]],
    ["START", { webhook_success: true }, ["/webhook_success"]],
    ["START", { operation_data: [1] }, ["/operation_data"]],
    ["START", { operation_data: { text: "x".repeat(16 * 1024) } }, ["/operation_data"]],
    ["START", { note: "x".repeat(2001) }, ["/note"]],
    ["START", { occurred_at: "now" }, ["/occurred_at"]],
    ["START", { dry_run: "true" }, ["/dry_run"]],
  ];
  for (const [action, more, pointers] of wrong) {
    assertEquals(pointersOf(await report(server, operation, action, more)), pointers, JSON.stringify(more));
  }
  const { order_no, operation_no, workplace_name } = operation;
  for (const missing of ["action_type", "order_no", "operation_no", "workplace_name"]) {
    const body = { action_type: "START", order_no, operation_no, workplace_name, [missing]: undefined };
    assertEquals(pointersOf(await server.post("/events/v1", body)), [`/${missing}`]);
  }
  const unknown = await server.post("/events/v1", { action_type: "DANCE", order_no, operation_no, workplace_name });
  assertEquals(pointersOf(unknown), ["/action_type"]);
  assertEquals(await eventsOf(operation), []);
});

Deno.test("POST /events/v1: stores operation_data as sent when it has exactly 16 KiB", async () => {
  const operation = await newOperation();
  const operation_data = { text: "x".repeat(16 * 1024 - '{"text":""}'.length) };
  const { body } = await report(server, operation, "START", { operation_data });
  assertEquals((await server.get<OperationEvent>(`/events/v1/${body.id}`)).body.operation_data, operation_data);
});

/** Ways to the states. */
const waysTo: Partial<Record<State, (operation: Operation) => Promise<unknown>>> = {
  PLANNED: () => Promise.resolve(),
  RELEASED: (operation) => patch(operation, "RELEASED"),
  IN_PROGRESS: async (operation) => {
    await patch(operation, "RELEASED");
    await reported(operation, ["START"]);
  },
  PAUSED: async (operation) => {
    await patch(operation, "RELEASED");
    await reported(operation, ["START"], ["STOP"]);
  },
  BLOCKED_BEFORE_START: async (operation) => {
    await patch(operation, "RELEASED");
    await patch(operation, "ON_HOLD");
  },
  FINISHED: async (operation) => {
    await patch(operation, "RELEASED");
    await reported(operation, ["START"], ["COMPLETE"]);
  },
  CANCELLED: (operation) => patch(operation, "CANCELLED"),
};

async function patch(operation: Operation, status: Operation["status"]): Promise<void> {
  const answer = await server.patch(operationPath(operation), { status });
  assertEquals(answer.status, 200, answer.text);
}

const reports: [Action, Record<string, unknown>][] = [
  ["START", {}],
  ["STOP", {}],
  ["REPORT_QUANTITY", { qty_good: 1 }],
  ["COMPLETE", {}],
  ["FINISH", { reason_code: "UNSPECIFIED" }],
];

/** The status that an action leads to from a state, or the code of its refusal. */
function expectedOf(state: State, action: Action): string {
  if (action === "START" && state === "IN_PROGRESS") return "already_running";
  if (action === "START" && isBlocked(state)) return "operation_blocked";
  const to = target(action, state);
  return to === undefined ? "invalid_state_transition" : statusOf(to);
}

for (const [state, way] of Object.entries(waysTo) as [State, (operation: Operation) => Promise<unknown>][]) {
  Deno.test(`POST /events/v1: each action leads to its state of the lifecycle or is rejected when the operation is ${state}`, async () => {
    for (const [action, more] of reports) {
      const operation = await newOperation({ status: "PLANNED" });
      await way(operation);
      const before = await read(operation);
      const seen = (await eventsOf(operation)).length;
      const expected = expectedOf(state, action);
      const said = before.allowed_actions.find((one) => one.action === action);

      const rehearsed = await report(server, operation, action, { ...more, dry_run: true });
      const answer = await report<ReportedEvent & { code: string }>(server, operation, action, more);
      if (expected === expected.toUpperCase()) {
        assertEquals([rehearsed.status, answer.status], [200, 201], `${action}: ${answer.text}`);
        assertEquals([answer.body.status_before, answer.body.status_after], [
          before.status,
          expected as OperationEvent["status_after"],
        ]);
        assertEquals(said, { action, allowed: true, blocked_by: null });
        assertEquals((await read(operation)).status, expected as Operation["status"]);
      } else {
        const code = expected as "invalid_state_transition";
        const problem = assertProblem(answer, expected === "invalid_state_transition" ? 422 : 409, code);
        assertProblem(rehearsed, answer.status, code);
        assertEquals(said, { action, allowed: false, blocked_by: expected });
        if (code === "invalid_state_transition") {
          assertEquals(problem.current_status, before.status);
          assertEquals(problem.allowed_actions, before.allowed_actions);
        }
        assertEquals((await read(operation)).version, before.version);
        assertEquals((await eventsOf(operation)).length, seen);
      }
    }
  });
}

Deno.test("POST /events/v1 START: answers already_running with user and time when the operation runs", async () => {
  const operation = await newOperation();
  const workplaces = [operation.workplace_name ?? ""];
  const [first, second] = await Promise.all([newUser({ workplaces }), newUser({ workplaces })]);
  const occurred_at = minutesAgo(5);
  await report(first.client, operation, "START", { occurred_at, phase: "SETUP" });
  const refused = assertProblem(
    await report(second.client, operation, "START", { phase: "SETUP" }),
    409,
    "already_running",
  );
  const { running_since, phase, user_id, user_email } = refused;
  assertEquals({ running_since, phase, user_id, user_email }, {
    running_since: occurred_at,
    phase: "SETUP",
    user_id: first.id,
    user_email: first.email,
  });
});

Deno.test("POST /events/v1 START: one succeeds and the other gets already_running when two race", async () => {
  for (let round = 0; round < 25; round++) {
    const operation = await newOperation();
    const answers = await Promise.all([report(server, operation, "START"), report(server, operation, "START")]);
    assertEquals(answers.map(({ status }) => status).sort(), [201, 409]);
    for (const answer of answers) if (answer.status === 409) assertProblem(answer, 409, "already_running");
    assertEquals((await eventsOf(operation)).length, 1);
  }
});

Deno.test("POST /events/v1 REPORT_QUANTITY: counts exactly 160 without a gap in op_seq when 16 clients race", async () => {
  const operation = await newOperation({ qty_desired: 1000 });
  await reported(operation, ["START"]);
  const clients = Array.from({ length: 16 }, async () => {
    for (let count = 0; count < 10; count++) {
      const { status, text } = await report(server, operation, "REPORT_QUANTITY", { qty_good: 1 });
      assertEquals(status, 201, text);
    }
  });
  await Promise.all(clients);
  assertEquals((await read(operation)).qty_processed, 160);
  const { body: events } = await server.get<OperationEvent[]>("/events/v1", {
    query: { order_no: operation.order_no, limit: 500 },
  });
  assertEquals(events.map(({ op_seq }) => op_seq), Array.from({ length: 161 }, (_, index) => 161 - index));
});

Deno.test("POST /events/v1: answers in_future when occurred_at is more than a minute ahead of the server's clock", async () => {
  const operation = await newOperation();
  assertEquals(pointersOf(await report(server, operation, "START", { occurred_at: minutesAgo(-10) })), [
    "/occurred_at",
  ]);
  const soon = new Date(Date.now() + 30_000).toISOString();
  assertEquals((await report(server, operation, "START", { occurred_at: soon })).body.occurred_at, soon);
});

Deno.test("POST /events/v1: answers out_of_order when a transition precedes the last one, or a quantity the start", async () => {
  const operation = await newOperation();
  const start = minutesAgo(60);
  const stop = minutesAgo(30);
  await reported(operation, ["START", { occurred_at: start }], ["STOP", { occurred_at: stop }]);
  for (const [action, more] of [["START", {}], ["COMPLETE", {}], ["FINISH", { reason_code: "MATERIAL" }]] as const) {
    const late = await report(server, operation, action, { ...more, occurred_at: minutesAgo(31) });
    assertEquals(assertProblem(late, 409, "out_of_order").last_occurred_at, stop);
  }
  const early = await report(server, operation, "REPORT_QUANTITY", { qty_good: 1, occurred_at: minutesAgo(61) });
  assertEquals(assertProblem(early, 409, "out_of_order").last_occurred_at, start);
  const after = await reported(operation, ["REPORT_QUANTITY", { qty_good: 1, occurred_at: minutesAgo(45) }], [
    "START",
    { occurred_at: stop },
  ]);
  assertEquals(fields(after, "status", "qty_good"), { status: "IN_PROGRESS", qty_good: 1 });
});

Deno.test("POST /events/v1: answers 200 with the first event when a report is repeated under its id", async () => {
  const operation = await newOperation();
  const id = crypto.randomUUID();
  const start = { id, occurred_at: minutesAgo(5), operation_data: { a: 1, b: 2 } };
  const first = await report(server, operation, "START", start);
  assertEquals([first.status, first.body.id], [201, id]);
  await reported(operation, ["STOP"]);

  // the members in another order and the time in another zone are the same report
  const written = new Date(Date.parse(start.occurred_at) + 2 * 3_600_000).toISOString().replace("Z", "+02:00");
  for (const again of [start, { ...start, operation_data: { b: 2, a: 1 } }, { ...start, occurred_at: written }]) {
    const { status, body, headers } = await report(server, operation, "START", again);
    assertEquals([status, body.id, body.created_at], [200, id, first.body.created_at]);
    assertEquals(headers.get("location"), null);
    // the operation as it is now
    assertEquals(body.operation?.status, "ON_HOLD");
  }
  assertEquals((await eventsOf(operation)).map(({ action_type }) => action_type), ["START", "STOP"]);
});

Deno.test("POST /events/v1: answers 409 without effect when the id belongs to another event", async () => {
  const operation = await newOperation();
  const id = crypto.randomUUID();
  const start = { id, occurred_at: minutesAgo(5) };
  await report(server, operation, "START", start);
  const other = await newOperation();
  const user = await newUser({ workplaces: [operation.workplace_name ?? ""] });
  const { body: { id: ours } } = await report(server, operation, "STOP");
  const conflicts = [
    await report(server, operation, "START", { ...start, note: "other" }),
    await report(server, operation, "START", { id }),
    await report(server, operation, "STOP", { id }),
    await report(server, other, "START", start),
    await report(user.client, operation, "START", start),
    await report(server, other, "START", { id: ours }),
  ];
  for (const answer of conflicts) assertProblem(answer, 409, "idempotency_conflict");
  assertEquals((await eventsOf(operation)).length, 2);
  assertEquals(await eventsOf(other), []);
});

Deno.test("POST /events/v1: records one event when 20 requests race with one id", async () => {
  const operation = await newOperation();
  await reported(operation, ["START"]);
  const more = { id: crypto.randomUUID(), qty_good: 1 };
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => report(server, operation, "REPORT_QUANTITY", more)),
  );
  assertEquals(answers.map(({ status }) => status).sort(), [...Array(19).fill(200), 201]);
  assertEquals(new Set(answers.map(({ body }) => body.op_seq)), new Set([2]));
  assertEquals((await read(operation)).qty_good, 1);
});

Deno.test("POST /events/v1: answers ambiguous_operation with the assets when asset_id is missing and several match", async () => {
  const { order_no, workplace_name, operation_no } = await newOperation({ asset_id: 7 });
  const body = { action_type: "START", order_no, operation_no, workplace_name };
  await newOperation({ order_no, workplace_name, operation_no, asset_id: 3 });
  await newOperation({ order_no, operation_no, asset_id: 9 });
  const ambiguous = assertProblem(await server.post("/events/v1", body), 409, "ambiguous_operation");
  assertEquals(ambiguous.asset_ids, [3, 7]);
  const { status, body: event } = await server.post<ReportedEvent>("/events/v1", { ...body, asset_id: 7 });
  assertEquals([status, event.asset_id], [201, 7]);
  // the operation is not at this workplace, not of this number, not on this asset
  for (
    const other of [{ asset_id: 9 }, { asset_id: 5 }, { operation_no: "0020" }, { workplace_name: newWorkplace() }]
  ) {
    assertProblem(await server.post("/events/v1", { ...body, asset_id: 7, ...other }), 404, "not_found");
  }
});

Deno.test("POST /events/v1: shows the effect without effect when dry_run is true", async () => {
  const operation = await newOperation();
  const id = crypto.randomUUID();
  const rehearsed = await report(server, operation, "START", { id, dry_run: true });
  assertEquals([rehearsed.status, rehearsed.headers.get("location")], [200, null]);
  assertEquals(rehearsed.body.status_after, "IN_PROGRESS");
  assertEquals(rehearsed.body.operation?.status, "IN_PROGRESS");
  assertEquals(fields(await read(operation), "status", "version", "actual_start_at"), {
    status: "RELEASED",
    version: 1,
    actual_start_at: null,
  });
  assertEquals(await eventsOf(operation), []);
  assertProblem(await server.get(`/events/v1/${id}`), 404, "not_found");
  const real = await report(server, operation, "START", { id, dry_run: false });
  assertEquals([real.status, real.body.op_seq], [201, 1]);
  assertProblem(await report(server, operation, "START", { dry_run: true }), 409, "already_running");
});

Deno.test("POST /events/v1: answers 403 when a user reports for another user, but not when the secret key does", async () => {
  const operation = await newOperation();
  const [user, other] = await Promise.all([newUser({ workplaces: [operation.workplace_name ?? ""] }), newUser()]);
  for (
    const stranger of [{ user_id: other.id }, { user_email: other.email }, {
      user_id: user.id,
      user_email: other.email,
    }]
  ) {
    assertProblem(await report(user.client, operation, "START", stranger), 403, "forbidden");
  }
  const own = { user_id: user.id, user_email: user.email.toUpperCase() };
  const { status, body } = await report(user.client, operation, "START", own);
  assertEquals([status, body.user_id, body.user_email], [201, user.id, user.email]);
  const named = await report(server, operation, "STOP", { user_id: other.id });
  assertEquals([named.body.user_id, named.body.user_email], [other.id, other.email]);
  const nobody = await report(server, operation, "START");
  assertEquals([nobody.body.user_id, nobody.body.user_email], [null, null]);
});

Deno.test("POST /events/v1: answers 403 to readonly, and 404 when the caller does not see the workplace", async () => {
  const operation = await newOperation();
  const [reader, stranger] = await Promise.all([
    newUser({ role: "readonly", workplaces: [operation.workplace_name ?? ""] }),
    newUser({ workplaces: [newWorkplace()] }),
  ]);
  assertProblem(await report(reader.client, operation, "START"), 403, "forbidden");
  const { body } = await reader.client.get<OperationWithActions>(operationPath(operation));
  assert(body.allowed_actions.every(({ allowed, blocked_by }) => !allowed && blocked_by === "forbidden"));
  assertProblem(await report(stranger.client, operation, "START"), 404, "not_found");
  assertProblem(await report(stranger.client, { ...operation, order_no: unique("O") }, "START"), 404, "not_found");
  const { body: event } = await report(server, operation, "START");
  assertEquals((await reader.client.get(`/events/v1/${event.id}`)).status, 200);
  assertProblem(await stranger.client.get(`/events/v1/${event.id}`), 404, "not_found");
  const path = `/events/v1/workplace/${encodeURIComponent(operation.workplace_name ?? "")}`;
  assertEquals((await stranger.client.get(path)).text, "[]");
  assertEquals((await stranger.client.get("/events/v1", { query: { order_no: operation.order_no } })).text, "[]");
});

Deno.test({
  name:
    "POST /events/v1 START: answers workplace_busy with the running operations, and stops none, when the workplace is full",
  ignore: env.databaseUrl === undefined,
  async fn() {
    const workplace_name = newWorkplace();
    const operations = await Promise.all(Array.from({ length: 8 }, () => newOperation({ workplace_name })));
    const sql = postgres(env.databaseUrl ?? "", { max: 1, onnotice: () => {} });
    try {
      await sql`update public.workplaces set capacity = 2 where name = ${workplace_name}`;
    } finally {
      await sql.end();
    }
    const answers = await Promise.all(operations.map((operation) => report(server, operation, "START")));
    const running = operations.filter((_, index) => answers[index]?.status === 201);
    assertEquals(running.length, 2);
    for (const answer of answers) {
      if (answer.status === 201) continue;
      const busy = assertProblem(answer, 409, "workplace_busy");
      assertEquals(busy.capacity, 2);
      assert(Array.isArray(busy.running_operations));
      assertEquals(
        busy.running_operations.map(({ order_no }) => order_no).sort(),
        running.map(({ order_no }) => order_no).sort(),
      );
    }
    const [waiting] = operations.filter((operation) => !running.includes(operation));
    const [first] = running;
    assertExists(waiting);
    assertExists(first);
    const start = async () => (await read(waiting)).allowed_actions.find(({ action }) => action === "START");
    assertEquals(await start(), { action: "START", allowed: false, blocked_by: "workplace_busy" });
    assertProblem(await server.patch(operationPath(waiting), { status: "IN_PROGRESS" }), 409, "workplace_busy");
    // closing work makes room; changing the phase of what runs needs none
    await reported(first, ["STOP"]);
    assertEquals(await start(), { action: "START", allowed: true, blocked_by: null });
    await reported(waiting, ["START", { phase: "SETUP" }], ["START", { phase: "PROCESSING" }]);
    assertProblem(await report(server, first, "START"), 409, "workplace_busy");
  },
});

Deno.test("POST /events/v1 START: changes the phase of a SETUP run when the workplace runs more than its capacity", async () => {
  const workplace_name = newWorkplace();
  const [setup, other, waiting] = await Promise.all([
    newOperation({ workplace_name }),
    newOperation({ workplace_name }),
    newOperation({ workplace_name }),
  ]);
  await reported(setup, ["START", { phase: "SETUP" }]);
  await reported(other, ["START"]);
  assertEquals((await server.patch(`/workplaces/v1/${workplace_name}`, { capacity: 1 })).status, 200);
  const { client } = await newUser({ workplaces: [workplace_name] });
  const start = async (operation: Operation) =>
    (await client.get<OperationWithActions>(operationPath(operation))).body.allowed_actions
      .find(({ action }) => action === "START");

  assertEquals(await start(waiting), { action: "START", allowed: false, blocked_by: "workplace_busy" });
  assertProblem(await report(client, waiting, "START"), 409, "workplace_busy");
  assertEquals(await start(setup), { action: "START", allowed: true, blocked_by: null });
  const { status, body, text } = await report(client, setup, "START");
  assertEquals([status, body.phase], [201, "PROCESSING"], text);
  assertEquals(await start(setup), { action: "START", allowed: false, blocked_by: "already_running" });
});

Deno.test("POST /events/v1: answers 404 that the event is recorded when its id is sent again after the operation's deletion", async () => {
  const operation = await newOperation({ status: "PLANNED" });
  const id = crypto.randomUUID();
  const release = () => report(server, operation, "RELEASE", { id });
  const [first, again] = [await release(), await release()];
  assertEquals([first.status, again.status], [201, 200], again.text);
  assertEquals(again.body.operation, first.body.operation);
  const dryRun = await report(server, operation, "START", { dry_run: true });
  assertEquals([dryRun.status, dryRun.body.operation.status], [200, "IN_PROGRESS"]);

  assertEquals((await server.delete(operationPath(operation))).status, 204);
  const late = await release();
  assertProblem(late, 404, "not_found");
  assert(late.text.includes(`${id}\\" is recorded`), late.text);
  assertEquals((await server.get(`/events/v1/${id}`)).status, 200);
});
