/** The lifecycle: every action from every state by every role, and what each one does besides. */
import {
  type Answer,
  assert,
  assertEquals,
  assertExists,
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
  type User,
} from "../support/harness.ts";
import {
  type Action,
  at,
  eventsOf,
  minutesAgo,
  patched,
  pick,
  read,
  reported,
  reportOne,
  runsOf,
  transition,
} from "../support/floor.ts";
import * as table from "../support/lifecycle_table.ts";

// ---------------------------------------------------------------- the states, with the phase of what runs

type State = Exclude<table.State, "IN_PROGRESS"> | "SETUP" | "PROCESSING";

const states: State[] = [
  "PLANNED",
  "RELEASED",
  "SETUP",
  "PROCESSING",
  "PAUSED",
  "BLOCKED",
  "BLOCKED_BEFORE_START",
  "FINISHED",
  "CANCELLED",
];

const withoutPhase = (state: State): table.State => state === "SETUP" || state === "PROCESSING" ? "IN_PROGRESS" : state;

const statusOf = (state: State): Operation["status"] => table.statusOf(withoutPhase(state));

const { actions } = table;
const transitions: Action[] = ["RELEASE", "START", "STOP", "COMPLETE", "FINISH", "HOLD", "CANCEL"];

/** Where an action leads; a code where something else than the lifecycle is in the way. */
function targetOf(action: Action, state: State): State | "already_running" | "operation_blocked" | undefined {
  if (action === "START" && table.isBlocked(withoutPhase(state))) return "operation_blocked";
  if (action === "START" && state === "PROCESSING") return "already_running";
  const to = table.target(action, withoutPhase(state));
  if (to !== "IN_PROGRESS") return to;
  return action === "START" ? "PROCESSING" : state;
}

const ranks = { readonly: 0, machine: 1, operator: 1, supervisor: 2, manager: 3, admin: 4, secret: 4 };
type Role = keyof typeof ranks;
const roles = Object.keys(ranks) as Role[];

const leastRank = (action: Action, state: State) => table.leastRank(action, withoutPhase(state));

/** Answer about an action: null = allowed, else the machine code. */
function refusalOf(action: Action, state: State, role: Role): string | null {
  if (ranks[role] < leastRank(action, state)) return "forbidden";
  const to = targetOf(action, state);
  if (to === undefined) return "invalid_state_transition";
  return to === "already_running" || to === "operation_blocked" ? to : null;
}

const statusOfCode: Record<string, number> = {
  forbidden: 403,
  invalid_state_transition: 422,
  already_running: 409,
  operation_blocked: 409,
};

// ---------------------------------------------------------------- a crew and operations in every state

const place = newWorkplace();
let crew: Promise<Record<Role, Client>> | undefined;

function clients(): Promise<Record<Role, Client>> {
  return crew ??= (async () => {
    const named = ["readonly", "machine", "operator", "supervisor", "manager", "admin"] as const;
    const users = await Promise.all(
      named.map((role) => newUser({ role, workplaces: role === "manager" || role === "admin" ? [] : [place] })),
    );
    return {
      ...Object.fromEntries(named.map((role, index) => [role, users[index]?.client])),
      secret: server,
    } as Record<Role, Client>;
  })();
}

const operatorsOf = (operation: Operation, count: number): Promise<User[]> =>
  Promise.all(Array.from({ length: count }, () => newUser({ workplaces: [operation.workplace_name ?? ""] })));

const supervisorOf = (operation: Operation): Promise<User> =>
  newUser({ role: "supervisor", workplaces: [operation.workplace_name ?? ""] });

/** An operation in this state; started ones have 5 good pieces of the event `made`. */
async function operationIn(state: State): Promise<{ operation: OperationWithActions; made: string }> {
  const operation = await newOperation({ status: "PLANNED", workplace_name: place });
  let made: string = crypto.randomUUID();
  if (state !== "PLANNED" && state !== "CANCELLED") await reported(operation, ["RELEASE"]);
  if (state === "CANCELLED") await reported(operation, ["CANCEL", { reason_code: "UNSPECIFIED" }]);
  if (state === "BLOCKED_BEFORE_START") await reported(operation, ["HOLD", { reason_code: "UNSPECIFIED" }]);
  if (["SETUP", "PROCESSING", "PAUSED", "BLOCKED", "FINISHED"].includes(state)) {
    await reported(operation, ["START", { phase: state === "SETUP" ? "SETUP" : "PROCESSING" }]);
    made = (await reportOne(operation, "REPORT_QUANTITY", { qty_good: 5 })).id;
    if (state === "PAUSED") await reported(operation, ["STOP"]);
    if (state === "BLOCKED") await reported(operation, ["HOLD", { reason_code: "UNSPECIFIED" }]);
    if (state === "FINISHED") await reported(operation, ["COMPLETE"]);
  }
  return { operation: await read(operation), made };
}

/** What an action needs beside its name. */
function membersOf(action: Action, made: string): Record<string, unknown> {
  switch (action) {
    case "REPORT_QUANTITY":
      return { qty_good: 1 };
    case "HOLD":
    case "CANCEL":
    case "FINISH":
      return { reason_code: "UNSPECIFIED" };
    case "REVERSE":
      return { reverses_event_id: made, qty_good: 2 };
    case "CORRECT":
      // scrap of good pieces would be an operator's, too
      return { qty_good: -1 };
    default:
      return {};
  }
}

function stateOf(operation: Operation): State {
  if (operation.status === "ON_HOLD") {
    if (operation.hold_kind === "PAUSED") return "PAUSED";
    return operation.actual_start_at === null ? "BLOCKED_BEFORE_START" : "BLOCKED";
  }
  return operation.status === "IN_PROGRESS" ? "PROCESSING" : operation.status;
}

/** Holds an answer of a refused attempt against what its code promises. */
function assertRefusal(answer: Answer<unknown>, code: string, seen: OperationWithActions): void {
  const problem = assertProblem(answer, statusOfCode[code] ?? 0, code as "forbidden");
  if (code === "forbidden") assert(problem.required_role === "operator" || problem.required_role === "supervisor");
  if (code === "already_running") {
    assertEquals([problem.running_since, problem.phase], [seen.actual_start_at, "PROCESSING"]);
    assert("user_id" in problem && "user_email" in problem);
  }
  if (code === "operation_blocked") assertEquals(problem.hold_reason_code, "UNSPECIFIED");
  if (code === "operation_blocked" || code === "invalid_state_transition") {
    assertEquals(problem.current_status, seen.status);
    assertEquals(problem.allowed_actions, seen.allowed_actions);
  }
}

