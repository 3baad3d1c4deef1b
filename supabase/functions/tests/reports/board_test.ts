/** GET /reports/v1/board: states and since when, progress, the queue, stops, what is late, and OEE of the shift. */
import type { Board } from "../../reports/board-schemas.ts";
import {
  assert,
  assertEquals,
  assertExists,
  type Client,
  newOperation,
  newUser,
  type Operation,
  server,
  unique,
} from "../support/harness.ts";
import { minutesAgo, read, reported } from "../support/floor.ts";
import { aDowntimeReason, command, opened, signalled } from "../support/stops.ts";
import { newPlace, oee, shift } from "../support/reports.ts";

type Place = Board["workplaces"][number];

const startedAtMs = Date.now();

/** So many minutes after these tests began, to the minute. */
const inMinutes = (minutes: number) => `${new Date(startedAtMs + minutes * 60_000).toISOString().slice(0, 16)}:00.000Z`;

/** A shift of every day, from so many minutes after now to so many. */
const shiftOf = (from: number, to: number) => shift("DAY", inMinutes(from).slice(11, 16), inMinutes(to).slice(11, 16));

/** A shift in which these tests take place, and its begin. */
const nowadays = [shiftOf(-180, 180)];
const shiftBegan = inMinutes(-180);

async function board(query: Record<string, string | string[]>, client: Client = server): Promise<Board> {
  const { status, body, text } = await client.get<Board>("/reports/v1/board", { query });
  assertEquals(status, 200, text);
  return body;
}

async function placeOf(workplace_name: string, query = {}): Promise<Place> {
  const { workplaces } = await board({ workplace_name, ...query });
  assertEquals(workplaces.length, 1);
  return workplaces[0] as Place;
}

const stateOf = async (workplace_name: string) => {
  const { state, since } = await placeOf(workplace_name);
  return [state, since];
};

const keyOf = ({ order_no, asset_id, operation_no }: Pick<Operation, "order_no" | "asset_id" | "operation_no">) => ({
  order_no,
  asset_id,
  operation_no,
});

Deno.test("GET /reports/v1/board: a workplace without work is idle since its shift began", async () => {
  const name = await newPlace(nowadays);
  const place = await placeOf(name);
  assertEquals([place.state, place.since], ["idle", shiftBegan]);
  assertEquals([place.running, place.next, place.stop, place.machine_state, place.oee], [[], [], null, null, null]);
  assertEquals(place.shift, {
    ...{ shift_date: shiftBegan.slice(0, 10), shift_code: "DAY", from: shiftBegan, to: inMinutes(180) },
    break_until: null,
  });
});

Deno.test("GET /reports/v1/board: a workplace follows its work: setup, running, paused, blocked, idle", async () => {
  const workplace_name = await newPlace(nowadays);
  const operation = await newOperation({ workplace_name, qty_desired: 50 });
  const [setup, start, stop, again, held] = [
    minutesAgo(40),
    minutesAgo(30),
    minutesAgo(20),
    minutesAgo(10),
    minutesAgo(5),
  ];
  await reported(operation, ["START", { phase: "SETUP", occurred_at: setup }]);
  assertEquals(await stateOf(workplace_name), ["setup", setup]);
  await reported(operation, ["START", { phase: "PROCESSING", occurred_at: start }]);
  assertEquals(await stateOf(workplace_name), ["running", start]);
  await reported(operation, ["STOP", { occurred_at: stop }]);
  assertEquals(await stateOf(workplace_name), ["paused", stop]);
  await reported(operation, ["START", { occurred_at: again }], [
    "HOLD",
    { reason_code: "UNSPECIFIED", occurred_at: held },
  ]);
  assertEquals(await stateOf(workplace_name), ["blocked", held]);
  await reported(operation, ["RELEASE"], ["START"], ["FINISH", { reason_code: "UNSPECIFIED" }]);
  const { actual_end_at } = await read(operation);
  assertEquals(await stateOf(workplace_name), ["idle", actual_end_at]);
});

