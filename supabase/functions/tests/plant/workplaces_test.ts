/** Workplaces: who may change them, how many operations run at once, and what is next. */
import {
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
  report,
  server,
  unique,
} from "../support/harness.ts";
import type { QueuedOperation } from "../../_shared/queue.ts";
import type { Workplace, WorkplaceNow } from "../../workplaces/schemas.ts";
import { at, minutesAgo, patched, pick, read, reported, transition } from "../support/floor.ts";

const path = (name: string) => `/workplaces/v1/${encodeURIComponent(name)}`;

async function get(name: string, client = server): Promise<WorkplaceNow> {
  const { status, body, text } = await client.get<WorkplaceNow>(path(name));
  assertEquals(status, 200, text);
  return body;
}

/** A workplace of this capacity. */
async function placeFor(capacity: number | null): Promise<string> {
  const name = newWorkplace();
  const { status, text } = await server.post("/workplaces/v1", { name, capacity });
  assertEquals(status, 201, text);
  return name;
}

async function queueOf(name: string, client = server): Promise<QueuedOperation[]> {
  const { status, body, text } = await client.get<QueuedOperation[]>(`${path(name)}/queue`);
  assertEquals(status, 200, text);
  return body;
}

// ---------------------------------------------------------------- create, read, change, delete

Deno.test("POST /workplaces/v1: creates an active workplace without a limit, with Location and ETag, when only the name is given", async () => {
  const name = `${unique("W")} (Größe/1)`;
  const created = await server.post<Workplace>("/workplaces/v1", { name });
  assertEquals(created.status, 201, created.text);
  const { created_at, updated_at, ...rest } = created.body;
  assertEquals(rest, {
    name,
    workplace_group: null,
    capacity: null,
    active: true,
    calendar_name: null,
    time_basis: "UNIT",
    micro_stop_s: 0,
    signal_timeout_s: null,
    version: 1,
  });
  assert(Math.abs(Date.parse(created_at) - Date.now()) < 60_000 && created_at === updated_at);
  assertEquals(created.headers.get("etag"), '"1"');
  const location = created.headers.get("location") ?? "";
  assertEquals(location, `/functions/v1${path(name)}`);
  const read = await server.get<WorkplaceNow>(location.slice("/functions/v1".length));
  const now = { running_operations: [], stopped_by: null, machine_state: null };
  assertEquals([read.headers.get("etag"), read.body], ['"1"', { ...created.body, ...now }]);
  const full = { name: newWorkplace(), workplace_group: "Laser", capacity: 3, active: false };
  const other = await server.post<Workplace>("/workplaces/v1", full);
  assertEquals(pick(other.body, "name", "workplace_group", "capacity", "active"), full);
});

Deno.test("POST and PATCH /workplaces/v1: take a micro stop of 0 s to a day, and a timeout of signals of 1 s to a day or none", async () => {
  const name = newWorkplace();
  const fields = { micro_stop_s: 120, signal_timeout_s: 300 };
  const created = await server.post<Workplace>("/workplaces/v1", { name, ...fields });
  assertEquals(pick(created.body, "micro_stop_s", "signal_timeout_s"), fields);
  const change = (patch: Record<string, unknown>) => server.patch<Workplace>(`/workplaces/v1/${name}`, patch);
  const without = await change({ signal_timeout_s: null });
  assertEquals(pick(without.body, "micro_stop_s", "signal_timeout_s"), { micro_stop_s: 120, signal_timeout_s: null });
  assertEquals((await change({ micro_stop_s: 0 })).body.micro_stop_s, 0);
  for (
    const patch of [
      { micro_stop_s: -1 },
      { micro_stop_s: 86_401 },
      { micro_stop_s: null },
      { micro_stop_s: 1.5 },
      { signal_timeout_s: 0 },
      { signal_timeout_s: 86_401 },
    ]
  ) assertProblem(await change(patch), 422, "validation_failed");
});