for (const state of states) {
  Deno.test(`POST /events/v1 and transitions: allow and reject actions by role, and dry_run changes nothing, when ${state}`, async () => {
    const [{ operation, made }, crew] = await Promise.all([operationIn(state), clients()]);
    const before = await eventsOf(operation);
    await Promise.all(roles.map(async (role) => {
      const client = crew[role];
      const seen = await read(operation, client);
      const expected = actions.map((action) => {
        const blocked_by = refusalOf(action, state, role);
        return { action, allowed: blocked_by === null, blocked_by };
      });
      assertEquals(seen.allowed_actions, expected, `${role}: allowed_actions`);
      for (const { action, blocked_by } of expected) {
        const more = { ...membersOf(action, made), dry_run: true };
        const answers = [await report(client, operation, action, more)];
        // machine, manager, admin and the secret key differ from these by their rank alone
        if (transitions.includes(action) && ["readonly", "operator", "supervisor"].includes(role)) {
          answers.push(await transition(client, operation, action, more));
        }
        for (const answer of answers) {
          if (blocked_by !== null) {
            assertRefusal(answer, blocked_by, seen);
            continue;
          }
          assertEquals(answer.status, 200, `${role} ${action}: ${answer.text}`);
          const to = targetOf(action, state) as State;
          assertEquals([answer.body.status_before, answer.body.status_after], [operation.status, statusOf(to)]);
          assertExists(answer.body.operation);
          assertEquals(stateOf(answer.body.operation), to === "SETUP" ? "PROCESSING" : to, `${role} ${action}`);
          assertEquals(answer.body.operation.version, operation.version + 1);
        }
      }
    }));
    assertEquals(await eventsOf(operation), before);
    const [now, then] = [await read(operation), operation];
    assertEquals(pick(now, "version", "status", "qty_processed"), pick(then, "version", "status", "qty_processed"));
  });
}

for (const state of states) {
  const allowed = actions.filter((action) => refusalOf(action, state, "secret") === null);
  if (allowed.length === 0) continue;
  Deno.test(`POST /events/v1 and transitions: ${allowed.join(", ")} lead to the announced states when ${state}`, async () => {
    const crew = await clients();
    await Promise.all(allowed.map(async (action) => {
      const client = crew[leastRank(action, state) === 2 ? "supervisor" : "machine"];
      for (const send of transitions.includes(action) ? [report, transition] : [report]) {
        const { operation, made } = await operationIn(state);
        const more = membersOf(action, made);
        const rehearsed = await send<ReportedEvent>(client, operation, action, { ...more, dry_run: true });
        const { status, body, text } = await send<ReportedEvent>(client, operation, action, more);
        assertEquals(status, 201, text);
        assertExists(body.operation);
        const to = targetOf(action, state) as State;
        assertEquals(stateOf(body.operation), to === "SETUP" ? "PROCESSING" : to);
        const [events, after] = [await eventsOf(operation), await read(operation, client)];
        assertEquals(events.at(-1)?.id, body.id);
        assertEquals(events.map(({ op_seq }) => op_seq), events.map((_, index) => index + 1));
        assertEquals(pick(after, "status", "hold_kind", "version", "allowed_actions"), {
          status: statusOf(to),
          hold_kind: to === "PAUSED" ? "PAUSED" : to.startsWith("BLOCKED") ? "BLOCKED" : null,
          version: operation.version + 1,
          allowed_actions: body.operation.allowed_actions,
        });
        // the dry run gave the same answer, except for times
        const timeless = ({ occurred_at: _, created_at: __, id: ___, operation: ____, ...rest }: ReportedEvent) => rest;
        assertEquals(timeless(rehearsed.body), timeless(body));
        // exactly the runs that the states say
        const open = (await runsOf(operation)).filter(({ ended_at }) => ended_at === null);
        assertEquals(open.length, after.status === "IN_PROGRESS" ? 1 : 0);
      }
    }));
  });
}

Deno.test("POST transitions: answers 422 when the request has quantities, a reversal or a correction", async () => {
  const { operation } = await operationIn("PROCESSING");
  for (const action of ["REPORT_QUANTITY", "REVERSE", "CORRECT", "DANCE"] as Action[]) {
    const problem = assertProblem(await transition(server, operation, action), 422, "validation_failed");
    assertEquals(problem.errors?.map(({ pointer }) => pointer), ["/action"]);
  }
  for (const more of [{ phase: "SETUP" }, { qty_good: 1 }, { id: crypto.randomUUID() }]) {
    const problem = assertProblem(await transition(server, operation, "STOP", more), 422, "validation_failed");
    assertEquals(problem.errors?.map(({ pointer }) => pointer), [`/${Object.keys(more)[0]}`]);
  }
});

// ---------------------------------------------------------------- PATCH of the status

const targets = ["PLANNED", "RELEASED", "IN_PROGRESS", "ON_HOLD", "FINISHED", "CANCELLED"] as const;

/** The contract's status changes: the actions that each becomes. */
const changes: Partial<Record<State, Partial<Record<Operation["status"], Action[]>>>> = {
  PLANNED: { RELEASED: ["RELEASE"], CANCELLED: ["CANCEL"] },
  RELEASED: { IN_PROGRESS: ["START"], ON_HOLD: ["HOLD"], CANCELLED: ["CANCEL"] },
  SETUP: { FINISHED: ["FINISH"], ON_HOLD: ["STOP"], CANCELLED: ["CANCEL"] },
  PROCESSING: { FINISHED: ["FINISH"], ON_HOLD: ["STOP"], CANCELLED: ["CANCEL"] },
  PAUSED: { IN_PROGRESS: ["START"], CANCELLED: ["CANCEL"] },
  BLOCKED: { IN_PROGRESS: ["RELEASE", "START"], CANCELLED: ["CANCEL"] },
  BLOCKED_BEFORE_START: { IN_PROGRESS: ["RELEASE", "START"], CANCELLED: ["CANCEL"] },
};

for (const state of states) {
  Deno.test(`PATCH status: makes the contract's changes as events of the caller's role, and rejects all others, when ${state}`, async () => {
    const crew = await clients();
    await Promise.all(targets.map(async (status) => {
      const { operation } = await operationIn(state);
      const known = await eventsOf(operation);
      const becomes = status === operation.status ? [] : changes[state]?.[status];
      const needsSupervisor = becomes?.some((action) => leastRank(action, state) === 2) ?? false;
      for (const role of ["readonly", "operator", "supervisor"] as const) {
        const seen = await read(operation, crew[role]);
        const answer = await crew[role].patch<OperationWithActions>(operationPath(operation), { status });
        const may = ranks[role] >= (needsSupervisor ? 2 : 1);
        if (role === "readonly" || (becomes !== undefined && !may)) {
          assertProblem(answer, 403, "forbidden");
        } else if (becomes === undefined) {
          const problem = assertProblem(answer, 422, "invalid_state_transition");
          assertEquals(problem.current_status, seen.status);
          assertEquals(problem.allowed_actions, seen.allowed_actions);
        } else {
          assertEquals([answer.status, answer.body.status], [200, status], answer.text);
          const events = (await eventsOf(operation)).slice(known.length);
          assertEquals(events.map(({ action_type }) => action_type), becomes);
          return;
        }
        assertEquals((await read(operation)).version, operation.version);
      }
      assertEquals((await eventsOf(operation)).length, known.length);
    }));
  });
}

// ---------------------------------------------------------------- starts, phases, pauses, blocks

