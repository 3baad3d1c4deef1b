/**
 * A day in the factory: 3 orders, 5 workplaces, 6 users. Every number at the end is worked out by hand in the comments.
 * All times are yesterday's; what the terminals report carries the time at which it happened.
 */
import {
  assert,
  assertEquals,
  assertExists,
  assertProblem,
  type Client,
  env,
  newUser,
  type Operation,
  operationPath,
  type OperationWithActions,
  type ProblemBody,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { compareWithEvents } from "../../../../local/postgres/comparison.ts";
import { figures, linesOf, losses, oee, timeline } from "../support/reports.ts";
import { type Action, at, eventsOf, pick, read, type Results, runsOf } from "../support/floor.ts";

Deno.test("Factory day: every number equals the sum of the day's notes when the day ends", async () => {
  // ------------------------------------------------------------ before the shift: the plant, its people, the plan
  const [laser, bend1, bend2, weld, deburr] = ["Laser", "Bend-1", "Bend-2", "Weld", "Deburr"].map((name) =>
    unique(name)
  ) as [string, string, string, string, string];
  const capacities = [[laser, 1], [bend1, 1], [bend2, 1], [weld, 2], [deburr, null]] as const;
  const [machine, anna, ben, supervisor, manager, visitor] = await Promise.all([
    newUser({ role: "machine", workplaces: [laser] }),
    newUser({ role: "operator", workplaces: [laser, bend1, deburr] }),
    newUser({ role: "operator", workplaces: [bend2, weld] }),
    newUser({ role: "supervisor", workplaces: [laser, bend1, bend2, weld, deburr] }),
    newUser({ role: "manager" }),
    newUser({ role: "readonly", workplaces: [laser] }),
  ]);
  for (const [name, capacity] of capacities) {
    assertEquals((await manager.client.post("/workplaces/v1", { name, capacity })).status, 201);
  }
  const [a, b, c] = [unique("A"), unique("B"), unique("C")];
  const planned = (order_no: string, operation_no: string, workplace_name: string, qty_desired: number) => ({
    order_no,
    operation_no,
    asset_id: 1,
    workplace_name,
    qty_desired,
    status: "RELEASED",
    planned_start_at: at("06:00"),
    planned_end_at: at("14:00"),
    timestamp_ms: at("05:00"),
    change_type: "INSERT",
  });
  const plan = [
    planned(a, "0010", laser, 100),
    planned(a, "0020", deburr, 100),
    planned(a, "0030", bend1, 100),
    { ...planned(b, "0010", laser, 40), overrun_tolerance_pct: 5 },
    { ...planned(b, "0020", weld, 40), status: "PLANNED" },
    planned(c, "0010", bend2, 60),
    planned(c, "0020", weld, 60),
  ];
  const erp = async (rows: Record<string, unknown>[]) => {
    const { status, body, text } = await server.post<Results>("/operations/v1/import", rows);
    assertEquals(status, 200, text);
    return body.results.map(({ outcome }) => outcome);
  };
  assertEquals(await erp(plan), Array(7).fill("created"));
  const find = (order_no: string, operation_no: string) => read({ order_no, operation_no, asset_id: 1 } as Operation);
  const [a10, a20, a30, b10, b20, c10, c20] = await Promise.all([
    find(a, "0010"),
    find(a, "0020"),
    find(a, "0030"),
    find(b, "0010"),
    find(b, "0020"),
    find(c, "0010"),
    find(c, "0020"),
  ]);

  /** Reports an event at this time, which the server must accept. */
  const happened = async (
    time: string,
    who: { client: Client },
    operation: Operation,
    action: Action,
    more: Record<string, unknown> = {},
  ) => {
    const { status, body, text } = await report(who.client, operation, action, { occurred_at: at(time), ...more });
    assertEquals(status, 201, `${time} ${action} ${operation.order_no}/${operation.operation_no}: ${text}`);
    return body;
  };
  const attempted = (
    who: { client: Client },
    operation: Operation,
    action: Action,
    more: Record<string, unknown> = {},
  ) => report<ProblemBody>(who.client, operation, action, more);

  // ------------------------------------------------------------ A/0010: the laser's first order
  await happened("06:00", anna, a10, "START", { phase: "SETUP" });
  await happened("06:20", anna, a10, "START"); // 20 min of setup
  // one at a time at the laser
  const busy = assertProblem(await attempted(machine, b10, "START"), 409, "workplace_busy");
  assertEquals([busy.capacity, (busy.running_operations as Operation[]).map(({ order_no }) => order_no)], [1, [a]]);
  await happened("07:00", machine, a10, "REPORT_QUANTITY", { qty_good: 30, qty_scrap: 2, reason_code: "SETUP" });
  await happened("07:30", machine, a10, "REPORT_QUANTITY", { qty_good: 40 });
  await happened("08:00", anna, a10, "STOP", { reason_code: "BREAK" }); // 06:20-08:00: 100 min
  await happened("08:30", anna, a10, "START");
  const counted = { id: crypto.randomUUID(), qty_good: 28, qty_scrap: 1, reason_code: "DIMENSION" };
  await happened("09:10", machine, a10, "REPORT_QUANTITY", counted);
  // the gateway did not hear the answer and sends it again
  const again = await report(machine.client, a10, "REPORT_QUANTITY", { occurred_at: at("09:10"), ...counted });
  assertEquals([again.status, again.body.operation?.qty_good], [200, 98]);
  await happened("09:15", anna, a10, "COMPLETE"); // 08:30-09:15: 45 min; 100 - 98 = 2 were missing

  // ------------------------------------------------------------ B/0010: a hold, a miscount, a tolerance
  await happened("09:20", machine, b10, "START");
  const miscounted = await happened("10:00", machine, b10, "REPORT_QUANTITY", { qty_good: 25 });
  await happened("10:05", supervisor, b10, "HOLD", { reason_code: "QUALITY" }); // 09:20-10:05: 45 min
  const blocked = assertProblem(await attempted(anna, b10, "START"), 409, "operation_blocked");
  assertEquals(blocked.hold_reason_code, "QUALITY");
  assertProblem(await attempted(anna, b10, "RELEASE"), 403, "forbidden");
  await happened("10:45", supervisor, b10, "RELEASE");
  await happened("10:50", anna, b10, "START");
  await happened("11:30", machine, b10, "REPORT_QUANTITY", { qty_good: 17 }); // 42 = 40 + 5 %
  assertEquals(
    assertProblem(await attempted(machine, b10, "REPORT_QUANTITY", { qty_good: 1 }), 422, "invalid_quantity").limit,
    42,
  );
  await happened("11:40", anna, b10, "REVERSE", { reverses_event_id: miscounted.id, qty_good: 3 }); // 39
  assertEquals(assertProblem(await attempted(anna, b10, "FINISH"), 422, "reason_required").kind, "SHORTFALL");
  await happened("11:50", machine, b10, "REPORT_QUANTITY", { qty_good: 2 }); // 41
  await happened("11:55", anna, b10, "FINISH"); // 10:50-11:55: 65 min

  // ------------------------------------------------------------ A/0020: deleted by the ERP while it is being made
  await happened("09:30", anna, a20, "START");
  await happened("10:15", anna, a20, "REPORT_QUANTITY", { qty_good: 60 });
  const deletion = { order_no: a, operation_no: "0020", asset_id: 1, change_type: "DELETE", timestamp_ms: at("10:30") };
  assertEquals(await erp([deletion]), ["flagged"]);
  await happened("11:00", anna, a20, "COMPLETE"); // 09:30-11:00: 90 min

  // ------------------------------------------------------------ A/0030: planned elsewhere, finished, reopened
  assertEquals((await read(a30, anna.client)).workplace_name, bend1);
  assertEquals(
    await erp([{ order_no: a, operation_no: "0030", asset_id: 1, workplace_name: bend2, timestamp_ms: at("11:00") }]),
    ["updated"],
  );
  assertProblem(await anna.client.get(operationPath(a30)), 404, "not_found");
  assertProblem(await attempted(anna, a30, "START"), 404, "not_found");
  const a30Now = await read(a30, ben.client);
  await happened("12:00", ben, a30Now, "START");
  const bent = await happened("13:30", ben, a30Now, "COMPLETE"); // 12:00-13:30: 90 min
  assertEquals(bent.qty_good, 100);
  const wrong = { reverses_event_id: bent.id, qty_good: 5 };
  assertProblem(await attempted(ben, a30Now, "REVERSE", wrong), 403, "forbidden");
  await happened("13:40", supervisor, a30Now, "REVERSE", wrong); // 95, open again
  await happened("13:45", ben, a30Now, "START");
  await happened("14:00", ben, a30Now, "COMPLETE"); // 13:45-14:00: 15 min; 5 were missing

  // ------------------------------------------------------------ B/0020: released by the ERP, started earlier than said
  assertProblem(await attempted(ben, b20, "START"), 422, "invalid_state_transition");
  assertEquals(
    await erp([{ order_no: b, operation_no: "0020", asset_id: 1, status: "RELEASED", timestamp_ms: at("11:30") }]),
    ["updated"],
  );
  await happened("12:30", ben, b20, "START");
  await happened("13:00", ben, b20, "STOP", { reason_code: "TOOL" });
  const moved = await happened("13:05", supervisor, b20, "CORRECT", { actual_start_at: at("12:20") }); // 12:20-13:00: 40 min
  assertEquals(moved.changes, { actual_start_at: { before: at("12:30"), after: at("12:20") } });
  await happened("13:15", ben, b20, "START");
  await happened("14:00", ben, b20, "REPORT_QUANTITY", { qty_good: 18, qty_scrap: 2, reason_code: "SURFACE" });
  await happened("14:10", supervisor, b20, "CORRECT", { qty_good: -1, qty_scrap: 1 }); // 17 and 3
  await happened("14:30", ben, b20, "FINISH", { reason_code: "MATERIAL" }); // 13:15-14:30: 75 min

  // ------------------------------------------------------------ C: a shift offline; meanwhile the ERP thinks again
  const later = [
    {
      order_no: c,
      operation_no: "0010",
      asset_id: 1,
      qty_desired: 62,
      timestamp_ms: at("10:00"),
      change_type: "UPDATE",
    },
    {
      order_no: c,
      operation_no: "0020",
      asset_id: 1,
      status: "CANCELLED",
      timestamp_ms: at("10:05"),
      change_type: "UPDATE",
    },
  ];
  // the feed delivers twice and backwards
  assertEquals(await erp(later.toReversed()), ["updated", "updated"]);
  assertEquals(await erp(later), ["skipped_stale", "skipped_stale"]);
  const offline = (operation: Operation, time: string, action_type: Action, more: Record<string, unknown> = {}) => ({
    id: crypto.randomUUID(),
    action_type,
    ...pick(operation, "order_no", "operation_no", "workplace_name"),
    occurred_at: at(time),
    ...more,
  });
  const shift = [
    offline(c10, "06:10", "START", { phase: "SETUP" }),
    offline(c10, "06:40", "START"), // 30 min of setup
    offline(c10, "08:55", "REPORT_QUANTITY", { qty_good: 35, qty_scrap: 2, reason_code: "DIMENSION" }),
    offline(c10, "09:00", "STOP", { reason_code: "BREAK" }), // 06:40-09:00: 140 min
    offline(c10, "09:30", "START"),
    offline(c10, "10:55", "REPORT_QUANTITY", { qty_good: 24, qty_scrap: 1 }),
    offline(c10, "11:00", "COMPLETE"), // 09:30-11:00: 90 min; 62 - 59 = 3 were missing
    offline(c20, "11:30", "START"), // cancelled meanwhile
    offline(c20, "11:45", "REPORT_QUANTITY", { qty_good: 1 }),
  ];
  const upload = await ben.client.post<Results>("/events/v1/batch", { events: shift });
  assertEquals([upload.status, upload.body.summary], [207, { total: 9, recorded: 7, refused: 2 }]);
  for (const { problem } of upload.body.results.slice(7)) {
    assertEquals(pick(problem as ProblemBody, "code", "current_status"), {
      code: "invalid_state_transition",
      current_status: "CANCELLED",
    });
  }
  const reupload = await ben.client.post<Results>("/events/v1/batch", { events: shift });
  assertEquals([reupload.status, reupload.body.summary], [207, { total: 9, known: 7, refused: 2 }]);

  // ------------------------------------------------------------ the evening: what the day came to
  const numbers = async (operation: Operation) => {
    const { status, qty_desired, qty_good, qty_scrap, qty_processed, ...rest } = await find(
      operation.order_no,
      operation.operation_no,
    );
    const minutes = [rest.t_actual_setup_min, rest.t_actual_processing_min, rest.t_actual_lead_min];
    return [status, qty_desired, qty_good, qty_scrap, qty_processed, ...minutes, rest.source_conflict];
  };
  const sheet = {
    // 30 + 40 + 28 + 2 good, 2 + 1 scrap; setup 20; 100 + 45; 06:00-09:15 = 195
    "A/0010": [a10, "FINISHED", 100, 100, 3, 103, 20, 145, 195, false],
    // 60 + 40 good; 90; 09:30-11:00
    "A/0020": [a20, "FINISHED", 100, 100, 0, 100, 0, 90, 90, true],
    // 100 - 5 + 5 good; 90 + 15; 12:00-14:00 = 120
    "A/0030": [a30, "FINISHED", 100, 100, 0, 100, 0, 105, 120, false],
    // 25 + 17 - 3 + 2 good; 45 + 65; 09:20-11:55 = 155
    "B/0010": [b10, "FINISHED", 40, 41, 0, 41, 0, 110, 155, false],
    // 18 - 1 good, 2 + 1 scrap; 40 + 75; 12:20-14:30 = 130
    "B/0020": [b20, "FINISHED", 40, 17, 3, 20, 0, 115, 130, false],
    // 35 + 24 + 3 good, 2 + 1 scrap; setup 30; 140 + 90; 06:10-11:00 = 290
    "C/0010": [c10, "FINISHED", 62, 62, 3, 65, 30, 230, 290, false],
    "C/0020": [c20, "CANCELLED", 60, 0, 0, 0, null, null, null, false],
  } as const;
  for (const [name, [operation, ...expected]] of Object.entries(sheet)) {
    assertEquals(await numbers(operation), [...expected], name);
  }

  // the log: nothing twice, no gaps; 8 events of A/0010, 9 of B/0010, 3 of A/0020, 5 of A/0030, 8 of B/0020, 7 and 1 of C
  const counts = [];
  for (const operation of [a10, a20, a30, b10, b20, c10, c20]) {
    const events = await eventsOf(operation);
    assertEquals(events.map(({ op_seq }) => op_seq), events.map((_, index) => index + 1));
    counts.push(events.length);
    // good = what events added, less what they took back
    const sum = events.reduce(
      (total, { action_type, qty_good }) => total + (action_type === "REVERSE" ? -1 : 1) * qty_good,
      0,
    );
    assertEquals(sum, (await find(operation.order_no, operation.operation_no)).qty_good);
  }
  assertEquals(counts, [8, 3, 5, 9, 8, 7, 1]);

  // the laser by the runs: 20 + 100 + 45 of A, 45 + 65 of B, one after the other
  const laserRuns = [...await runsOf(a10), ...await runsOf(b10)];
  assertEquals(laserRuns.map(({ duration_min }) => duration_min), [20, 100, 45, 45, 65]);
  for (const [index, run] of laserRuns.entries()) {
    const next = laserRuns[index + 1];
    if (next) assert(run.ended_at !== null && run.ended_at <= next.started_at);
  }
  // who did what: the gateway began B, Anna went on after the hold
  assertEquals((await runsOf(b10)).map(({ user_id }) => user_id), [machine.id, anna.id]);

  // nothing is running, nothing is left to do but by those who plan
  for (const [name] of capacities) {
    const { body } = await supervisor.client.get<{ running_operations: unknown[] }>(`/workplaces/v1/${name}`);
    assertEquals(body.running_operations, []);
    assertEquals((await supervisor.client.get(`/workplaces/v1/${name}/queue`)).text, "[]");
  }

  // the laser's day as a report: POT 06:00-14:00 = 480; the break 08:00-08:30 = 30, so that PBT = 450
  const early = { shift_code: "EARLY", weekdays: [1, 2, 3, 4, 5, 6, 7], start_time: "06:00", end_time: "14:00" };
  const calendar = { name: unique("Calendar"), time_zone: "UTC", shifts: [{ ...early, valid_from: "2020-01-01" }] };
  assertEquals((await manager.client.post("/calendars/v1", calendar)).status, 201);
  assertEquals((await manager.client.patch(`/workplaces/v1/${laser}`, { calendar_name: calendar.name })).status, 200);
  for (const [operation, t_target_per_piece_min] of [[a10, 1], [b10, 2]] as const) {
    assertEquals((await manager.client.patch(operationPath(operation), { t_target_per_piece_min })).status, 200);
  }
  const { complete, scope, buckets: [laserDay] } = await oee(
    { workplace_name: laser, from: at("00:00"), to: at("23:00") },
    visitor.client,
  );
  assertEquals([complete, scope], [true, { access: "own", workplace_names: [laser] }]);
  assertExists(laserDay);
  assertEquals(figures(laserDay), {
    // 20 of setup; 100 + 45 + 45 + 65; blocked 10:05-10:45, paused until 10:50; 09:15-09:20 and 11:55-14:00
    ...{ PBT: 450, AUST: 20, APT: 255, ADET: 45, ADOT: 130 },
    // 255 / 450; (103 x 1 + 41 x 2) / 255; 141 / 144; (100 x 1 + 41 x 2) / 185; 182 / 450
    ...{ A: 0.566667, E: 0.72549, Q: 0.979167, weighted: 0.983784, OEE: 0.404444 },
  });
  const lost = await losses({ workplace_name: laser, from: at("00:00"), to: at("23:00") }, visitor.client);
  assertEquals(
    lost.buckets[0]?.losses.map(({ bucket, detail, reason_code, minutes }) => [bucket, detail, reason_code, minutes]),
    [
      ["ADOT", "idle", null, 130],
      ["ADET", "blocked", "QUALITY", 40],
      ["PDOT", "planned_stop", "BREAK", 30],
      ["AUST", "setup", null, 20],
      ["ADET", "paused", null, 5],
    ],
  );
  const { intervals } = await timeline({ workplace_name: laser, from: at("06:00"), to: at("14:00") }, visitor.client);
  assertEquals(linesOf(intervals), [
    "06:00 06:20 AUST setup",
    "06:20 08:00 APT processing",
    "08:00 08:30 PDOT planned_stop BREAK",
    "08:30 09:15 APT processing",
    "09:15 09:20 ADOT idle",
    "09:20 10:05 APT processing",
    "10:05 10:45 ADET blocked QUALITY",
    "10:45 10:50 ADET paused",
    "10:50 11:55 APT processing",
    "11:55 14:00 ADOT idle",
  ]);

  // each caller sees their part of the day
  const seen = async ({ client }: { client: Client }) => {
    const lists = await Promise.all(
      [a, b, c].map((order_no) => client.get<OperationWithActions[]>("/operations/v1", { query: { order_no } })),
    );
    return lists.flatMap(({ body }) => body.map((one) => `${one.order_no.slice(0, 1)}/${one.operation_no}`));
  };
  assertEquals(await seen(visitor), ["A/0010", "B/0010"]);
  assertEquals(await seen(machine), ["A/0010", "B/0010"]);
  assertEquals(await seen(anna), ["A/0010", "A/0020", "B/0010"]);
  assertEquals(await seen(ben), ["A/0030", "B/0020", "C/0010", "C/0020"]);
  for (const all of [supervisor, manager]) {
    assertEquals(await seen(all), ["A/0010", "A/0020", "A/0030", "B/0010", "B/0020", "C/0010", "C/0020"]);
  }
  assertProblem(await attempted(visitor, a10, "REVERSE", { reverses_event_id: counted.id }), 403, "forbidden");

  // and the rows are what the events say
  if (env.databaseUrl !== undefined) {
    assertEquals(await compareWithEvents(env.databaseUrl, [a, b, c]), { operations: 7, divergences: [] });
  }
});