Deno.test("POST /workplaces/v1: answers duplicate_workplace when the name exists, an operation made it, or 12 requests race", async () => {
  const { workplace_name } = await newOperation();
  assertProblem(await server.post("/workplaces/v1", { name: workplace_name }), 409, "duplicate_workplace");
  const name = newWorkplace();
  const answers = await Promise.all(Array.from({ length: 12 }, () => server.post("/workplaces/v1", { name })));
  assertEquals(answers.filter(({ status }) => status === 201).length, 1);
  for (const answer of answers) if (answer.status !== 201) assertProblem(answer, 409, "duplicate_workplace");
});

Deno.test("POST and PATCH /workplaces/v1: name the fields when values are invalid", async () => {
  const name = newWorkplace();
  const wrong: [Record<string, unknown>, string][] = [
    [{}, "/name"],
    [{ name: "" }, "/name"],
    [{ name: ".." }, "/name"],
    [{ name: "x".repeat(65) }, "/name"],
    [{ name, capacity: 0 }, "/capacity"],
    [{ name, capacity: 1.5 }, "/capacity"],
    [{ name, capacity: "1" }, "/capacity"],
    [{ name, capacity: 2_147_483_648 }, "/capacity"],
    [{ name, active: null }, "/active"],
    [{ name, version: 7 }, "/version"],
    [{ name, workplace_group: " padded" }, "/workplace_group"],
  ];
  for (const [body, pointer] of wrong) {
    const problem = assertProblem(await server.post("/workplaces/v1", body), 422, "validation_failed");
    assertEquals(problem.errors?.map((error) => error.pointer), [pointer], JSON.stringify(body));
  }
  assertProblem(await server.get(path(name)), 404, "not_found");
  await placeFor(1);
  const existing = await placeFor(1);
  for (const patch of [{}, { name: newWorkplace() }, { capacity: -1 }, { version: 1 }]) {
    assertProblem(await server.patch(path(existing), patch), 422, "validation_failed");
  }
});

Deno.test("PATCH and DELETE /workplaces/v1: count changes as versions, and answer 412 when If-Match is stale", async () => {
  const name = await placeFor(1);
  const changed = await server.patch<Workplace>(path(name), { capacity: 2, workplace_group: "Welding" }, {
    headers: { "if-match": '"1"' },
  });
  assertEquals([changed.status, changed.headers.get("etag")], [200, '"2"']);
  assertEquals(pick(changed.body, "capacity", "workplace_group", "active", "version"), {
    capacity: 2,
    workplace_group: "Welding",
    active: true,
    version: 2,
  });
  assertEquals((await server.patch<Workplace>(path(name), { capacity: 2 })).body.version, 2);
  for (const method of ["patch", "delete"] as const) {
    const stale = await (method === "patch"
      ? server.patch(path(name), { capacity: null }, { headers: { "if-match": '"1"' } })
      : server.delete(path(name), { headers: { "if-match": '"1"' } }));
    assertEquals(assertProblem(stale, 412, "stale_version").current_version, 2);
  }
  const cleared = await server.patch<Workplace>(path(name), { capacity: null, workplace_group: null, active: false });
  assertEquals(pick(cleared.body, "capacity", "workplace_group", "active", "version"), {
    capacity: null,
    workplace_group: null,
    active: false,
    version: 3,
  });
  const race = await Promise.all(
    Array.from(
      { length: 8 },
      (_, index) => server.patch(path(name), { capacity: index + 1 }, { headers: { "if-match": '"3"' } }),
    ),
  );
  assertEquals(race.filter(({ status }) => status === 200).length, 1);
  assertEquals((await server.delete(path(name), { headers: { "if-match": '"4"' } })).status, 204);
  for (
    const answer of [
      await server.get(path(name)),
      await server.patch(path(name), { capacity: 1 }),
      await server.delete(path(name)),
      await server.get(`${path(name)}/queue`),
    ]
  ) {
    assertProblem(answer, 404, "not_found");
  }
});