Deno.test("POST /events/v1 START: closes the run and opens the next at the same instant when the phase is the other one", async () => {
  const operation = await newOperation();
  const after = await reported(
    operation,
    ["START", { phase: "SETUP", occurred_at: at("08:00") }],
    ["START", { occurred_at: at("08:12") }],
    ["START", { phase: "SETUP", occurred_at: at("08:30") }],
    ["START", { phase: "PROCESSING", occurred_at: at("08:35") }],
    ["STOP", { occurred_at: at("09:00") }],
  );
  const runs = await runsOf(operation);
  assertEquals(runs.map((run) => pick(run, "run_no", "phase", "started_at", "ended_at", "duration_min")), [
    { run_no: 1, phase: "SETUP", started_at: at("08:00"), ended_at: at("08:12"), duration_min: 12 },
    { run_no: 2, phase: "PROCESSING", started_at: at("08:12"), ended_at: at("08:30"), duration_min: 18 },
    { run_no: 3, phase: "SETUP", started_at: at("08:30"), ended_at: at("08:35"), duration_min: 5 },
    { run_no: 4, phase: "PROCESSING", started_at: at("08:35"), ended_at: at("09:00"), duration_min: 25 },
  ]);
  // each run ends with the event that begins the next
  assertEquals(
    runs.slice(0, 3).map(({ end_event_id }) => end_event_id),
    runs.slice(1).map((run) => run.start_event_id),
  );
  // 12 + 5 and 18 + 25
  assertEquals([after.t_actual_setup_min, after.t_actual_processing_min], [17, 43]);
  assertEquals(after.actual_start_at, at("08:00"));
});

Deno.test("POST /events/v1 START: answers already_running with user, time and phase when that phase runs", async () => {
  const operation = await newOperation();
  const [first, second] = await operatorsOf(operation, 2);
  assertExists(first);
  assertExists(second);
  for (const phase of ["SETUP", "PROCESSING"]) {
    const { occurred_at } = await reportOne(operation, "START", { phase }, first.client);
    for (const send of [report, transition]) {
      if (send === transition && phase === "SETUP") continue;
      const more = send === report ? { phase } : {};
      const problem = assertProblem(await send(second.client, operation, "START", more), 409, "already_running");
      assertEquals(pick(problem, "running_since", "phase", "user_id", "user_email"), {
        running_since: occurred_at,
        phase,
        user_id: first.id,
        user_email: first.email,
      });
    }
  }
  assertEquals((await eventsOf(operation)).length, 2);
});

Deno.test("POST transitions START: one starts and 15 get already_running when 16 race", async () => {
  await Promise.all(Array.from({ length: 8 }, async () => {
    const operation = await newOperation();
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, index) => (index % 2 === 0 ? transition : report)(server, operation, "START")),
    );
    const started = answers.filter(({ status }) => status === 201);
    assertEquals(started.length, 1);
    for (const answer of answers) if (answer.status !== 201) assertProblem(answer, 409, "already_running");
    assertEquals((await runsOf(operation)).map(({ start_event_id }) => start_event_id), [started[0]?.body.id]);
  }));
});

Deno.test("POST /events/v1 FINISH and CANCEL: one succeeds and the other gets the reason when they race", async () => {
  await Promise.all(Array.from({ length: 16 }, async () => {
    const operation = await newOperation();
    await reported(operation, ["START"]);
    const answers = await Promise.all([
      report(server, operation, "FINISH", { reason_code: "UNSPECIFIED" }),
      transition(server, operation, "CANCEL", { reason_code: "UNSPECIFIED" }),
    ]);
    assertEquals(answers.map(({ status }) => status).toSorted(), [201, 422]);
    const winner = answers.find(({ status }) => status === 201);
    const loser = answers.find(({ status }) => status === 422);
    assertExists(loser);
    const problem = assertProblem(loser, 422, "invalid_state_transition");
    assertEquals(problem.current_status, winner?.body.status_after);
    assertEquals((await read(operation)).status, winner?.body.status_after);
  }));
});

Deno.test("POST RELEASE: ends a HOLD, to PAUSED when work had begun, else to RELEASED", async () => {
  const started = await newOperation();
  const [operator] = await operatorsOf(started, 1);
  assertExists(operator);
  const held = await reported(started, ["START", { occurred_at: at("08:00") }], [
    "HOLD",
    { reason_code: "QUALITY", occurred_at: at("08:30") },
  ]);
  assertEquals(pick(held, "status", "hold_kind", "hold_reason_code", "t_actual_processing_min"), {
    status: "ON_HOLD",
    hold_kind: "BLOCKED",
    hold_reason_code: "QUALITY",
    t_actual_processing_min: 30,
  });
  const refused = assertProblem(await report(operator.client, started, "START"), 409, "operation_blocked");
  assertEquals(pick(refused, "current_status", "hold_reason_code"), {
    current_status: "ON_HOLD",
    hold_reason_code: "QUALITY",
  });
  assertProblem(await report(operator.client, started, "RELEASE"), 403, "forbidden");
  // real work is not kept back by a block
  await reportOne(started, "REPORT_QUANTITY", { qty_good: 1 }, operator.client);
  const early = await report(server, started, "RELEASE", { occurred_at: at("08:29") });
  assertEquals(assertProblem(early, 409, "out_of_order").last_occurred_at, at("08:30"));
  const released = await reported(started, ["RELEASE"]);
  assertEquals(pick(released, "status", "hold_kind", "hold_reason_code"), {
    status: "ON_HOLD",
    hold_kind: "PAUSED",
    hold_reason_code: null,
  });
  await reportOne(started, "START", {}, operator.client);

  const idle = await newOperation();
  const blocked = await reported(idle, ["HOLD", { reason_code: "ENGINEERING" }]);
  assertEquals(pick(blocked, "status", "hold_kind", "actual_start_at", "t_actual_processing_min"), {
    status: "ON_HOLD",
    hold_kind: "BLOCKED",
    actual_start_at: null,
    t_actual_processing_min: null,
  });
  for (const action of ["REPORT_QUANTITY", "COMPLETE", "FINISH"] as const) {
    assertProblem(await report(server, idle, action), 422, "invalid_state_transition");
  }
  assertEquals(pick(await reported(idle, ["RELEASE"]), "status", "hold_kind", "hold_reason_code"), {
    status: "RELEASED",
    hold_kind: null,
    hold_reason_code: null,
  });
});

// ---------------------------------------------------------------- reasons

Deno.test("POST /events/v1: answers a problem of its own when a reason is missing, unknown, inactive or of another kind", async () => {
  const kinds = ["STOP", "SCRAP", "HOLD", "CANCEL", "SHORTFALL"] as const;
  const code = unique("R");
  const inactive = unique("R");
  for (const kind of kinds) {
    const created = [
      await server.post("/reason-codes/v1", { kind, code: `${code}-${kind}` }),
      await server.post("/reason-codes/v1", { kind, code: inactive, active: false }),
    ];
    assertEquals(created.map(({ status }) => status), [201, 201]);
  }
  const uses: [Action, typeof kinds[number], required: boolean, more: Record<string, unknown>][] = [
    ["STOP", "STOP", false, {}],
    ["REPORT_QUANTITY", "SCRAP", false, { qty_scrap: 1 }],
    ["COMPLETE", "SHORTFALL", true, { qty_good: 1 }],
    ["COMPLETE", "SHORTFALL", false, {}],
    ["FINISH", "SHORTFALL", true, {}],
    ["HOLD", "HOLD", true, {}],
    ["CANCEL", "CANCEL", true, {}],
  ];
  const operation = await newOperation();
  await reported(operation, ["START"]);
  for (const [action, kind, required, more] of uses) {
    const attempt = (reason_code?: string) =>
      report<ReportedEvent>(server, operation, action, { ...more, reason_code, dry_run: true });
    const without = await attempt();
    if (required) assertEquals(assertProblem(without, 422, "reason_required").kind, kind);
    else assertEquals(without.status, 200, without.text);
    const given = await attempt(`${code}-${kind}`);
    assertEquals([given.status, given.body.reason_code], [200, `${code}-${kind}`], given.text);
    const others = kinds.filter((other) => other !== kind).map((other) => `${code}-${other}`);
    for (const wrong of [...others, inactive, unique("R")]) {
      const problem = assertProblem(await attempt(wrong), 422, "validation_failed");
      assertEquals(problem.errors?.map(({ pointer, code }) => [pointer, code]), [["/reason_code", "unknown_reason"]]);
    }
  }
  // actions that take none say so
  for (const action of ["START", "RELEASE"] as const) {
    const held = await newOperation(action === "RELEASE" ? { status: "PLANNED" } : {});
    const problem = assertProblem(
      await transition(server, held, action, { reason_code: `${code}-STOP` }),
      422,
      "validation_failed",
    );
    assertEquals(problem.errors?.map(({ pointer, code }) => [pointer, code]), [["/reason_code", "not_used"]]);
  }
  assertEquals((await eventsOf(operation)).length, 1);
});

