/** Runs: uninterrupted stretches of work, derived from events, and the minutes that they add up to. */
import type { PlacedRun } from "../../operations/schemas.ts";
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
  nextPage,
  type Operation,
  operationPath,
  type OperationWithActions,
  type RequestOptions,
  server,
  unique,
} from "../support/harness.ts";
import { at, minutesAgo, patched, pick, read, reported, reportOne, runsOf } from "../support/floor.ts";

const about = (minutes: number | null | undefined, expected: number, tolerance = 0.2) =>
  assert(Math.abs((minutes ?? NaN) - expected) <= tolerance, `${minutes} min, not ${expected}`);

Deno.test("GET runs: answers phase, times, duration, events and user of each run when there are several", async () => {
  const operation = await newOperation();
  const place = operation.workplace_name ?? "";
  const [early, late] = await Promise.all([newUser({ workplaces: [place] }), newUser({ workplaces: [place] })]);
  const start = await reportOne(operation, "START", { phase: "SETUP", occurred_at: at("06:00") }, early.client);
  const change = await reportOne(operation, "START", { occurred_at: at("06:12:30") }, early.client);
  const stop = await reportOne(operation, "STOP", { reason_code: "BREAK", occurred_at: at("08:00") }, early.client);
  const resume = await reportOne(operation, "START", { occurred_at: at("08:15") }, late.client);
  const hold = await reportOne(operation, "HOLD", { reason_code: "QUALITY", occurred_at: at("09:00") });
  assertEquals(await runsOf(operation, late.client), [
    {
      run_no: 1,
      phase: "SETUP",
      started_at: at("06:00"),
      ended_at: at("06:12:30"),
      duration_min: 12.5,
      start_event_id: start.id,
      end_event_id: change.id,
      user_id: early.id,
      user_email: early.email,
      reported_by: null,
      person: null,
    },
    {
      run_no: 2,
      phase: "PROCESSING",
      started_at: at("06:12:30"),
      ended_at: at("08:00"),
      duration_min: 107.5,
      start_event_id: change.id,
      end_event_id: stop.id,
      user_id: early.id,
      user_email: early.email,
      reported_by: null,
      person: null,
    },
    {
      run_no: 3,
      phase: "PROCESSING",
      started_at: at("08:15"),
      ended_at: at("09:00"),
      duration_min: 45,
      start_event_id: resume.id,
      end_event_id: hold.id,
      user_id: late.id,
      user_email: late.email,
      reported_by: null,
      person: null,
    },
  ]);
  // 107.5 + 45; the break is in neither
  assertEquals(pick(await read(operation), "t_actual_setup_min", "t_actual_processing_min", "t_actual_lead_min"), {
    t_actual_setup_min: 12.5,
    t_actual_processing_min: 152.5,
    t_actual_lead_min: null,
  });
});

Deno.test("GET runs: answers an empty list when there is no run, and the same 404 when the operation is missing or hidden", async () => {
  const operation = await newOperation();
  assertEquals(await runsOf(operation), []);
  const stranger = await newUser({ workplaces: [newWorkplace()] });
  const hidden = await stranger.client.get(`${operationPath(operation)}/runs`);
  const missing = await stranger.client.get(`${operationPath({ ...operation, order_no: unique("O") })}/runs`);
  const [one, other] = [hidden, missing].map((answer) => assertProblem(answer, 404, "not_found"));
  assertEquals({ ...one, instance: "" }, { ...other, instance: "" });
});