Deno.test("DELETE /workplaces/v1: answers in_use when the workplace has operations", async () => {
  const operation = await newOperation();
  const name = operation.workplace_name ?? "";
  assertProblem(await server.delete(path(name)), 409, "in_use");
  await reported(operation, ["CANCEL", { reason_code: "UNSPECIFIED" }]);
  assertProblem(await server.delete(path(name)), 409, "in_use");
  assertEquals((await server.delete(operationPath(operation))).status, 204);
  assertEquals((await server.delete(path(name))).status, 204);
});

Deno.test("Workplaces: are readable when the caller has a workplace, and changeable when the caller is a manager or above", async () => {
  const name = await placeFor(2);
  for (const role of ["readonly", "machine", "operator", "supervisor"] as const) {
    const { client } = await newUser({ role, workplaces: [name] });
    assertEquals((await get(name, client)).capacity, 2);
    assertEquals((await client.get("/workplaces/v1", { query: { limit: 1 } })).status, 200);
    const refused = [
      await client.post("/workplaces/v1", { name: newWorkplace() }),
      await client.patch(path(name), { capacity: 1 }),
      await client.delete(path(name)),
    ];
    for (const answer of refused) assertEquals(assertProblem(answer, 403, "forbidden").required_role, "manager");
  }
  for (const role of ["manager", "admin"] as const) {
    const { client } = await newUser({ role });
    const own = newWorkplace();
    assertEquals((await client.post("/workplaces/v1", { name: own })).status, 201);
    assertEquals((await client.patch(path(own), { capacity: 1 })).status, 200);
    assertEquals((await client.delete(path(own))).status, 204);
  }
  assertEquals((await get(name)).version, 1);
});

Deno.test("GET /workplaces/v1: filters, pages by cursor and counts when there are several", async () => {
  const group = unique("Group");
  const names = Array.from({ length: 7 }, () => newWorkplace()).toSorted();
  for (const [index, name] of names.entries()) {
    await server.post("/workplaces/v1", { name, workplace_group: group, active: index !== 3 });
  }
  const list = async (query: Record<string, string | number>) => {
    const { body } = await server.get<Workplace[]>("/workplaces/v1", { query: { workplace_group: group, ...query } });
    return body.map(({ name }) => name);
  };
  assertEquals(await list({}), names);
  assertEquals(await list({ active: "true" }), names.filter((_, index) => index !== 3));
  assertEquals(await list({ active: "false" }), [names[3]]);
  assertEquals(await list({ skip: 5 }), names.slice(5));
  const seen: string[] = [];
  let next: string | undefined = `/workplaces/v1?workplace_group=${group}&limit=3&count=exact`;
  const pages: number[] = [];
  while (next !== undefined) {
    const page = await server.get<Workplace[]>(next);
    assertEquals(page.headers.get("x-total-count"), "7");
    seen.push(...page.body.map(({ name }) => name));
    pages.push(page.body.length);
    next = nextPage(page);
  }
  assertEquals([pages, seen], [[3, 3, 1], names]);
  for (const query of ["active=yes", "limit=0", "limit=501", "cursor=x", "colour=red"]) {
    assertProblem(await server.get(`/workplaces/v1?${query}`), 422, "validation_failed");
  }
});

// ---------------------------------------------------------------- what runs