// ---------------------------------------------------------------- when

Deno.test("POST occurred_at: accepts a minute ahead, and rejects every notation of a later time when it is more", async () => {
  const { operation } = await operationIn("PROCESSING");
  const ahead = minutesAgo(-2);
  for (const action of ["STOP", "REPORT_QUANTITY", "COMPLETE", "FINISH", "HOLD", "CANCEL", "CORRECT"] as Action[]) {
    const more = { ...membersOf(action, ""), occurred_at: ahead };
    for (const send of transitions.includes(action) ? [report, transition] : [report]) {
      const problem = assertProblem(await send(server, operation, action, more), 422, "validation_failed");
      assertEquals(problem.errors?.map(({ pointer, code }) => [pointer, code]), [["/occurred_at", "in_future"]]);
    }
  }
  for (const patch of [{ status: "FINISHED", actual_end_at: ahead }, { actual_start_at: ahead }]) {
    assertProblem(await server.patch(operationPath(operation), patch), 422, "validation_failed");
  }
  const soon = new Date(Date.now() + 45_000).toISOString();
  const stopped = await reportOne(operation, "STOP", { occurred_at: soon });
  assertEquals(stopped.occurred_at, soon);
  // what comes next by the server's clock is not before it
  assertEquals((await reportOne(operation, "START")).occurred_at, soon);
});

Deno.test("POST occurred_at: must follow the corrected times when a CORRECT moved them", async () => {
  const operation = await newOperation();
  await reported(operation, ["START", { occurred_at: at("10:00") }]);
  const stop = (time: string) => report(server, operation, "STOP", { occurred_at: at(time), dry_run: true });
  assertEquals(assertProblem(await stop("09:30"), 409, "out_of_order").last_occurred_at, at("10:00"));
  await reported(operation, ["CORRECT", { actual_start_at: at("09:00") }]);
  assertEquals((await stop("09:30")).status, 200);
  assertEquals(assertProblem(await stop("08:59"), 409, "out_of_order").last_occurred_at, at("09:00"));
  const pieces = (time: string) =>
    report(server, operation, "REPORT_QUANTITY", { qty_good: 1, occurred_at: at(time), dry_run: true });
  assertEquals((await pieces("09:00")).status, 200);
  assertProblem(await pieces("08:59"), 409, "out_of_order");
  await reported(operation, ["STOP", { occurred_at: at("11:00") }]);
  for (const action of ["START", "COMPLETE", "FINISH", "CANCEL"] as Action[]) {
    const more = { ...membersOf(action, ""), dry_run: true };
    const late = await report(server, operation, action, { ...more, occurred_at: at("10:59:59") });
    assertEquals(assertProblem(late, 409, "out_of_order").last_occurred_at, at("11:00"));
    assertEquals((await report(server, operation, action, { ...more, occurred_at: at("11:00") })).status, 200);
  }
});

// ---------------------------------------------------------------- quantities

Deno.test("POST COMPLETE: books the missing or the given pieces, and needs qty_good when the operation has no target", async () => {
  const outcome = (operation: Operation) => pick(operation, "status", "qty_good", "qty_scrap", "qty_processed");
  const started = async (overrides: Partial<Operation>, good = 0, scrap = 0) => {
    const operation = await newOperation({ qty_desired: 20, ...overrides });
    await reported(operation, ["START"], ["REPORT_QUANTITY", { qty_good: good, qty_scrap: scrap }]);
    return operation;
  };
  const done = (good: number, scrap: number) => ({
    status: "FINISHED" as const,
    qty_good: good,
    qty_scrap: scrap,
    qty_processed: good + scrap,
  });
  // 20 - 8 = 12 are missing, for any number of scrapped pieces
  assertEquals(outcome(await reported(await started({}, 8, 3), ["COMPLETE"])), done(20, 3));
  assertEquals(outcome(await reported(await started({}, 8, 3), ["COMPLETE", { qty_scrap: 2 }])), done(20, 5));
  assertEquals(outcome(await reported(await started({}, 20), ["COMPLETE"])), done(20, 0));
  assertEquals(
    outcome(await reported(await started({}, 8), ["COMPLETE", { qty_good: 12, qty_scrap: 1 }])),
    done(20, 1),
  );
  // 25 % of 20 are 5 more; what is there beyond the target stays
  const over = await started({ overrun_tolerance_pct: 25 }, 23);
  assertEquals(outcome(await reported(over, ["COMPLETE"])), done(23, 0));
  assertEquals(
    outcome(await reported(await started({ overrun_tolerance_pct: 25 }, 20), ["COMPLETE", { qty_good: 5 }])),
    done(25, 0),
  );
  const short = await started({}, 8);
  assertEquals(
    assertProblem(await report(server, short, "COMPLETE", { qty_good: 11 }), 422, "reason_required").kind,
    "SHORTFALL",
  );
  assertEquals(
    outcome(await reported(short, ["COMPLETE", { qty_good: 11, reason_code: "UNSPECIFIED" }])),
    done(19, 0),
  );
  const beyond = assertProblem(
    await report(server, await started({}, 8), "COMPLETE", { qty_good: 13 }),
    422,
    "invalid_quantity",
  );
  assertEquals(pick(beyond, "qty_desired", "qty_good", "limit"), { qty_desired: 20, qty_good: 21, limit: 20 });
  const unlimited = await started({ qty_desired: undefined }, 8);
  for (const answer of [await report(server, unlimited, "COMPLETE"), await transition(server, unlimited, "COMPLETE")]) {
    assertProblem(answer, 422, "invalid_quantity");
  }
  assertEquals(outcome(await reported(unlimited, ["COMPLETE", { qty_good: 0 }])), done(8, 0));
});

Deno.test("POST FINISH: closes with the reported pieces, and needs a reason when pieces are missing", async () => {
  const operation = await newOperation({ qty_desired: 20 });
  await reported(operation, ["START", { occurred_at: at("08:00") }], ["REPORT_QUANTITY", {
    qty_good: 19,
    qty_scrap: 5,
  }]);
  for (const answer of [await report(server, operation, "FINISH"), await transition(server, operation, "FINISH")]) {
    assertEquals(assertProblem(answer, 422, "reason_required").kind, "SHORTFALL");
  }
  const after = await reported(operation, ["FINISH", { reason_code: "MATERIAL", occurred_at: at("09:30") }]);
  assertEquals(pick(after, "status", "qty_good", "qty_scrap", "actual_end_at", "t_actual_lead_min"), {
    status: "FINISHED",
    qty_good: 19,
    qty_scrap: 5,
    actual_end_at: at("09:30"),
    t_actual_lead_min: 90,
  });
  // nothing is short of no target
  const unlimited = await newOperation({ qty_desired: undefined });
  assertEquals((await reported(unlimited, ["START"], ["FINISH"])).status, "FINISHED");
});