Deno.test("GET /operations/v1/runs: lists the runs that overlap the window, by start, with operation and workplace", async () => {
  const workplace_name = newWorkplace();
  const elsewhere = newWorkplace();
  const [a, b, c] = [
    await newOperation({ workplace_name }),
    await newOperation({ workplace_name }),
    await newOperation({ workplace_name: elsewhere }),
  ];
  const start = await reportOne(a, "START", { phase: "SETUP", occurred_at: at("06:00") });
  const stop = await reportOne(a, "STOP", { occurred_at: at("07:00") });
  await reported(a, ["START", { occurred_at: at("08:00") }], ["STOP", { occurred_at: at("09:00") }]);
  await reported(b, ["START", { occurred_at: at("06:30") }]);
  await reported(c, ["START", { occurred_at: at("06:45") }], ["STOP", { occurred_at: at("08:30") }]);
  const list = async (query: RequestOptions["query"], client = server) => {
    const { status, body, text } = await client.get<PlacedRun[]>("/operations/v1/runs", {
      query: { workplace_name: [workplace_name, elsewhere], ...query },
    });
    assertEquals(status, 200, text);
    return body;
  };
  const names = new Map([[a.order_no, "a"], [b.order_no, "b"], [c.order_no, "c"]]);
  const told = (runs: PlacedRun[]) => runs.map(({ order_no, run_no }) => `${names.get(order_no)}${run_no}`).join(" ");

  const [first] = await list({});
  assertEquals(first, {
    ...pick(a, "order_no", "asset_id", "operation_no", "workplace_name"),
    run_no: 1,
    phase: "SETUP",
    started_at: at("06:00"),
    ended_at: at("07:00"),
    duration_min: 60,
    start_event_id: start.id,
    end_event_id: stop.id,
    user_id: null,
    user_email: null,
    reported_by: null,
    person: null,
  });
  const cases: [RequestOptions["query"], string][] = [
    [{}, "a1 b1 c1 a2"],
    [{ from: at("07:00") }, "b1 c1 a2"],
    [{ from: at("06:59:59.999") }, "a1 b1 c1 a2"],
    [{ to: at("06:30") }, "a1"],
    [{ to: at("06:30:00.001") }, "a1 b1"],
    [{ from: at("06:00"), to: at("06:45") }, "a1 b1"],
    [{ from: at("07:15"), to: at("07:30") }, "b1 c1"],
    [{ from: at("08:30"), to: at("10:00") }, "b1 a2"],
    // open runs have no end yet
    [{ from: at("10:00") }, "b1"],
    [{ from: at("08:00"), to: at("08:00") }, ""],
    [{ from: at("09:00"), to: at("08:00") }, ""],
    [{ workplace_name: elsewhere }, "c1"],
    [{ workplace_name: elsewhere, from: at("07:00") }, "c1"],
    [{ workplace_name: newWorkplace() }, ""],
    [{ skip: 1, limit: 2, from: at("06:50") }, "b1 c1"],
    [{ skip: 3, from: at("06:50") }, "a2"],
    [{ skip: 2, to: at("08:00") }, "c1"],
  ];
  const worker = await newUser({ workplaces: [workplace_name, elsewhere] });
  for (const [query, expected] of cases) {
    for (const client of [server, worker.client]) {
      assertEquals(told(await list(query, client)), expected, JSON.stringify(query));
    }
  }
  for (const limit of [1, 2, 3]) {
    const runs: PlacedRun[] = [];
    const query = new URLSearchParams({ from: at("06:50"), limit: String(limit), count: "exact" });
    for (const name of [workplace_name, elsewhere]) query.append("workplace_name", name);
    for (let next: string | undefined = `/operations/v1/runs?${query}`; next !== undefined;) {
      const page: Answer<PlacedRun[]> = await worker.client.get<PlacedRun[]>(next);
      assertEquals(page.headers.get("x-total-count"), "4", page.text);
      runs.push(...page.body);
      next = nextPage(page);
    }
    assertEquals(told(runs), "a1 b1 c1 a2");
  }
  const neighbour = await newUser({ workplaces: [elsewhere] });
  assertEquals(told(await list({}, neighbour.client)), "c1");
  assertEquals(told(await list({ workplace_name }, neighbour.client)), "");
  for (const query of ["from=yesterday", "to=1", "workplace_name=", "sort=started_at", "cursor=x"]) {
    assertProblem(await server.get(`/operations/v1/runs?${query}`), 422, "validation_failed");
  }
});

Deno.test("GET /operations/v1/runs: keeps a run at its workplace when the plan moves the operation, and shows it to those who see both", async () => {
  const [before, after] = [newWorkplace(), newWorkplace()];
  const operation = await newOperation({ workplace_name: before });
  await reported(operation, ["START", { occurred_at: at("06:00") }], ["STOP", { occurred_at: at("07:00") }]);
  assertEquals((await server.patch(operationPath(operation), { workplace_name: after })).status, 200);
  const count = async (client: Client, workplace_name?: string) => {
    const { body } = await client.get<PlacedRun[]>("/operations/v1/runs", {
      query: { workplace_name, from: at("06:00"), to: at("07:00") },
    });
    return body.filter(({ order_no }) => order_no === operation.order_no).length;
  };
  assertEquals([await count(server, before), await count(server, after)], [1, 0]);
  const cases: [string[], number][] = [[[before], 0], [[after], 0], [[before, after], 1]];
  for (const [workplaces, expected] of cases) {
    const { client } = await newUser({ workplaces });
    assertEquals(await count(client), expected, String(workplaces.length));
  }
});