Deno.test("GET /workplaces/v1/{name}: lists running_operations, longest first, when the caller works there", async () => {
  const name = await placeFor(null);
  const operations = [];
  for (const minutes of [10, 30, 20]) {
    const operation = await newOperation({ workplace_name: name });
    await reported(operation, ["START", { occurred_at: minutesAgo(minutes) }]);
    operations.push(operation);
  }
  const [ten, thirty, twenty] = operations;
  await newOperation({ workplace_name: name });
  const order = (place: WorkplaceNow) => place.running_operations.map(({ order_no }) => order_no);
  const expected = [thirty, twenty, ten].map((operation) => operation?.order_no);
  assertEquals(order(await get(name)), expected);
  const [worker, stranger] = [await newUser({ workplaces: [name] }), await newUser({ workplaces: [newWorkplace()] })];
  assertEquals(order(await get(name, worker.client)), expected);
  assertEquals(order(await get(name, stranger.client)), []);
  const listed = async (client: Client) => {
    const query = { q: name, include: "running" };
    const { status, body: [place], text } = await client.get<WorkplaceNow[]>("/workplaces/v1", { query });
    assertEquals(status, 200, text);
    assertExists(place);
    return order(place);
  };
  assertEquals(await listed(server), expected);
  assertEquals(await listed(worker.client), expected);
  assertEquals(await listed(stranger.client), []);
  const { body: [plain] } = await server.get<Workplace[]>("/workplaces/v1", { query: { q: name } });
  assertEquals(plain && "running_operations" in plain, false);
  await reported(twenty as Operation, ["STOP"]);
  assertEquals(order(await get(name)), [thirty, ten].map((operation) => operation?.order_no));
});

Deno.test("POST START: 2 of 64 operations start at a workplace of capacity 2 when they race", async () => {
  const workplace_name = await placeFor(2);
  const order_no = unique("O");
  const rows = Array.from({ length: 64 }, (_, index) => ({
    order_no,
    asset_id: 1,
    operation_no: String(index).padStart(4, "0"),
    workplace_name,
    status: "RELEASED",
    timestamp_ms: at("06:00"),
  }));
  assertEquals((await server.post("/operations/v1/import", rows)).status, 200);
  const { body: operations } = await server.get<Operation[]>("/operations/v1", { query: { order_no } });
  const answers = await Promise.all(operations.map((operation, index) => {
    if (index % 3 === 0) return report<Record<string, unknown>>(server, operation, "START");
    if (index % 3 === 1) return transition<Record<string, unknown>>(server, operation, "START");
    return server.patch<Record<string, unknown>>(operationPath(operation), { status: "IN_PROGRESS" });
  }));
  const running = operations.filter((_, index) => (answers[index]?.status ?? 0) < 300).map((one) => one.operation_no);
  assertEquals(running.length, 2);
  const { running_operations } = await get(workplace_name);
  assertEquals(running_operations.map(({ operation_no }) => operation_no).toSorted(), running.toSorted());
  for (const answer of answers) {
    if (answer.status < 300) continue;
    const problem = assertProblem(answer, 409, "workplace_busy");
    assertEquals(problem.capacity, 2);
    const told = problem.running_operations as Operation[];
    assertEquals(told.map(({ operation_no }) => operation_no).toSorted(), running.toSorted());
  }
});

Deno.test("POST START: is rejected until an operation ends when the workplace is full", async () => {
  const workplace_name = await placeFor(1);
  const [first, second, third] = await Promise.all([1, 2, 3].map(() => newOperation({ workplace_name })));
  assertExists(first);
  assertExists(second);
  assertExists(third);
  await reported(first, ["START", { phase: "SETUP" }]);
  const startOf = async (operation: Operation) =>
    (await read(operation)).allowed_actions.find(({ action }) => action === "START");
  assertEquals(await startOf(second), { action: "START", allowed: false, blocked_by: "workplace_busy" });
  assertProblem(await report(server, second, "START", { dry_run: true }), 409, "workplace_busy");
  // what runs there changes its phase without more room
  assertEquals((await startOf(first))?.allowed, true);
  await reported(first, ["START"]);
  for (const capacity of [null, 3]) {
    assertEquals((await server.patch(path(workplace_name), { capacity })).status, 200);
    assertEquals((await report(server, second, "START", { dry_run: true })).status, 200);
  }
  await reported(second, ["START"]);
  assertEquals((await server.patch(path(workplace_name), { capacity: 1 })).status, 200);
  assertEquals((await get(workplace_name)).running_operations.length, 2);
  const problem = assertProblem(await report(server, third, "START"), 409, "workplace_busy");
  assertEquals([problem.capacity, (problem.running_operations as unknown[]).length], [1, 2]);
  // closing work is never refused because of the workplace, resuming is
  await reported(first, ["STOP"]);
  assertProblem(await report(server, first, "START"), 409, "workplace_busy");
  await reported(first, ["COMPLETE"]);
  await reported(second, ["COMPLETE"]);
  await reported(third, ["START"]);
  // a running operation may be planned elsewhere, which makes room here
  await patched(third, { workplace_name: newWorkplace() });
  assertEquals((await get(workplace_name)).running_operations, []);
});