Deno.test("POST REPORT_QUANTITY: rejects good pieces when they exceed target and tolerance, rounded down to whole pieces", async () => {
  const cases: [desired: number | undefined, tolerance: number, most: number][] = [
    [20, 0, 20],
    [20, 10, 22],
    [19, 10, 20], // 20.9
    [3, 33.33, 3], // 3.9999
    [3, 33.34, 4], // 4.0002
    [0, 100, 0],
    [undefined, 0, 2_147_483_647],
  ];
  await Promise.all(cases.map(async ([qty_desired, overrun_tolerance_pct, most]) => {
    const operation = await newOperation({ qty_desired, overrun_tolerance_pct });
    await reported(operation, ["START"]);
    if (most < 2_147_483_647) {
      const over = await report(server, operation, "REPORT_QUANTITY", { qty_good: most + 1 });
      assertEquals(assertProblem(over, 422, "invalid_quantity").limit, most);
    }
    await reported(operation, ["REPORT_QUANTITY", { qty_good: most }]);
    assertProblem(await report(server, operation, "REPORT_QUANTITY", { qty_good: 1 }), 422, "invalid_quantity");
    assertEquals((await read(operation)).qty_good, most);
  }));
});

// ---------------------------------------------------------------- REVERSE

Deno.test("POST REVERSE: takes back a part, then the rest, then nothing, and does not change the event, when it is repeated", async () => {
  const operation = await newOperation();
  await reported(operation, ["START"]);
  const made = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 10, qty_scrap: 4, reason_code: "SURFACE" });
  await reported(operation, ["REPORT_QUANTITY", { qty_good: 7, qty_scrap: 1 }]);
  const reverse = (more: Record<string, unknown>) =>
    report(server, operation, "REVERSE", { reverses_event_id: made.id, ...more });

  assertEquals(assertProblem(await reverse({ qty_good: 11 }), 422, "invalid_quantity").limit, {
    qty_good: 10,
    qty_scrap: 4,
  });
  const part = await reverse({ qty_good: 3 });
  assertEquals([part.status, part.body.reverses_event_id, part.body.qty_good, part.body.qty_scrap], [
    201,
    made.id,
    3,
    0,
  ]);
  // 10 + 7 - 3 good, 4 + 1 scrapped
  assertEquals(pick(await read(operation), "qty_good", "qty_scrap", "qty_processed"), {
    qty_good: 14,
    qty_scrap: 5,
    qty_processed: 19,
  });
  assertEquals(assertProblem(await reverse({ qty_good: 8 }), 422, "invalid_quantity").limit, {
    qty_good: 7,
    qty_scrap: 4,
  });
  assertEquals(assertProblem(await reverse({ qty_good: 0, qty_scrap: 0 }), 422, "invalid_quantity").limit, {
    qty_good: 7,
    qty_scrap: 4,
  });
  const rest = await reverse({});
  assertEquals([rest.body.qty_good, rest.body.qty_scrap], [7, 4]);
  assertEquals(pick(await read(operation), "qty_good", "qty_scrap"), { qty_good: 7, qty_scrap: 1 });
  for (const more of [{}, { qty_good: 1 }, { qty_scrap: 1 }]) {
    const twice = assertProblem(await reverse(more), 422, "invalid_quantity");
    assertEquals(twice.limit, { qty_good: 0, qty_scrap: 0 });
  }
  const { operation: _, ...first } = made;
  const { pos, ...kept } = (await server.get<OperationEvent>(`/events/v1/${made.id}`)).body;
  // its position in the feed is drawn at commit, after the answer to the report was made
  assertEquals([first.pos, typeof pos], [null, "number"]);
  assertEquals({ ...kept, pos: null }, first);
});

Deno.test("POST REVERSE: is rejected when the event is no quantity of this operation, or a correction already took its pieces", async () => {
  const [operation, other] = [await newOperation(), await newOperation()];
  const start = await reportOne(operation, "START");
  const made = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 10 });
  await reported(other, ["START"]);
  const strange = await reportOne(other, "REPORT_QUANTITY", { qty_good: 10 });
  const corrected = await reportOne(operation, "CORRECT", { qty_good: 1 });
  const reversal = await reportOne(operation, "REVERSE", { reverses_event_id: made.id, qty_good: 1 });
  for (const id of [start.id, strange.id, corrected.id, reversal.id, crypto.randomUUID()]) {
    const answer = await report(server, operation, "REVERSE", { reverses_event_id: id });
    const problem = assertProblem(answer, 422, "validation_failed");
    assertEquals(problem.errors?.map(({ pointer }) => pointer), ["/reverses_event_id"]);
  }
  // 10 + 1 - 1 = 10 good; a correction takes 8 of them, so the 9 that are left of the event are not there any more
  await reported(operation, ["CORRECT", { qty_good: -8 }]);
  assertProblem(await report(server, operation, "REVERSE", { reverses_event_id: made.id }), 422, "invalid_quantity");
  const after = await reported(operation, ["REVERSE", { reverses_event_id: made.id, qty_good: 2 }]);
  assertEquals(after.qty_good, 0);
});

Deno.test("POST REVERSE: reopens a finished operation, which can finish again, when a supervisor sends it", async () => {
  const operation = await newOperation({ qty_desired: 20 });
  const [operator] = await operatorsOf(operation, 1);
  const supervisor = await supervisorOf(operation);
  assertExists(operator);
  await reportOne(operation, "START", { occurred_at: at("08:00") }, operator.client);
  const made = await reportOne(
    operation,
    "REPORT_QUANTITY",
    { qty_good: 5, occurred_at: at("08:30") },
    operator.client,
  );
  await reportOne(operation, "REVERSE", { reverses_event_id: made.id, qty_good: 1 }, operator.client);
  // 20 - 4 = 16
  const complete = await reportOne(operation, "COMPLETE", { occurred_at: at("09:00") }, operator.client);
  assertEquals(complete.qty_good, 16);
  const reverse = { reverses_event_id: complete.id, qty_good: 6, occurred_at: at("09:10") };
  const forbidden = assertProblem(await report(operator.client, operation, "REVERSE", reverse), 403, "forbidden");
  assertEquals(forbidden.required_role, "supervisor");
  const early = await report(supervisor.client, operation, "REVERSE", { ...reverse, occurred_at: at("08:59") });
  assertProblem(early, 409, "out_of_order");
  const { operation: reopened } = await reportOne(operation, "REVERSE", reverse, supervisor.client);
  assertEquals(
    pick(reopened, "status", "hold_kind", "qty_good", "actual_start_at", "actual_end_at", "t_actual_lead_min"),
    {
      status: "ON_HOLD",
      hold_kind: "PAUSED",
      qty_good: 14,
      actual_start_at: at("08:00"),
      actual_end_at: null,
      t_actual_lead_min: null,
    },
  );
  assertEquals(reopened.t_actual_processing_min, 60);
  // 6 are missing: 30 minutes of work make them
  await reportOne(operation, "START", { occurred_at: at("09:20") }, operator.client);
  const again = await reportOne(operation, "COMPLETE", { occurred_at: at("09:50") }, operator.client);
  assertEquals(again.qty_good, 6);
  assertEquals(
    pick(again.operation, "status", "qty_good", "actual_end_at", "t_actual_processing_min", "t_actual_lead_min"),
    {
      status: "FINISHED",
      qty_good: 20,
      actual_end_at: at("09:50"),
      t_actual_processing_min: 90,
      t_actual_lead_min: 110,
    },
  );
});

