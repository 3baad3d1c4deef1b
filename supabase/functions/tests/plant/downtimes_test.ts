/** Downtimes: one at a time at a workplace, from all sources, and each change in the log. */
import type { DowntimeEvent } from "../../_shared/downtime.ts";
import type { ProblemBody } from "../support/harness.ts";
import {
  assert,
  assertEquals,
  assertProblem,
  env,
  newOperation,
  newUser,
  nextPage,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { at, eventsOf, minutesAgo, pick, read, reported, type Results, runsOf } from "../support/floor.ts";
import { race, tally } from "../support/racing.ts";
import { openEvents } from "../support/stream_client.ts";
import {
  aDowntimeReason,
  aWorkplace,
  command,
  type Downtime,
  downtimesOf,
  open,
  opened,
  signal,
  workplaceNow,
} from "../support/stops.ts";

const span = ({ started_at, ended_at }: Downtime) => [started_at, ended_at];
const cause = (downtime: Downtime) => pick(downtime, "category", "reason_code");

Deno.test("POST /downtimes/v1: opens an unexplained downtime, which the workplace names until it ends", async () => {
  const workplace = await aWorkplace();
  assertEquals((await workplaceNow(workplace)).stopped_by, null);
  const created = await open(workplace, { occurred_at: at("08:00"), note: "Smoke" });
  assertEquals(created.status, 201, created.text);
  const { id } = created.body;
  assertEquals(created.headers.get("location"), `/functions/v1/downtimes/v1/${id}`);
  assertEquals(created.headers.get("etag"), '"1"');
  const { created_at: _, updated_at: __, duration_min, ...rest } = created.body;
  assert(duration_min > 0);
  assertEquals(rest, {
    id,
    workplace_name: workplace,
    status: "OPEN",
    category: "UNPLANNED",
    reason_code: null,
    started_at: at("08:00"),
    ended_at: null,
    source: "SYSTEM",
    note: "Smoke",
    split_from: null,
    cancelled_at: null,
    user_id: null,
    user_email: null,
    reported_by: null,
    person: null,
    version: 1,
  });
  const stop = { downtime_id: id, category: "UNPLANNED", reason_code: null, since: at("08:00"), source: "SYSTEM" };
  assertEquals((await workplaceNow(workplace)).stopped_by, { ...stop, category: "UNPLANNED", source: "SYSTEM" });

  const ended = await command(created.body, "end", { occurred_at: at("08:12:30") });
  assertEquals(ended.status, 200, ended.text);
  assertEquals(pick(ended.body, "status", "ended_at", "duration_min", "version"), {
    status: "ENDED",
    ended_at: at("08:12:30"),
    duration_min: 12.5,
    version: 2,
  });
  assertEquals((await workplaceNow(workplace)).stopped_by, null);
  const got = await server.get<Downtime>(`/downtimes/v1/${id}`);
  assertEquals(got.body, ended.body);
  assertEquals((await server.get(`/downtimes/v1/${id}`, { headers: { "if-none-match": '"2"' } })).status, 304);
});

Deno.test("Downtimes: the source and the user are those of the caller", async () => {
  const workplace = await aWorkplace();
  for (const [role, source] of [["operator", "OPERATOR"], ["machine", "MACHINE"], ["manager", "OPERATOR"]] as const) {
    const { id, email, client } = await newUser({ role, workplaces: [workplace] });
    const downtime = await opened(workplace, {}, client);
    assertEquals(pick(downtime, "source", "user_id", "user_email"), { source, user_id: id, user_email: email });
    assertEquals((await command(downtime, "end", {}, client)).status, 200);
  }
});

Deno.test("POST /downtimes/v1: one of 32 openings at the same workplace wins", async () => {
  const workplace = await aWorkplace();
  const { client } = await newUser({ role: "operator", workplaces: [workplace] });
  const answers = await race(32, () => open<Downtime | ProblemBody>(workplace, {}, client));
  assertEquals(tally(answers.map(({ status }) => status)), { 201: 1, 409: 31 });
  const winner = answers.find(({ status }) => status === 201)?.body as Downtime;
  for (const answer of answers.filter(({ status }) => status === 409)) {
    assertEquals(assertProblem(answer, 409, "downtime_overlap").downtime_id, winner.id);
  }
  assertEquals((await downtimesOf(workplace)).map(({ id }) => id), [winner.id]);
});

Deno.test("Downtimes: 16 ends, splits and cancellations at once leave a log without gaps", async () => {
  const workplace = await aWorkplace();
  const downtime = await opened(workplace, { occurred_at: minutesAgo(60) });
  const answers = await race(
    16,
    (racer) =>
      racer % 3 === 0
        ? command(downtime, "end")
        : racer % 3 === 1
        ? command(downtime, "split", { at: minutesAgo(50 - racer) })
        : command(downtime, "cancel", { note: "No" }),
  );
  for (const { status, text } of answers) assert([200, 201, 422].includes(status), text);
  const all = [...await downtimesOf(workplace), ...await downtimesOf(workplace, { cancelled: true })];
  assert(all.length >= 1);
});

Deno.test("POST /downtimes/v1: the same id is the same downtime, with other content or another caller 409", async () => {
  const workplace = await aWorkplace();
  const id = crypto.randomUUID();
  const { client } = await newUser({ role: "operator", workplaces: [workplace] });
  const other = await newUser({ role: "operator", workplaces: [workplace] });
  const answers = await race(8, () => open(workplace, { id, occurred_at: at("08:00") }, client));
  assertEquals(tally(answers.map(({ status }) => status)), { 200: 7, 201: 1 });
  assertProblem(await open(workplace, { id, occurred_at: at("08:01") }, client), 409, "idempotency_conflict");
  assertProblem(await open(workplace, { id, occurred_at: at("08:00") }, other.client), 409, "idempotency_conflict");

  const ending = { id: crypto.randomUUID(), occurred_at: at("08:20") };
  const first = await command({ id }, "end", ending, client);
  const again = await command({ id }, "end", ending, client);
  assertEquals([first.status, again.status], [200, 200], again.text);
  assertEquals(again.body, first.body);
  assertEquals((await open(workplace, { id, occurred_at: at("08:00") }, client)).body, first.body);

  const splitting = { id: crypto.randomUUID(), at: at("08:10") };
  const later = await command({ id }, "split", splitting, client);
  const laterAgain = await command({ id }, "split", splitting, client);
  assertEquals([later.status, laterAgain.status], [201, 200], laterAgain.text);
  assertEquals(laterAgain.body, later.body);
  assertEquals(later.body.id, splitting.id);
});

Deno.test("Downtimes: an Idempotency-Key gets the stored answer again", async () => {
  const workplace = await aWorkplace();
  const headers = { "idempotency-key": crypto.randomUUID() };
  const body = { workplace_name: workplace, occurred_at: at("08:00") };
  const first = await server.post<Downtime>("/downtimes/v1", body, { headers });
  const again = await server.post<Downtime>("/downtimes/v1", body, { headers });
  assertEquals([first.status, again.status, again.text], [201, 201, first.text]);
  assertEquals(again.headers.get("idempotency-replayed"), "true");
  assertProblem(
    await server.post("/downtimes/v1", { ...body, note: "x" }, { headers }),
    422,
    "idempotency_key_reused",
  );
});

Deno.test("POST /downtimes/v1: takes the past as long as nothing overlaps, to the millisecond", async () => {
  const workplace = await aWorkplace();
  const now = await opened(workplace, { occurred_at: at("12:00") });
  assertProblem(await open(workplace, { occurred_at: at("08:00") }), 409, "downtime_overlap");
  const early = await opened(workplace, { occurred_at: at("08:00"), ended_at: at("09:00") });
  assertEquals([early.status, early.version], ["ENDED", 2]);
  await opened(workplace, { occurred_at: at("09:00"), ended_at: at("09:30") });
  await opened(workplace, { occurred_at: at("11:59"), ended_at: at("12:00") });
  for (
    const [occurred_at, ended_at] of [
      [at("07:00"), at("08:00:00.001")],
      [at("08:10"), at("08:20")],
      [at("08:59:59.999"), at("09:00")],
      [at("07:00"), at("13:00")],
      [at("12:30"), at("12:40")],
    ]
  ) {
    const problem = assertProblem(await open(workplace, { occurred_at, ended_at }), 409, "downtime_overlap");
    assert(problem.downtime_id);
  }
  assertProblem(await open(workplace, { occurred_at: at("07:00"), ended_at: at("06:00") }), 422, "validation_failed");
  assertEquals((await downtimesOf(workplace)).at(-1)?.id, now.id);
});

Deno.test("Downtimes: refuse the future, and of operators what is too old", async () => {
  const workplace = await aWorkplace();
  const operator = await newUser({ role: "operator", workplaces: [workplace] });
  const supervisor = await newUser({ role: "supervisor", workplaces: [workplace] });
  const old = { occurred_at: minutesAgo(40 * 24 * 60), ended_at: minutesAgo(40 * 24 * 60 - 10) };
  assertProblem(await open(workplace, { occurred_at: minutesAgo(-5) }), 422, "validation_failed");
  assertProblem(await open(workplace, old, operator.client), 422, "too_old");
  const downtime = await opened(workplace, old, supervisor.client);
  const reason_code = await aDowntimeReason();
  assertProblem(await command(downtime, "classify", { reason_code }, operator.client), 422, "too_old");
  assertProblem(await command(downtime, "cancel", { note: "No" }, operator.client), 422, "too_old");
  assertEquals((await command(downtime, "classify", { reason_code }, supervisor.client)).status, 200);
});

Deno.test("POST /downtimes/v1/{id}/end: refuses a time before the begin, and what has ended", async () => {
  const downtime = await opened(await aWorkplace(), { occurred_at: at("08:00") });
  const early = assertProblem(await command(downtime, "end", { occurred_at: at("07:59") }), 409, "out_of_order");
  assertEquals(early.last_occurred_at, at("08:00"));
  assertEquals((await command(downtime, "end", { occurred_at: at("08:00") })).body.duration_min, 0);
  const late = assertProblem(await command(downtime, "end"), 422, "invalid_state_transition");
  assertEquals(late.current_status, "ENDED");
  assertProblem(await command({ id: crypto.randomUUID() }, "end"), 404, "not_found");
});

Deno.test("POST /downtimes/v1/{id}/classify: the category is that of the reason unless it is stated", async () => {
  const family = await aDowntimeReason({ category: "PLANNED" });
  const cleaning = await aDowntimeReason({ category: "PLANNED", parent: family });
  const tool = await aDowntimeReason();
  const workplace = await aWorkplace();
  const downtime = await opened(workplace, { occurred_at: at("08:00") });
  const classified = await command(downtime, "classify", { reason_code: cleaning, note: "Weekly" });
  assertEquals([classified.status, cause(classified.body), classified.body.note], [
    200,
    { category: "PLANNED", reason_code: cleaning },
    "Weekly",
  ]);
  const again = await command(downtime, "classify", { reason_code: cleaning, category: "UNPLANNED" });
  assertEquals([cause(again.body), again.body.note], [{ category: "UNPLANNED", reason_code: cleaning }, "Weekly"]);
  assertEquals(cause((await command(downtime, "classify", { reason_code: tool })).body).category, "UNPLANNED");
  for (const reason_code of [unique("R"), "UNSPECIFIED"]) {
    assertProblem(await command(downtime, "classify", { reason_code }), 422, "validation_failed");
  }
  await server.patch(`/reason-codes/v1/DOWNTIME/${tool}`, { active: false });
  assertProblem(await command(downtime, "classify", { reason_code: tool }), 422, "validation_failed");
  assertProblem(await server.delete(`/reason-codes/v1/DOWNTIME/${tool}`), 409, "in_use");
  assertProblem(await server.delete(`/reason-codes/v1/DOWNTIME/${family}`), 409, "in_use");
  assertProblem(await server.delete(`/workplaces/v1/${workplace}`), 409, "in_use");
});

Deno.test("POST /downtimes/v1/{id}/split: makes two of one, open or ended, without a gap", async () => {
  const [tool, material] = [await aDowntimeReason(), await aDowntimeReason({ category: "PLANNED" })];
  const workplace = await aWorkplace();
  const whole = await opened(workplace, { occurred_at: at("08:00"), reason_code: tool });
  const later = await command(whole, "split", { at: at("08:20"), reason_code: material });
  assertEquals(later.status, 201, later.text);
  assertEquals([later.body.split_from, later.body.status, cause(later.body)], [
    whole.id,
    "OPEN",
    { category: "PLANNED", reason_code: material },
  ]);
  assertEquals((await command(later.body, "end", { occurred_at: at("09:00") })).status, 200);
  const last = await command(later.body, "split", { at: at("08:40") });
  assertEquals([last.body.status, cause(last.body)], ["ENDED", { category: "PLANNED", reason_code: null }]);
  assertEquals((await downtimesOf(workplace)).map(span), [
    [at("08:00"), at("08:20")],
    [at("08:20"), at("08:40")],
    [at("08:40"), at("09:00")],
  ]);
  for (const moment of [at("08:40"), at("09:00"), at("07:00"), at("10:00")]) {
    assertProblem(await command(last.body, "split", { at: moment }), 422, "validation_failed");
  }
});

Deno.test("POST /downtimes/v1/{id}/cancel: frees the time, keeps the downtime, and ends all that can be done with it", async () => {
  const workplace = await aWorkplace();
  const downtime = await opened(workplace, { occurred_at: at("08:00") });
  const reason_code = await aDowntimeReason();
  assertProblem(await command(downtime, "cancel"), 422, "validation_failed");
  const cancelled = await command(downtime, "cancel", { note: "Wrong workplace" });
  assertEquals([cancelled.status, cancelled.body.status], [200, "CANCELLED"]);
  assertEquals((await workplaceNow(workplace)).stopped_by, null);
  assertEquals(await downtimesOf(workplace), []);
  assertEquals((await downtimesOf(workplace, { cancelled: true })).map(({ id }) => id), [downtime.id]);
  await opened(workplace, { occurred_at: at("08:00") });
  for (
    const answer of [
      await command(downtime, "end"),
      await command(downtime, "classify", { reason_code }),
      await command(downtime, "split", { at: at("08:10") }),
      await command(downtime, "cancel", { note: "Again" }),
    ]
  ) {
    assertEquals(assertProblem(answer, 422, "invalid_state_transition").current_status, "CANCELLED");
  }
});

Deno.test("POST /downtimes/v1: stop_runs STOPs what runs there with the same reason, or nothing happens", async () => {
  const code = unique("R");
  for (const kind of ["DOWNTIME", "STOP"]) await server.post("/reason-codes/v1", { kind, code });
  const workplace = await aWorkplace();
  const [one, two, idle] = [
    await newOperation({ workplace_name: workplace }),
    await newOperation({ workplace_name: workplace }),
    await newOperation({ workplace_name: workplace }),
  ];
  const elsewhere = await newOperation();
  for (const operation of [one, two, elsewhere]) await reported(operation, ["START", { occurred_at: at("07:00") }]);

  // the START of two is later than the downtime: neither the downtime nor the STOP of one remains
  await reported(two, ["STOP", { occurred_at: at("07:10") }], ["START", { occurred_at: at("08:30") }]);
  assertProblem(
    await open(workplace, { occurred_at: at("08:00"), reason_code: code, stop_runs: true }),
    409,
    "out_of_order",
  );
  assertEquals([(await read(one)).status, await downtimesOf(workplace)], ["IN_PROGRESS", []]);

  const { client, id: user_id } = await newUser({ role: "operator", workplaces: [workplace] });
  await opened(workplace, { occurred_at: at("09:00"), reason_code: code, stop_runs: true }, client);
  for (const operation of [one, two]) {
    const after = await read(operation);
    assertEquals([after.status, after.hold_kind, after.hold_reason_code], ["ON_HOLD", "PAUSED", code]);
    const stop = (await eventsOf(operation)).at(-1);
    assert(stop);
    assertEquals(pick(stop, "action_type", "occurred_at", "reason_code", "user_id"), {
      action_type: "STOP",
      occurred_at: at("09:00"),
      reason_code: code,
      user_id,
    });
    assertEquals((await runsOf(operation)).at(-1)?.ended_at, at("09:00"));
  }
  assertEquals([(await read(idle)).status, (await read(elsewhere)).status], ["RELEASED", "IN_PROGRESS"]);
});

Deno.test("Downtimes: change neither the queue nor what may be done with an operation", async () => {
  const operation = await newOperation();
  const workplace = operation.workplace_name ?? "";
  const queue = () => server.get(`/workplaces/v1/${workplace}/queue`);
  const before = [(await queue()).text, JSON.stringify((await read(operation)).allowed_actions)];
  await opened(workplace, { occurred_at: at("08:00") });
  assertEquals([(await queue()).text, JSON.stringify((await read(operation)).allowed_actions)], before);
  assertEquals((await report(server, operation, "START")).status, 201);
});

Deno.test("GET /downtimes/v1: filters by place, openness, explanation, reason and window, and pages by cursor", async () => {
  const reason = await aDowntimeReason({ category: "PLANNED" });
  const [here, there] = [await aWorkplace(), await aWorkplace()];
  const a = await opened(here, { occurred_at: at("06:00"), ended_at: at("07:00"), reason_code: reason });
  const b = await opened(here, { occurred_at: at("08:00"), ended_at: at("09:00") });
  const c = await opened(here, { occurred_at: at("10:00") });
  const d = await opened(there, { occurred_at: at("08:30"), ended_at: at("08:45") });
  const names: Record<string, string> = { [a.id]: "a", [b.id]: "b", [c.id]: "c", [d.id]: "d" };
  const listed = async (query: Record<string, string | boolean | string[]>) => {
    const { status, body, text } = await server.get<Downtime[]>("/downtimes/v1", {
      query: { workplace_name: [here, there], ...query },
    });
    assertEquals(status, 200, text);
    return body.map(({ id }) => names[id]).join("");
  };
  assertEquals(await listed({}), "cdba");
  assertEquals(await listed({ workplace_name: there }), "d");
  assertEquals(await listed({ open: true }), "c");
  assertEquals(await listed({ open: false }), "dba");
  assertEquals(await listed({ unexplained: true }), "cdb");
  assertEquals(await listed({ unexplained: false }), "a");
  assertEquals(await listed({ category: "PLANNED" }), "a");
  assertEquals(await listed({ reason_code: [reason, "NONE"] }), "a");
  assertEquals(await listed({ from: at("07:00"), to: at("08:30") }), "b");
  assertEquals(await listed({ from: at("06:59:59.999"), to: at("08:30:00.001") }), "dba");
  assertEquals(await listed({ from: at("11:00") }), "c");
  assertEquals(await listed({ to: at("06:00") }), "");
  const found: string[] = [];
  const first = await server.get<Downtime[]>("/downtimes/v1", {
    query: { workplace_name: [here, there], limit: 1, count: "exact" },
  });
  assertEquals(first.headers.get("x-total-count"), "4");
  for (let page = first;;) {
    found.push(...page.body.map(({ id }) => names[id] ?? ""));
    const next = nextPage(page);
    if (next === undefined) break;
    page = await server.get<Downtime[]>(next);
  }
  assertEquals(found.join(""), "cdba");
  assertProblem(
    await server.get("/downtimes/v1", { query: { from: at("09:00"), to: at("08:00") } }),
    422,
    "validation_failed",
  );
});

Deno.test("POST /events/v1/batch: takes commands on downtimes in device order beside reports", async () => {
  const reason = await aDowntimeReason();
  const operation = await newOperation();
  const { order_no, operation_no, asset_id } = operation;
  const workplace_name = operation.workplace_name ?? "";
  const { client } = await newUser({ role: "operator", workplaces: [workplace_name] });
  const work = { order_no, operation_no, asset_id, workplace_name };
  const [first, second] = [crypto.randomUUID(), crypto.randomUUID()];
  // what another terminal has reported meanwhile is later than all of the batch
  await opened(workplace_name, { occurred_at: at("12:00") });
  const items = [
    { action_type: "START", ...work, occurred_at: at("07:00") },
    { action_type: "DOWNTIME_START", workplace_name, id: first, occurred_at: at("08:00"), stop_runs: true },
    { action_type: "DOWNTIME_CLASSIFY", workplace_name, downtime_id: first, reason_code: reason },
    { action_type: "DOWNTIME_SPLIT", workplace_name, downtime_id: first, id: second, at: at("08:10") },
    { action_type: "DOWNTIME_END", workplace_name, downtime_id: second, occurred_at: at("08:30") },
    { action_type: "START", ...work, occurred_at: at("08:30") },
    { action_type: "REPORT_QUANTITY", ...work, qty_good: 5, occurred_at: at("09:00") },
  ].map((item) => ({ id: crypto.randomUUID(), ...item }));
  const answer = await client.post<Results>("/events/v1/batch", { events: items, atomic: true });
  assertEquals(answer.status, 201, answer.text);
  assertEquals(answer.body.results.map(({ id }) => id), items.map(({ id }) => id));
  const downtimes = await downtimesOf(workplace_name);
  assertEquals(downtimes.slice(0, 2).map((downtime) => [...span(downtime), downtime.reason_code]), [
    [at("08:00"), at("08:10"), reason],
    [at("08:10"), at("08:30"), null],
  ]);
  assertEquals((await runsOf(operation)).map(({ started_at, ended_at }) => [started_at, ended_at]), [
    [at("07:00"), at("08:00")],
    [at("08:30"), null],
  ]);
  assertEquals((await read(operation)).qty_good, 5);
  const again = await client.post<Results>("/events/v1/batch", { events: items });
  assertEquals([again.status, again.body.summary], [200, { total: 7, known: 7 }], again.text);
});

Deno.test("POST /events/v1/batch: a rejected command on a downtime leaves the rest, and names what it needs", async () => {
  const [here, hidden] = [await aWorkplace(), await aWorkplace()];
  const { client } = await newUser({ role: "operator", workplaces: [here] });
  const id = crypto.randomUUID();
  await opened(here, { occurred_at: at("09:00"), ended_at: at("09:30") });
  const events = [
    { action_type: "DOWNTIME_START", workplace_name: hidden },
    { action_type: "DOWNTIME_END", workplace_name: here },
    { action_type: "DOWNTIME_START", workplace_name: here, id, occurred_at: at("09:10"), ended_at: at("09:20") },
    { action_type: "DOWNTIME_END", workplace_name: here, downtime_id: id, occurred_at: at("09:15") },
    { action_type: "DOWNTIME_START", workplace_name: here, occurred_at: at("10:00") },
    { action_type: "DOWNTIME_END", workplace_name: here, occurred_at: at("10:10") },
    { action_type: "DOWNTIME_START", workplace_name: here, qty_good: 1 },
  ];
  const { status, body, text } = await client.post<Results>("/events/v1/batch", { events });
  assertEquals(status, 207, text);
  assertEquals(body.results.map(({ status, problem, caused_by }) => [status, problem?.code, caused_by]), [
    [404, "not_found", undefined],
    [422, "invalid_state_transition", undefined],
    [409, "downtime_overlap", undefined],
    [404, "not_found", 2],
    [201, undefined, undefined],
    [201, undefined, undefined],
    [422, "validation_failed", undefined],
  ]);
  const atomic = await client.post("/events/v1/batch", { events: events.slice(1, 5), atomic: true });
  assertEquals(assertProblem(atomic, 422, "invalid_state_transition").index, 0);
});

Deno.test("POST /events/v1/batch: a START that a downtime of the batch stops needs no room at its workplace", async () => {
  const workplace_name = await aWorkplace({ capacity: 1 });
  const [busy, brief] = [await newOperation({ workplace_name }), await newOperation({ workplace_name })];
  await reported(busy, ["START", { occurred_at: at("10:00") }]);
  const { order_no, operation_no } = brief;
  const { status, text } = await server.post("/events/v1/batch", {
    events: [
      { action_type: "START", order_no, operation_no, workplace_name, occurred_at: at("07:00") },
      { action_type: "DOWNTIME_START", workplace_name, occurred_at: at("08:00"), ended_at: at("08:10") },
      { action_type: "STOP", order_no, operation_no, workplace_name, occurred_at: at("08:00") },
    ],
  });
  assertEquals(status, 201, text);
  assertEquals((await read(busy)).status, "IN_PROGRESS");
});

Deno.test("GET /events/v1/feed: has events of downtimes for those who ask, in one order with the others", async () => {
  const workplace_name = await aWorkplace();
  const operation = await newOperation({ workplace_name });
  const stream = await openEvents({ base: env.functionsUrl, credential: server.credential });
  const ready = await stream.next();
  await stream.leave();
  const cursor = ready?.cursor ?? "";
  await reported(operation, ["START", { occurred_at: at("07:00") }]);
  const downtime = await opened(workplace_name, { occurred_at: at("08:00"), stop_runs: true });
  await command(downtime, "end", { occurred_at: at("08:10") });
  type Feed = { events: { action_type: string; pos: number }[]; downtime_events?: DowntimeEvent[] };
  const read = async (query: Record<string, string | string[]>) => {
    const { status, body, text } = await server.get<Feed>("/events/v1/feed", {
      query: { after: cursor, workplace_name, wait: "2", ...query },
    });
    assertEquals(status, 200, text);
    return body;
  };
  const plain = await read({});
  assertEquals([plain.events.map(({ action_type }) => action_type), "downtime_events" in plain], [
    ["START", "STOP"],
    false,
  ]);
  const both = await read({ include: "downtimes" });
  const order = [...both.events, ...both.downtime_events ?? []]
    .toSorted((a, b) => (a.pos ?? 0) - (b.pos ?? 0)).map(({ action_type }) => action_type);
  assertEquals(order.toSorted(), ["DOWNTIME_END", "DOWNTIME_START", "START", "STOP"]);
  assertEquals([order[0], order.at(-1)], ["START", "DOWNTIME_END"]);
  const [start] = both.downtime_events ?? [];
  assert(start);
  assertEquals(pick(start, "id", "downtime_id", "seq", "workplace_name", "occurred_at", "reason_code"), {
    id: downtime.id,
    downtime_id: downtime.id,
    seq: 1,
    workplace_name,
    occurred_at: at("08:00"),
    reason_code: null,
  });
  const actions = await read({ include: "downtimes", action_type: "STOP" });
  assertEquals([actions.events.length, actions.downtime_events?.length], [1, 2]);
  const ofOrder = await read({ include: "downtimes", order_no: operation.order_no });
  assertEquals([ofOrder.events.length, ofOrder.downtime_events?.length], [2, 0]);
  const { client } = await newUser({ role: "operator", workplaces: [await aWorkplace()] });
  const hidden = await client.get<Feed>("/events/v1/feed", { query: { after: cursor, include: "downtimes" } });
  assertEquals(hidden.body.downtime_events, []);
});

Deno.test("POST /profiles/v1/{id}/forget: takes the address out of downtimes, their events and stored answers", async () => {
  const workplace_name = await aWorkplace();
  const operator = await newUser({ role: "operator", workplaces: [workplace_name] });
  const downtime = await opened(workplace_name, { occurred_at: at("08:00") }, operator.client);
  assertEquals(downtime.user_email, operator.email);
  const headers = { "idempotency-key": crypto.randomUUID() };
  const end = () =>
    server.post<Downtime>(`/downtimes/v1/${downtime.id}/end`, { occurred_at: at("08:10") }, { headers });
  assertEquals((await end()).body.user_email, operator.email);
  const forgotten = await server.post<{ events: number }>(`/profiles/v1/${operator.id}/forget`);
  assertEquals([forgotten.status, forgotten.body.events], [200, 1], forgotten.text);
  const replayed = await end();
  assertEquals(replayed.headers.get("idempotency-replayed"), "true");
  const now = await server.get<Downtime>(`/downtimes/v1/${downtime.id}`);
  for (const { body, text } of [replayed, now]) {
    assertEquals(pick(body, "user_id", "user_email", "status"), {
      user_id: operator.id,
      user_email: null,
      status: "ENDED",
    });
    assert(!text.includes(operator.email));
  }
});

Deno.test("GET /workplaces/v1/{name}: shows what stops it to those who see the workplace's events alone", async () => {
  const workplace = await aWorkplace();
  const { id } = await opened(workplace);
  assertEquals((await signal(workplace, "DOWN")).status, 201);
  for (const [workplaces, isSeen] of [[[workplace], true], [[await aWorkplace()], false]] as const) {
    const { client } = await newUser({ role: "readonly", workplaces: [...workplaces] });
    const { stopped_by, machine_state } = await workplaceNow(workplace, client);
    assertEquals([stopped_by?.downtime_id, machine_state?.state], isSeen ? [id, "DOWN"] : [undefined, undefined]);
  }
});