// ---------------------------------------------------------------- what is next

Deno.test("GET queue: lists running operations first, then by planned start, each with blocked_by when the caller cannot start it", async () => {
  const workplace_name = await placeFor(1);
  const make = (overrides: Partial<Operation>) => newOperation({ workplace_name, ...overrides });
  const unplanned = await make({});
  const late = await make({ planned_start_at: at("12:00") });
  const early = await make({ planned_start_at: at("06:00"), status: "PLANNED" });
  const blocked = await make({ planned_start_at: at("07:00") });
  const running = await make({ planned_start_at: at("11:00") });
  const paused = await make({ planned_start_at: at("08:00") });
  const finished = await make({ planned_start_at: at("05:00") });
  const cancelled = await make({ planned_start_at: at("05:00") });
  await reported(blocked, ["HOLD", { reason_code: "QUALITY" }]);
  await reported(finished, ["START"], ["COMPLETE"]);
  await reported(paused, ["START"], ["STOP"]);
  await reported(cancelled, ["CANCEL", { reason_code: "UNSPECIFIED" }]);
  await reported(running, ["START"]);
  const order = [running, early, blocked, paused, late, unplanned].map(({ order_no }) => order_no);
  const [operator, reader] = await Promise.all([
    newUser({ workplaces: [workplace_name] }),
    newUser({ role: "readonly", workplaces: [workplace_name] }),
  ]);
  const queue = await queueOf(workplace_name, operator.client);
  assertEquals(queue.map(({ order_no }) => order_no), order);
  assertEquals(queue.map(({ blocked_by }) => blocked_by), [
    "already_running",
    "invalid_state_transition",
    "operation_blocked",
    "workplace_busy",
    "workplace_busy",
    "workplace_busy",
  ]);
  for (const { blocked_by, ...operation } of queue) {
    // as a single read says, and as a START would end
    const single = await read(operation, operator.client);
    const still = ({ t_actual_processing_min: _, ...rest }: OperationWithActions) => rest;
    assertEquals(still(operation), still(single));
    assertProblem(
      await report(operator.client, operation, "START", { dry_run: true }),
      blocked_by === "invalid_state_transition" ? 422 : 409,
      blocked_by as "workplace_busy",
    );
  }
  assertEquals(
    new Set((await queueOf(workplace_name, reader.client)).map(({ blocked_by }) => blocked_by)),
    new Set(["forbidden"]),
  );
  await reported(running, ["STOP"]);
  // the pause is a start planned at 11:00 now, and there is room
  const after = await queueOf(workplace_name, operator.client);
  assertEquals(
    after.map(({ order_no, blocked_by }) => [order_no, blocked_by]),
    [
      [early.order_no, "invalid_state_transition"],
      [blocked.order_no, "operation_blocked"],
      [paused.order_no, null],
      [running.order_no, null],
      [late.order_no, null],
      [unplanned.order_no, null],
    ],
  );
  const { body: two } = await operator.client.get<Operation[]>(`${path(workplace_name)}/queue`, {
    query: { limit: 2 },
  });
  assertEquals(two.map(({ order_no }) => order_no), [early.order_no, blocked.order_no]);
  const stranger = await newUser({ workplaces: [newWorkplace()] });
  assertEquals(await queueOf(workplace_name, stranger.client), []);
  assertProblem(await operator.client.get(`${path(newWorkplace())}/queue`), 404, "not_found");
});