Deno.test("POST REVERSE: takes back no more than the event has when 12 race", async () => {
  const operation = await newOperation();
  await reported(operation, ["START"]);
  const made = await reportOne(operation, "REPORT_QUANTITY", { qty_good: 10 });
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => report(server, operation, "REVERSE", { reverses_event_id: made.id, qty_good: 3 })),
  );
  assertEquals(answers.filter(({ status }) => status === 201).length, 3);
  for (const answer of answers) if (answer.status !== 201) assertProblem(answer, 422, "invalid_quantity");
  assertEquals((await read(operation)).qty_good, 1);
});

// ---------------------------------------------------------------- CORRECT

Deno.test("POST CORRECT: adds signed differences and stores before and after in the event when it has quantities", async () => {
  const operation = await newOperation({ qty_desired: 20 });
  const [operator] = await operatorsOf(operation, 1);
  assertExists(operator);
  await reported(operation, ["START"], ["REPORT_QUANTITY", { qty_good: 12, qty_scrap: 2 }]);
  assertProblem(await report(operator.client, operation, "CORRECT", { qty_good: -1 }), 403, "forbidden");
  // two of the good ones were scrap
  const moved = await reportOne(operation, "CORRECT", { qty_good: -2, qty_scrap: 2, note: "Found at inspection" });
  assertEquals([moved.qty_good, moved.qty_scrap, moved.note], [-2, 2, "Found at inspection"]);
  assertEquals(moved.changes, { qty_scrap: { before: 2, after: 4 } });
  assertEquals(pick(moved.operation, "qty_good", "qty_scrap", "qty_processed"), {
    qty_good: 10,
    qty_scrap: 4,
    qty_processed: 14,
  });
  const more = await reportOne(operation, "CORRECT", { qty_good: 10 });
  assertEquals(more.changes, { qty_processed: { before: 14, after: 24 } });
  for (const wrong of [{ qty_good: 1 }, { qty_good: -21 }, { qty_scrap: -5 }, { qty_scrap: 2_147_483_647 }]) {
    assertProblem(await report(server, operation, "CORRECT", wrong), 422, "invalid_quantity");
  }
  const finished = await reported(operation, ["FINISH"], ["CORRECT", { qty_good: -1 }]);
  assertEquals(pick(finished, "status", "qty_good"), { status: "FINISHED", qty_good: 19 });
});

Deno.test("POST CORRECT: moves the first run, the end and their minutes when it has times, and keeps work between them", async () => {
  const operation = await newOperation();
  await reported(
    operation,
    ["START", { phase: "SETUP", occurred_at: at("08:00") }],
    ["START", { occurred_at: at("08:20") }],
    ["REPORT_QUANTITY", { qty_good: 50, occurred_at: at("08:10") }],
    ["STOP", { occurred_at: at("09:00") }],
    ["START", { occurred_at: at("10:00") }],
  );
  const move = (more: Record<string, unknown>) => report(server, operation, "CORRECT", more);
  // the first run ended 08:20; pieces were counted at 08:10
  for (const time of ["08:21", "08:11"]) {
    assertProblem(await move({ actual_start_at: at(time) }), 409, "out_of_order");
  }
  const open = assertProblem(await move({ actual_end_at: at("11:00") }), 422, "validation_failed");
  assertEquals(open.errors?.map(({ pointer, code }) => [pointer, code]), [["/actual_end_at", "not_finished"]]);
  const start = await reportOne(operation, "CORRECT", { actual_start_at: at("08:05") });
  assertEquals(start.changes, { actual_start_at: { before: at("08:00"), after: at("08:05") } });
  assertEquals(start.operation.t_actual_setup_min, 15);
  await reported(operation, ["FINISH", { occurred_at: at("10:30") }]);
  assertProblem(await move({ actual_end_at: at("09:59") }), 409, "out_of_order");
  const both = await reportOne(operation, "CORRECT", { actual_start_at: at("07:50"), actual_end_at: at("10:45") });
  assertEquals(both.changes, {
    actual_start_at: { before: at("08:05"), after: at("07:50") },
    actual_end_at: { before: at("10:30"), after: at("10:45") },
  });
  // setup 07:50-08:20; processing 08:20-09:00 and 10:00-10:45; lead 07:50-10:45
  assertEquals(pick(both.operation, "t_actual_setup_min", "t_actual_processing_min", "t_actual_lead_min"), {
    t_actual_setup_min: 30,
    t_actual_processing_min: 85,
    t_actual_lead_min: 175,
  });
  assertEquals((await runsOf(operation)).map(({ started_at, ended_at }) => [started_at, ended_at]), [
    [at("07:50"), at("08:20")],
    [at("08:20"), at("09:00")],
    [at("10:00"), at("10:45")],
  ]);
});

Deno.test("POST CORRECT: moves a single run as a whole, past its old end, too, when it has start and end", async () => {
  const operation = await newOperation({ qty_desired: undefined });
  await reported(operation, ["START", { occurred_at: at("08:00") }], ["FINISH", { occurred_at: at("09:00") }]);
  const moved = await reported(operation, ["CORRECT", { actual_start_at: at("10:00"), actual_end_at: at("11:30") }]);
  assertEquals(pick(moved, "actual_start_at", "actual_end_at", "t_actual_processing_min", "t_actual_lead_min"), {
    actual_start_at: at("10:00"),
    actual_end_at: at("11:30"),
    t_actual_processing_min: 90,
    t_actual_lead_min: 90,
  });
  assertEquals((await runsOf(operation)).map(({ started_at, ended_at }) => [started_at, ended_at]), [
    [at("10:00"), at("11:30")],
  ]);
  const reversed = { actual_start_at: at("07:00"), actual_end_at: at("06:00") };
  assertProblem(await report(server, operation, "CORRECT", reversed), 409, "out_of_order");
});

Deno.test("POST CORRECT: does not move a run that a STOP closed when it has the end, even of the same instant", async () => {
  const operation = await newOperation({ qty_desired: undefined });
  await reported(
    operation,
    ["START", { occurred_at: at("08:00") }],
    ["STOP", { occurred_at: at("09:00") }],
    ["FINISH", { occurred_at: at("09:00") }],
  );
  const moved = await reported(operation, ["CORRECT", { actual_end_at: at("11:00") }]);
  assertEquals(pick(moved, "t_actual_processing_min", "t_actual_lead_min"), {
    t_actual_processing_min: 60,
    t_actual_lead_min: 180,
  });
  assertProblem(await report(server, operation, "CORRECT", { actual_end_at: at("08:59") }), 409, "out_of_order");
});