Deno.test("GET /reports/v1/board: a downtime stops a workplace whatever runs, and tells whether it is explained", async () => {
  const workplace_name = await newPlace(nowadays);
  const operation = await newOperation({ workplace_name });
  const [start, down, up] = [minutesAgo(30), minutesAgo(20), minutesAgo(10)];
  await reported(operation, ["START", { occurred_at: start }]);
  const downtime = await opened(workplace_name, { occurred_at: down, note: "Anna dropped a tool" });
  const stopped = await placeOf(workplace_name);
  assertEquals([stopped.state, stopped.since], ["down", down]);
  assertEquals(stopped.stop, {
    ...{ downtime_id: downtime.id, category: "UNPLANNED", since: down, source: "SYSTEM" },
    ...{ reason_code: null, reason_description: null },
  });
  const reason_code = await aDowntimeReason({ description: "Tool broken", category: "UNPLANNED" });
  assertEquals((await command(downtime, "classify", { reason_code })).status, 200);
  const { stop } = await placeOf(workplace_name);
  assertEquals([stop?.reason_code, stop?.reason_description], [reason_code, "Tool broken"]);
  assertEquals((await command(downtime, "end", { occurred_at: up })).status, 200);
  const again = await placeOf(workplace_name);
  assertEquals([again.state, again.since, again.stop], ["running", up, null]);
});

Deno.test("GET /reports/v1/board: a machine that is down stops its workplace, and a silent one is unknown", async () => {
  const [down, silent] = [await newPlace(nowadays), await newPlace(nowadays, { signal_timeout_s: 60 })];
  const [since, heard] = [minutesAgo(5), minutesAgo(4)];
  await signalled(down, ["DOWN", since]);
  await signalled(silent, ["IDLE", heard]);
  const stopped = await placeOf(down);
  assertEquals([stopped.state, stopped.since, stopped.stop?.source], ["down", since, "MACHINE"]);
  assertEquals(stopped.machine_state, { state: "DOWN", since, heard_at: since });
  const unheard = new Date(Date.parse(heard) + 60_000).toISOString();
  const unknown = await placeOf(silent);
  assertEquals([unknown.state, unknown.since], ["unknown", unheard]);
  assertEquals(unknown.machine_state, { state: "UNKNOWN", since: unheard, heard_at: heard });
});

Deno.test("GET /reports/v1/board: a workplace is off shift between shifts, unless it works", async () => {
  const workplace_name = await newPlace([shiftOf(60, 120)]);
  const place = await placeOf(workplace_name);
  assertEquals([place.state, place.shift], ["off_shift", null]);
  assertEquals([place.since, place.next_shift_at], [inMinutes(120 - 24 * 60), inMinutes(60)]);
  const start = minutesAgo(3);
  await reported(await newOperation({ workplace_name }), ["START", { occurred_at: start }]);
  assertEquals(await stateOf(workplace_name), ["running", start]);
});

Deno.test("GET /reports/v1/board: a closed date has no shift, and a break of the shift has an end", async () => {
  const [closed, atBreak] = [
    await newPlace(nowadays),
    await newPlace([{
      ...nowadays[0],
      breaks: [{ start: inMinutes(-10).slice(11, 16), end: inMinutes(20).slice(11, 16) }],
    }]),
  ];
  const { body } = await server.get<{ calendar_name: string }>(`/workplaces/v1/${closed}`);
  const exceptions = [{ date: shiftBegan.slice(0, 10), kind: "CLOSED" }];
  const stored = await server.post(`/calendars/v1/${body.calendar_name}/exceptions`, { exceptions });
  assertEquals(stored.status, 200, stored.text);
  const place = await placeOf(closed);
  assertEquals([place.state, place.shift], ["off_shift", null]);
  assertEquals([place.since, place.next_shift_at], [inMinutes(180 - 24 * 60), inMinutes(24 * 60 - 180)]);
  assertEquals((await placeOf(atBreak)).shift?.break_until, inMinutes(20));
});

Deno.test("GET /reports/v1/board: running operations tell their progress and expect their end at their pace", async () => {
  const workplace_name = await newPlace(nowadays);
  const planned = await newOperation({ workplace_name, qty_desired: 60, t_target_processing_min: 90 });
  await reported(planned, ["START", { occurred_at: minutesAgo(30) }]);
  const before = await board({ workplace_name });
  const [first] = before.workplaces[0]?.running ?? [];
  assertExists(first);
  assertEquals(keyOf(first), keyOf(planned));
  const minutesLeft = ({ at }: Board, { expected_end_at }: Place["running"][number]) =>
    Math.round((Date.parse(expected_end_at ?? "") - Date.parse(at)) / 60_000);
  // by the plan: 90 minutes, of which 30 have passed
  assertEquals(minutesLeft(before, first), 60);
  await reported(planned, [
    "REPORT_QUANTITY",
    { qty_good: 20, qty_scrap: 1, reason_code: "SURFACE", occurred_at: minutesAgo(1) },
  ]);
  const after = await board({ workplace_name });
  const [second] = after.workplaces[0]?.running ?? [];
  assertExists(second);
  assertEquals([second.qty_desired, second.qty_good, second.qty_scrap], [60, 20, 1]);
  assertEquals(Math.round(second.t_actual_processing_min ?? 0), 30);
  // 20 pieces in 30 minutes: 40 more take 60
  assertEquals(minutesLeft(after, second), 60);
  assertEquals([after.workplaces[0]?.running_count, second.phase, second.status], [1, "PROCESSING", "IN_PROGRESS"]);
});