Deno.test("GET: counts the open run so far in its own phase, from every endpoint, when the operation is running", async () => {
  const operation = await newOperation();
  await reported(
    operation,
    ["START", { phase: "SETUP", occurred_at: minutesAgo(50) }],
    ["START", { occurred_at: minutesAgo(30) }],
  );
  const [run, open] = await runsOf(operation);
  assertExists(open);
  assertEquals([run?.phase, open.ended_at, open.end_event_id], ["SETUP", null, null]);
  about(open.duration_min, 30);
  const single = await read(operation);
  const { body: [listed] } = await server.get<Operation[]>("/operations/v1", {
    query: { order_no: operation.order_no },
  });
  const { body: [queued] } = await server.get<Operation[]>(`/workplaces/v1/${operation.workplace_name}/queue`);
  const { body: place } = await server.get<{ running_operations: Operation[] }>(
    `/workplaces/v1/${operation.workplace_name}`,
  );
  for (const one of [single, listed, queued, place.running_operations[0]]) {
    about(one?.t_actual_setup_min, 20);
    about(one?.t_actual_processing_min, 30);
    assertEquals(one?.t_actual_lead_min, null);
  }
  const stopped = await reported(operation, ["STOP", { occurred_at: minutesAgo(10) }]);
  about(stopped.t_actual_processing_min, 20);
  assertEquals((await read(operation)).t_actual_processing_min, stopped.t_actual_processing_min);
});

Deno.test("GET runs: has no overlaps and no negative durations when runs meet at one instant or are empty", async () => {
  const operation = await newOperation();
  const same = at("08:00");
  await reported(
    operation,
    ["START", { phase: "SETUP", occurred_at: same }],
    ["START", { occurred_at: same }],
    ["STOP", { occurred_at: same }],
    ["START", { occurred_at: same }],
    ["STOP", { occurred_at: at("08:00:00.001") }],
  );
  const runs = await runsOf(operation);
  assertEquals(runs.map(({ duration_min }) => duration_min), [0, 0, 0]);
  for (const [index, run] of runs.entries()) {
    assert(run.ended_at !== null && run.started_at <= run.ended_at);
    const next = runs[index + 1];
    if (next) assert(run.ended_at <= next.started_at);
  }
});

Deno.test("POST CORRECT: moves the first run with the start and the last with the end, and no other, when it has both", async () => {
  const operation = await newOperation({ qty_desired: undefined });
  await reported(
    operation,
    ["START", { occurred_at: at("08:00") }],
    ["STOP", { occurred_at: at("08:30") }],
    ["START", { occurred_at: at("09:00") }],
    ["STOP", { occurred_at: at("09:30") }],
    ["START", { occurred_at: at("10:00") }],
    ["FINISH", { occurred_at: at("10:30") }],
    ["CORRECT", { actual_start_at: at("07:45"), actual_end_at: at("10:20") }],
  );
  assertEquals((await runsOf(operation)).map(({ started_at, ended_at }) => [started_at, ended_at]), [
    [at("07:45"), at("08:30")],
    [at("09:00"), at("09:30")],
    [at("10:00"), at("10:20")],
  ]);
  // 45 + 30 + 20; 07:45 to 10:20
  assertEquals(pick(await read(operation), "t_actual_processing_min", "t_actual_lead_min"), {
    t_actual_processing_min: 95,
    t_actual_lead_min: 155,
  });
});

Deno.test("POST CORRECT: moves running_since with the start when the first run is open", async () => {
  const operation = await newOperation();
  await reported(operation, ["START", { occurred_at: minutesAgo(30) }]);
  const actual_start_at = minutesAgo(45);
  const after = await patched(operation, { actual_start_at });
  about(after.t_actual_processing_min, 45);
  const [run] = await runsOf(operation);
  assertEquals([run?.started_at, run?.ended_at], [actual_start_at, null]);
  // and the answer to the second START says so
  const refused = await server.post("/events/v1", {
    action_type: "START",
    ...pick(operation, "order_no", "operation_no", "workplace_name"),
  });
  assertEquals(assertProblem(refused, 409, "already_running").running_since, actual_start_at);
});

Deno.test("GET /operations/v1: lists only long open runs when the filter has open_longer_than_h", async () => {
  const workplace_name = newWorkplace();
  const started = async (hours: number, ...more: Parameters<typeof reported>[1][]) => {
    const operation = await newOperation({ workplace_name });
    await reported(operation, ["START", { occurred_at: minutesAgo(hours * 60) }], ...more);
    return operation.order_no;
  };
  const [forgotten, resumed, recent] = [
    await started(13),
    await started(20, ["START", { phase: "SETUP", occurred_at: minutesAgo(90) }]),
    await started(1),
  ];
  await started(30, ["STOP"]);
  const longer = async (hours: string) => {
    const { body } = await server.get<OperationWithActions[]>("/operations/v1", {
      query: { workplace_name, open_longer_than_h: hours },
    });
    return body.map(({ order_no }) => order_no).toSorted();
  };
  assertEquals(await longer("12"), [forgotten]);
  assertEquals(await longer("1.25"), [forgotten, resumed].toSorted());
  assertEquals(await longer("0"), [forgotten, resumed, recent].toSorted());
  assertEquals(await longer("13.5"), []);
  for (const wrong of ["-1", "x", "1e3", "", "100000"]) {
    assertProblem(
      await server.get("/operations/v1", { query: { open_longer_than_h: wrong } }),
      422,
      "validation_failed",
    );
  }
});