Deno.test("POST CORRECT: sets the stated minutes, and the lead time follows start and end, when runs or times move", async () => {
  const operation = await newOperation({ qty_desired: undefined });
  await reported(operation, ["START", { phase: "SETUP", occurred_at: at("08:00") }], ["START", {
    occurred_at: at("08:10"),
  }]);
  const stated = await reportOne(operation, "CORRECT", {
    t_actual_setup_min: 12.5,
    t_actual_processing_min: 5,
    occurred_at: at("08:40"),
  });
  // by 08:40 the open run was 30 minutes long
  assertEquals(stated.changes, {
    t_actual_setup_min: { before: 10, after: 12.5 },
    t_actual_processing_min: { before: 30, after: 5 },
  });
  const stopped = await reported(operation, ["STOP", { occurred_at: at("09:00") }]);
  assertEquals([stopped.t_actual_setup_min, stopped.t_actual_processing_min], [12.5, 25]);
  const moved = await reported(operation, ["FINISH", { occurred_at: at("09:30") }], [
    "CORRECT",
    { actual_start_at: at("07:30"), t_actual_setup_min: 20 },
  ]);
  assertEquals(pick(moved, "t_actual_setup_min", "t_actual_processing_min", "t_actual_lead_min"), {
    t_actual_setup_min: 20,
    t_actual_processing_min: 25,
    t_actual_lead_min: 120,
  });
  const lead = assertProblem(
    await report(server, operation, "CORRECT", { t_actual_lead_min: 90 }),
    422,
    "validation_failed",
  );
  assertEquals(lead.errors?.map(({ pointer, code }) => [pointer, code]), [["/t_actual_lead_min", "derived"]]);
  // fewer than a run has, then the run becomes shorter: what is stated next is what counts
  const zero = await reported(operation, ["CORRECT", { t_actual_setup_min: 0 }], [
    "CORRECT",
    { actual_start_at: at("08:05") },
  ], ["CORRECT", { t_actual_setup_min: 6 }]);
  assertEquals(zero.t_actual_setup_min, 6);
});

Deno.test("POST CORRECT: sets minutes that a read shows and the open run increases when the operation is running", async () => {
  const operation = await newOperation();
  await reported(operation, ["START", { occurred_at: minutesAgo(60) }]);
  const { t_actual_processing_min: read } = await reported(operation, ["CORRECT", { t_actual_processing_min: 20 }]);
  assert(read !== null && read >= 20 && read < 20.2, `${read} min`);
});

// ---------------------------------------------------------------- PATCH as the absolute form

Deno.test("PATCH quantities: records a report when they grow, and a supervisor's correction when they shrink or only scrap grows", async () => {
  const operation = await newOperation();
  const [operator] = await operatorsOf(operation, 1);
  const supervisor = await supervisorOf(operation);
  assertExists(operator);
  await reported(operation, ["START"]);
  await patched(operation, { qty_processed: 25 }, operator.client);
  await patched(operation, { qty_processed: 30, qty_scrap: 2 }, operator.client);
  for (const patch of [{ qty_scrap: 1 }, { qty_processed: 29 }, { qty_processed: 31, qty_scrap: 4 }]) {
    assertProblem(await operator.client.patch(operationPath(operation), patch), 403, "forbidden");
  }
  await patched(operation, { qty_scrap: 5 }, supervisor.client);
  const after = await patched(operation, { qty_processed: 28 }, supervisor.client);
  assertEquals(pick(after, "qty_processed", "qty_scrap", "qty_good"), {
    qty_processed: 28,
    qty_scrap: 5,
    qty_good: 23,
  });
  assertEquals(
    (await eventsOf(operation)).map((event) => [event.action_type, event.qty_good, event.qty_scrap, event.changes]),
    [
      ["START", 0, 0, null],
      ["REPORT_QUANTITY", 25, 0, null],
      ["REPORT_QUANTITY", 3, 2, null],
      ["CORRECT", -3, 3, { qty_scrap: { before: 2, after: 5 } }],
      ["CORRECT", -2, 0, { qty_processed: { before: 30, after: 28 } }],
    ],
  );
  for (const patch of [{ qty_processed: 56 }, { qty_scrap: 29 }, { qty_processed: 4 }]) {
    assertProblem(await server.patch(operationPath(operation), patch), 422, "invalid_quantity");
  }
  for (const state of ["PLANNED", "RELEASED", "BLOCKED_BEFORE_START", "CANCELLED"] as const) {
    const { operation: idle } = await operationIn(state);
    assertProblem(await server.patch(operationPath(idle), { qty_processed: 1 }), 422, "invalid_state_transition");
  }
});

Deno.test("PATCH actual_start_at: is the time of the START when it comes with the start, and moves the first run later", async () => {
  const operation = await newOperation();
  await patched(operation, { status: "IN_PROGRESS", actual_start_at: at("08:00") });
  await patched(operation, { status: "ON_HOLD" });
  const resumed = await patched(operation, { status: "IN_PROGRESS", actual_start_at: at("07:45") });
  assertEquals(resumed.actual_start_at, at("07:45"));
  const events = await eventsOf(operation);
  assertEquals(events.map(({ action_type }) => action_type), ["START", "STOP", "START", "CORRECT"]);
  assertEquals(events[0]?.occurred_at, at("08:00"));
  assertEquals(events[3]?.changes, { actual_start_at: { before: at("08:00"), after: at("07:45") } });
  assertEquals((await runsOf(operation))[0]?.started_at, at("07:45"));
  for (const state of ["PLANNED", "RELEASED"] as const) {
    const { operation: idle } = await operationIn(state);
    const answer = await server.patch(operationPath(idle), { actual_start_at: at("08:00") });
    assertProblem(answer, 422, "invalid_state_transition");
  }
});

Deno.test("PATCH actual_end_at: is the time of the FINISH when it comes with the end, moves the end later, and is rejected before", async () => {
  const operation = await newOperation();
  await reported(operation, ["START", { occurred_at: at("08:00") }]);
  const early = assertProblem(
    await server.patch(operationPath(operation), { actual_end_at: at("09:00") }),
    422,
    "validation_failed",
  );
  assertEquals(early.errors?.map(({ pointer, code }) => [pointer, code]), [["/actual_end_at", "not_finished"]]);
  const before = await server.patch(operationPath(operation), { status: "FINISHED", actual_end_at: at("07:00") });
  assertProblem(before, 422, "validation_failed");
  const finished = await patched(operation, { status: "FINISHED", qty_processed: 50, actual_end_at: at("09:00") });
  assertEquals([finished.actual_end_at, finished.t_actual_lead_min], [at("09:00"), 60]);
  const moved = await patched(operation, { actual_end_at: at("09:10") });
  assertEquals(pick(moved, "actual_end_at", "t_actual_lead_min", "t_actual_processing_min"), {
    actual_end_at: at("09:10"),
    t_actual_lead_min: 70,
    t_actual_processing_min: 70,
  });
  assertEquals(
    (await eventsOf(operation)).map(({ action_type, occurred_at }) => [action_type, occurred_at]).slice(0, 3),
    [
      ["START", at("08:00")],
      ["REPORT_QUANTITY", at("09:00")],
      ["FINISH", at("09:00")],
    ],
  );
});