Deno.test("GET /reports/v1/board: shows the next three of the queue, and what is late, the latest first", async () => {
  const workplace_name = await newPlace(nowadays);
  const plan = (start: number) => ({
    workplace_name,
    planned_start_at: minutesAgo(-start),
    planned_end_at: minutesAgo(-start - 30),
  });
  const [fourth, first, third, second, running] = [
    await newOperation(plan(400)),
    await newOperation(plan(-300)),
    await newOperation(plan(300)),
    await newOperation(plan(-200)),
    await newOperation(plan(-100)),
  ];
  assert(fourth !== undefined);
  await reported(running, ["START"]);
  const { workplaces: [place], late } = await board({ workplace_name });
  assertEquals(place?.next.map(keyOf), [first, second, third].map(keyOf));
  assertEquals(place?.running.map(keyOf), [keyOf(running)]);
  assertEquals([late.count, late.operations.map(keyOf)], [3, [first, second, running].map(keyOf)]);
});

Deno.test("GET /reports/v1/board: OEE of the shift is that of the report", async () => {
  const workplace_name = await newPlace(nowadays);
  const operation = await newOperation({ workplace_name, qty_desired: 500, t_target_per_piece_min: 1 });
  await reported(
    operation,
    ["START", { occurred_at: minutesAgo(50) }],
    ["REPORT_QUANTITY", { qty_good: 30, occurred_at: minutesAgo(10) }],
    ["STOP", { occurred_at: minutesAgo(5), reason_code: "MATERIAL" }],
  );
  const { oee: shown } = await placeOf(workplace_name, { include: "oee" });
  assertExists(shown);
  const { buckets: [bucket] } = await oee({ workplace_name, by: "workplace", from: shown.from, to: shown.to });
  assertExists(bucket);
  const { oee: ratio, availability, effectiveness, quality_weighted } = bucket.ratios;
  assertEquals(shown, {
    ...{ from: shiftBegan, to: shown.to, oee: ratio, availability, effectiveness, quality_weighted },
    ...{ partial: bucket.partial, pieces: bucket.pieces, losses: bucket.losses.slice(0, 5), reasons: bucket.reasons },
  });
  assert(ratio !== null && ratio > 0);
});

Deno.test("GET /reports/v1/board: a group shows what is in use, and a supervisor what is theirs", async () => {
  const workplace_group = unique("Group");
  const [mine, other, retired] = [
    await newPlace(nowadays, { workplace_group }),
    await newPlace(null, { workplace_group }),
    await newPlace(null, { workplace_group, active: false }),
  ];
  const namesOf = ({ workplaces }: Board) => workplaces.map(({ name }) => name);
  assertEquals(namesOf(await board({ workplace_group })), [mine, other].toSorted());
  assertEquals(namesOf(await board({ workplace_name: retired })), [retired]);
  const { client } = await newUser({ role: "supervisor", workplaces: [mine] });
  const own = await board({ workplace_group }, client);
  assertEquals([namesOf(own), own.scope], [[mine], { access: "own", workplace_names: [mine] }]);
  assertEquals((await client.get("/reports/v1/board", { query: { workplace_name: other } })).status, 404);
});

Deno.test("GET /reports/v1/board: names nobody and repeats no words of anybody", async () => {
  const workplace_name = await newPlace(nowadays);
  const { client, id, email } = await newUser({ role: "supervisor", workplaces: [workplace_name] });
  const operation = await newOperation({ workplace_name });
  const note = unique("Note");
  for (const action of ["START", "STOP"] as const) {
    const { order_no, operation_no, asset_id } = operation;
    const said = { note, operation_data: { said: note } };
    const answer = await client.post("/events/v1", {
      action_type: action,
      ...{ order_no, operation_no, asset_id, workplace_name, ...said },
    });
    assertEquals(answer.status, 201, answer.text);
  }
  await opened(workplace_name, { note }, client);
  const { status, text } = await client.get("/reports/v1/board", { query: { workplace_name, include: "oee" } });
  assertEquals(status, 200, text);
  assert(text.includes(operation.order_no));
  for (const word of [note, id, email]) assertEquals(text.includes(word), false, text);
});