Deno.test("PATCH minutes: are stored as stated, without the last run, when the status becomes FINISHED", async () => {
  for (const status of ["FINISHED", "CANCELLED", "ON_HOLD"] as const) {
    const operation = await newOperation({ qty_desired: undefined });
    await reported(operation, ["START", { occurred_at: at("08:00") }]);
    const stated = { t_actual_setup_min: 6, t_actual_processing_min: 84.5, t_actual_lead_min: 1 };
    const times = status === "ON_HOLD" ? {} : { actual_end_at: at("10:00") };
    const after = await patched(operation, { status, ...times, ...stated });
    assertEquals([after.status, after.t_actual_setup_min, after.t_actual_processing_min], [status, 6, 84.5]);
    // 08:00 to 10:00, for any value of the client
    if (status !== "ON_HOLD") assertEquals(after.t_actual_lead_min, 120);
    assertEquals((await read(operation)).t_actual_processing_min, 84.5);
  }
});

Deno.test("PATCH status IN_PROGRESS: records RELEASE and START of a supervisor when the operation is blocked", async () => {
  for (const state of ["BLOCKED", "BLOCKED_BEFORE_START"] as const) {
    const { operation } = await operationIn(state);
    const crew = await clients();
    assertProblem(await crew.operator.patch(operationPath(operation), { status: "IN_PROGRESS" }), 403, "forbidden");
    const after = await patched(operation, { status: "IN_PROGRESS", note: "Drawing is there" }, crew.supervisor);
    assertEquals(pick(after, "status", "hold_kind", "hold_reason_code"), {
      status: "IN_PROGRESS",
      hold_kind: null,
      hold_reason_code: null,
    });
    const events = (await eventsOf(operation)).slice(-2);
    assertEquals(events.map(({ action_type, note }) => [action_type, note]), [
      ["RELEASE", "Drawing is there"],
      ["START", "Drawing is there"],
    ]);
  }
});

Deno.test("PATCH: records the reason UNSPECIFIED when the client sends none", async () => {
  const reasons = async (operation: Operation) => (await eventsOf(operation)).map(({ reason_code }) => reason_code);
  const held = await newOperation();
  await patched(held, { status: "ON_HOLD" });
  await patched(held, { status: "CANCELLED" });
  assertEquals(await reasons(held), ["UNSPECIFIED", "UNSPECIFIED"]);
  const short = await newOperation();
  await reported(short, ["START"]);
  await patched(short, { status: "FINISHED" });
  assertEquals(await reasons(short), [null, "UNSPECIFIED"]);
  const full = await newOperation();
  await reported(full, ["START"]);
  await patched(full, { status: "FINISHED", qty_processed: 50 });
  assertEquals(await reasons(full), [null, null, null]);
});

// ---------------------------------------------------------------- which operation, which event

Deno.test("POST /events/v1: answers the effect of every action and stores nothing when dry_run is true", async () => {
  const { operation, made } = await operationIn("PROCESSING");
  const [before, events, runs] = [await read(operation), await eventsOf(operation), await runsOf(operation)];
  for (
    const action of [
      "START",
      "STOP",
      "REPORT_QUANTITY",
      "COMPLETE",
      "FINISH",
      "HOLD",
      "CANCEL",
      "REVERSE",
      "CORRECT",
    ] as const
  ) {
    const more = { ...membersOf(action, made), ...(action === "START" ? { phase: "SETUP" } : {}), dry_run: true };
    const id = crypto.randomUUID();
    const { status, body, headers, text } = await report(server, operation, action, { ...more, id });
    assertEquals([status, body.op_seq, body.id, headers.get("location")], [200, events.length + 1, id, null], text);
    assertProblem(await server.get(`/events/v1/${id}`), 404, "not_found");
  }
  // what an open run adds grows meanwhile
  const still = ({ t_actual_processing_min: _, ...rest }: OperationWithActions) => rest;
  assertEquals(still(await read(operation)), still(before));
  assertEquals(await eventsOf(operation), events);
  const openless = ({ duration_min: _, ...rest }: typeof runs[number]) => rest;
  assertEquals((await runsOf(operation)).map(openless), runs.map(openless));
});

Deno.test("POST /events/v1: answers the first event without a second effect when an id is repeated after another transition", async () => {
  const operation = await newOperation({ qty_desired: 30 });
  const reports: [Action, Record<string, unknown>][] = [
    ["START", { phase: "SETUP" }],
    ["START", {}],
    ["REPORT_QUANTITY", { qty_good: 10, qty_scrap: 1 }],
    ["STOP", { reason_code: "BREAK" }],
    ["START", {}],
    ["HOLD", { reason_code: "QUALITY" }],
    ["RELEASE", {}],
    ["CORRECT", { qty_good: -1 }],
    ["COMPLETE", {}],
  ];
  const sent: [Action, Record<string, unknown>, ReportedEvent][] = [];
  for (const [action, more] of reports) {
    const withId = { ...more, id: crypto.randomUUID() };
    sent.push([action, withId, await reportOne(operation, action, withId)]);
  }
  const reverse = { reverses_event_id: sent[2]?.[2].id, id: crypto.randomUUID() };
  sent.push(["REVERSE", reverse, await reportOne(operation, "REVERSE", reverse)]);
  const after = await read(operation);
  const { operation: _, ...expected } = sent[0]?.[2] ?? {};
  const { body: { pos } } = await server.get<OperationEvent>(`/events/v1/${sent[0]?.[2].id}`);
  for (const [action, more, first] of sent.toReversed()) {
    const { status, body } = await report(server, operation, action, more);
    assertEquals([status, body.op_seq, body.created_at], [200, first.op_seq, first.created_at]);
    assertEquals(body.operation, after);
  }
  const { operation: __, ...again } = (await report(server, operation, "START", sent[0]?.[1])).body;
  assertEquals(again, { ...expected, pos } as typeof again);
  // 10 - 1 + (30 - 9 = 21) - 10
  assertEquals(pick(after, "qty_good", "qty_scrap", "status"), { qty_good: 20, qty_scrap: 0, status: "ON_HOLD" });
  assertEquals((await eventsOf(operation)).length, 10);
});

Deno.test("POST import mode=takeover: counts earlier work once, and keeps it when the first run moves", async () => {
  const running = await newOperation({
    status: "IN_PROGRESS",
    actual_start_at: at("08:00"),
    t_actual_processing_min: 84.5,
    t_actual_setup_min: 10,
    qty_processed: 20,
  });
  const minutes = running.t_actual_processing_min ?? 0;
  assert(minutes >= 84.5 && minutes < 84.7, `${minutes} min`);
  assertEquals([running.t_actual_setup_min, running.actual_start_at], [10, at("08:00")]);
  const [run] = await runsOf(running);
  assert(run !== undefined && Date.parse(run.started_at) > Date.now() - 60_000);
  const moved = await reported(running, ["CORRECT", { actual_start_at: at("07:00") }]);
  assertEquals(moved.actual_start_at, at("07:00"));
  assertEquals((await runsOf(running))[0]?.started_at, run.started_at);

  const unknown = await newOperation({ status: "IN_PROGRESS", actual_start_at: at("08:00") });
  assertEquals((await runsOf(unknown)).map(({ started_at }) => started_at), [at("08:00")]);

  const finished = await newOperation({ status: "FINISHED", qty_processed: 50, t_actual_lead_min: 90 });
  assertEquals(pick(finished, "actual_start_at", "actual_end_at", "t_actual_lead_min"), {
    actual_start_at: null,
    actual_end_at: null,
    t_actual_lead_min: 90,
  });
  const dated = await reported(finished, ["CORRECT", { actual_start_at: at("08:00"), actual_end_at: at("09:00") }]);
  assertEquals(pick(dated, "t_actual_lead_min", "status"), { t_actual_lead_min: 60, status: "FINISHED" });
});
