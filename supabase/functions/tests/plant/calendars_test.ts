/** Calendars: shifts as they take place, where clocks change, too; exceptions, overlaps, and that the past stays. */
import {
  assert,
  assertEquals,
  assertProblem,
  newUser,
  newWorkplace,
  nextPage,
  type ProblemBody,
  server,
  unique,
} from "../support/harness.ts";
import type { Calendar, CalendarException, ShiftOccurrence } from "../../calendars/schemas.ts";
import { pick } from "../support/floor.ts";

const path = (name: string) => `/calendars/v1/${encodeURIComponent(name)}`;

interface Pattern {
  shift_code: string;
  weekdays: number[];
  start_time: string;
  end_time: string;
  breaks?: { start: string; end: string }[];
  valid_from: string;
  valid_to?: string | null;
}

const everyDay = [1, 2, 3, 4, 5, 6, 7];

/** A pattern: code, begin and end, each day from 2026 on unless said otherwise. */
const pattern = (shift_code: string, start_time: string, end_time: string, more: Partial<Pattern> = {}): Pattern => ({
  ...{ shift_code, start_time, end_time, weekdays: everyDay, valid_from: "2026-01-01" },
  ...more,
});

const create = (shifts: Pattern[], time_zone = "Europe/Amsterdam", name = unique("Calendar")) =>
  server.post<Calendar>("/calendars/v1", { name, time_zone, shifts });

async function created(shifts: Pattern[], time_zone?: string): Promise<string> {
  const { status, body, text } = await create(shifts, time_zone);
  assertEquals(status, 201, text);
  return body.name;
}

async function shiftsOf(name: string, from: string, to: string): Promise<ShiftOccurrence[]> {
  const { status, body, text } = await server.get<ShiftOccurrence[]>(`${path(name)}/shifts`, { query: { from, to } });
  assertEquals(status, 200, text);
  return body;
}

/** Shifts as one line each: date, code, instants, planned minutes. */
const lines = (shifts: ShiftOccurrence[]) =>
  shifts.map(({ shift_date, shift_code, from, to, planned_min }) =>
    `${shift_date} ${shift_code} ${from.slice(5, 16)} ${to.slice(5, 16)} ${planned_min}`
  );

async function use(name: string): Promise<string> {
  const workplace = newWorkplace();
  const { status, text } = await server.post("/workplaces/v1", { name: workplace, calendar_name: name });
  assertEquals(status, 201, text);
  return workplace;
}

/** Local date in Amsterdam, some days from now. */
const localDate = (days: number) =>
  new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Amsterdam" }).format(Date.now() + days * 86_400_000);

Deno.test("POST /calendars/v1: creates a calendar with its shifts, Location and ETag, and answers 409 when the name exists", async () => {
  const name = `${unique("Two shifts")} (Größe/1)`;
  const early = pattern("EARLY", "06:00", "14:00", { weekdays: [5, 1, 1], breaks: [{ start: "09:30", end: "10:00" }] });
  const answer = await create([early], undefined, name);
  assertEquals(answer.status, 201, answer.text);
  assertEquals(pick(answer.body, "name", "time_zone", "shifts", "version"), {
    name,
    time_zone: "Europe/Amsterdam",
    shifts: [{ ...early, weekdays: [1, 5], breaks: [{ start: "09:30", end: "10:00" }], valid_to: null }],
    version: 1,
  });
  const location = answer.headers.get("location") ?? "";
  assertEquals([location, answer.headers.get("etag")], [`/functions/v1${path(name)}`, '"1"']);
  const read = await server.get<Calendar>(location.slice("/functions/v1".length));
  assertEquals([read.headers.get("etag"), read.body], ['"1"', answer.body]);
  assertEquals((await server.get(path(name), { headers: { "if-none-match": '"1"' } })).status, 304);
  assertProblem(await create([], undefined, name), 409, "duplicate_calendar");
  assertProblem(await server.get(path(unique("C"))), 404, "not_found");
});

Deno.test("POST /calendars/v1: names the fields when values are invalid", async () => {
  const good = pattern("EARLY", "06:00", "14:00");
  const wrong: [Record<string, unknown>, string][] = [
    [{ time_zone: "Europe/Atlantis" }, "/time_zone"],
    [{ time_zone: "CET-1" }, "/time_zone"],
    [{ shifts: [{ ...good, weekdays: [] }] }, "/shifts/0/weekdays"],
    [{ shifts: [{ ...good, weekdays: [0] }] }, "/shifts/0/weekdays/0"],
    [{ shifts: [{ ...good, start_time: "24:00" }] }, "/shifts/0/start_time"],
    [{ shifts: [{ ...good, start_time: "6:00" }] }, "/shifts/0/start_time"],
    [{ shifts: [{ ...good, valid_from: "2026-02-30" }] }, "/shifts/0/valid_from"],
    [{ shifts: [good, { ...good, valid_to: "2025-12-31" }] }, "/shifts/1/valid_to"],
    [{ shifts: [{ ...good, breaks: [{ start: "13:45", end: "14:15" }] }] }, "/shifts/0/breaks"],
    [{ shifts: [{ ...good, breaks: [{ start: "05:00", end: "05:30" }] }] }, "/shifts/0/breaks"],
    [{ shifts: Array(51).fill(good) }, "/shifts"],
  ];
  for (const [more, pointer] of wrong) {
    const answer = await server.post("/calendars/v1", { name: unique("C"), time_zone: "UTC", ...more });
    const problem = assertProblem(answer, 422, "validation_failed");
    assertEquals(problem.errors?.[0]?.pointer, pointer, JSON.stringify(more));
  }
});

Deno.test("GET shifts: night shifts have 7 or 9 hours when clocks change (E4)", async () => {
  const name = await created([
    pattern("NIGHT", "22:00", "06:00", { breaks: [{ start: "02:15", end: "02:45" }] }),
    pattern("EARLY", "06:00", "14:00"),
  ]);
  const spring = await shiftsOf(name, "2026-03-28T20:30:00Z", "2026-03-29T12:00:00Z");
  assertEquals(lines(spring), [
    "2026-03-28 NIGHT 03-28T21:00 03-29T04:00 390",
    "2026-03-29 EARLY 03-29T04:00 03-29T12:00 480",
  ]);
  assertEquals(spring[0]?.length_min, 420);
  assertEquals([spring[0]?.from_local, spring[0]?.to_local], ["2026-03-28T22:00", "2026-03-29T06:00"]);
  const autumn = await shiftsOf(name, "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z");
  assertEquals(lines(autumn), ["2026-10-24 NIGHT 10-24T20:00 10-25T05:00 510"]);
  assertEquals(lines(await shiftsOf(name, "2026-06-01T20:00:00Z", "2026-06-02T04:00:00Z")), [
    "2026-06-01 NIGHT 06-01T20:00 06-02T04:00 450",
  ]);
  // half-open: what ends as the window begins, and what begins as it ends, is not in it
  assertEquals(await shiftsOf(name, "2026-06-02T12:00:00Z", "2026-06-02T20:00:00Z"), []);
  assertEquals(await shiftsOf(name, "2026-06-02T08:00:00Z", "2026-06-02T08:00:00Z").then(lines), [
    "2026-06-02 EARLY 06-02T04:00 06-02T12:00 480",
  ]);
});

Deno.test("POST /calendars/v1: rejects shifts that overlap, on the clock or only where clocks change", async () => {
  const overlaps: [Pattern[], string, string][] = [
    [[pattern("A", "06:00", "14:00"), pattern("B", "13:30", "22:00")], "B", "2025-12-31"],
    [[pattern("A", "22:00", "06:00"), pattern("B", "05:59", "14:00")], "B", "2026-01-02"],
    // Friday's night reaches into Saturday
    [[pattern("A", "22:00", "06:00", { weekdays: [5] }), pattern("B", "05:00", "13:00", { weekdays: [6] })], "B", ""],
    // 02:45 does not exist in the night to 29 March and is read as 03:45
    [[pattern("A", "22:00", "02:45"), pattern("B", "03:00", "06:00")], "B", "2026-03-29"],
    // the same code twice on a day
    [[pattern("A", "06:00", "10:00"), pattern("A", "12:00", "16:00")], "A", ""],
    // each alone is fine, until the second begins
    [[pattern("A", "06:00", "14:00"), pattern("B", "08:00", "10:00", { valid_from: "2031-05-05" })], "B", "2031-05-05"],
  ];
  for (const [shifts, code, date] of overlaps) {
    const name = unique("Calendar");
    const problem = assertProblem(await create(shifts, undefined, name), 409, "shift_overlap");
    assertEquals(problem.shift_code, code, problem.detail);
    if (date > "2026") assertEquals(problem.shift_date, date, problem.detail);
    assertProblem(await server.get(path(name)), 404, "not_found");
  }
  // that touch, that never meet, and that have no such night
  for (
    const shifts of [
      [pattern("A", "06:00", "14:00"), pattern("B", "14:00", "22:00"), pattern("C", "22:00", "06:00")],
      [pattern("A", "06:00", "14:00", { weekdays: [1] }), pattern("B", "08:00", "10:00", { weekdays: [2] })],
      [
        pattern("A", "06:00", "14:00", { valid_to: "2026-06-30" }),
        pattern("A", "07:00", "15:00", { valid_from: "2026-07-01" }),
      ],
      [pattern("A", "06:00", "06:00")],
    ]
  ) await created(shifts);
  await created([pattern("A", "22:00", "02:45"), pattern("B", "03:00", "06:00")], "UTC");
});

Deno.test("Exceptions: close a date, a shift or some hours, and add shifts, when they are stored, and not when they are deleted", async () => {
  const name = await created([
    pattern("EARLY", "06:00", "14:00", { breaks: [{ start: "09:30", end: "10:00" }] }),
    pattern("NIGHT", "22:00", "06:00"),
  ], "UTC");
  const put = (date: string, body: unknown, headers = {}) =>
    server.put<CalendarException>(`${path(name)}/exceptions/${date}`, body, { headers });
  const planned = async (date: string) => {
    const shifts = await shiftsOf(name, `${date}T06:00:00Z`, `${date}T23:59:00Z`);
    return shifts.filter(({ shift_date }) => shift_date === date).map(({ shift_code, planned_min }) =>
      `${shift_code} ${planned_min}`
    );
  };
  assertEquals(await planned("2026-11-24"), ["EARLY 450", "NIGHT 480"]);
  const closed = await put("2026-11-24", { kind: "CLOSED", note: "Stocktaking" });
  assertEquals([closed.status, closed.headers.get("etag")], [200, '"2"'], closed.text);
  assertEquals(closed.body, {
    ...{ date: "2026-11-24", kind: "CLOSED", shift_code: null, start_time: null, end_time: null },
    note: "Stocktaking",
  });
  assertEquals(await planned("2026-11-24"), ["EARLY 0", "NIGHT 0"]);
  await put("2026-11-24", { kind: "CLOSED", shift_code: "NIGHT" });
  assertEquals(await planned("2026-11-24"), ["EARLY 450", "NIGHT 0"]);
  // over the break and beyond the shift
  await put("2026-11-24", { kind: "CLOSED", start_time: "09:45", end_time: "15:00" });
  assertEquals(await planned("2026-11-24"), ["EARLY 210", "NIGHT 480"]);
  // hours after midnight are hours of the night's date
  await put("2026-11-24", { kind: "CLOSED", shift_code: "NIGHT", start_time: "01:00", end_time: "03:00" });
  assertEquals(await planned("2026-11-24"), ["EARLY 450", "NIGHT 360"]);
  await put("2026-11-25", { kind: "EXTRA", start_time: "14:00", end_time: "18:00" });
  await put("2026-11-26", { kind: "EXTRA", shift_code: "LATE", start_time: "15:00", end_time: "17:30" });
  assertEquals(await planned("2026-11-25"), ["EARLY 450", "EXTRA 240", "NIGHT 480"]);
  assertEquals(await planned("2026-11-26"), ["EARLY 450", "LATE 150", "NIGHT 480"]);
  const overlapping = assertProblem(
    await put("2026-11-27", { kind: "EXTRA", start_time: "13:59", end_time: "18:00" }),
    409,
    "shift_overlap",
  );
  assertEquals([overlapping.shift_code, overlapping.shift_date], ["EXTRA", "2026-11-27"]);
  assertProblem(await put("2026-11-27", { kind: "EXTRA" }), 422, "validation_failed");
  assertProblem(await put("2026-11-27", { kind: "CLOSED", end_time: "12:00" }), 422, "validation_failed");
  assertProblem(await put("2026-13-01", { kind: "CLOSED" }), 422, "validation_failed");
  assertProblem(await put("2026-11-27", { kind: "CLOSED" }, { "if-match": '"1"' }), 412, "stale_version");
  const { body: stored } = await server.get<CalendarException[]>(`${path(name)}/exceptions`, {
    query: { from: "2026-11-25", to: "2026-11-26" },
  });
  assertEquals(stored.map(({ date }) => date), ["2026-11-25", "2026-11-26"]);
  assertEquals((await server.delete(`${path(name)}/exceptions/2026-11-24`)).status, 204);
  assertEquals(await planned("2026-11-24"), ["EARLY 450", "NIGHT 480"]);
  assertProblem(await server.delete(`${path(name)}/exceptions/2026-11-24`), 404, "not_found");
  assertEquals((await server.get<Calendar>(path(name))).body.version, 8);
});

Deno.test("POST exceptions: stores 400 in one call, all or none, once for each Idempotency-Key", async () => {
  const name = await created([pattern("EARLY", "06:00", "14:00")], "UTC");
  const dates = Array.from(
    { length: 401 },
    (_, day) => new Date(Date.UTC(2026, 0, 1 + day)).toISOString().slice(0, 10),
  );
  const exceptions = dates.slice(0, 400).map((date) => ({ date, kind: "CLOSED" }));
  const post = (exceptions: unknown[], headers: Record<string, string> = {}) =>
    server.post<{ version: number; exceptions: unknown[] }>(`${path(name)}/exceptions`, { exceptions }, { headers });
  const headers = { "idempotency-key": crypto.randomUUID(), "if-match": '"1"' };
  for (const replayed of [null, "true"]) {
    const answer = await post(exceptions, headers);
    assertEquals([answer.status, answer.headers.get("idempotency-replayed")], [200, replayed], answer.text);
    assertEquals([answer.body.version, answer.headers.get("etag"), answer.body.exceptions.length], [2, '"2"', 400]);
  }
  assertProblem(await post(dates.map((date) => ({ date, kind: "CLOSED" }))), 422, "validation_failed");
  assertProblem(await post([exceptions[0], exceptions[0]]), 422, "validation_failed");
  const mixed = [
    { date: "2027-06-01", kind: "CLOSED" },
    { date: "2027-06-02", kind: "EXTRA", start_time: "13:00", end_time: "15:00" },
  ];
  assertProblem(await post(mixed), 409, "shift_overlap");
  const { body } = await server.get<unknown[]>(`${path(name)}/exceptions`, { query: { from: "2027-06-01" } });
  assertEquals(body, []);
  const year = await shiftsOf(name, "2026-01-01T00:00:00Z", "2027-02-05T00:00:00Z");
  assertEquals([year.length, year.filter(({ planned_min }) => planned_min > 0).length], [400, 0]);
});

Deno.test("PATCH /calendars/v1: closes the rows before the change and keeps the past when a workplace uses the calendar", async () => {
  const old = pattern("DAY", "07:00", "15:00", { valid_from: "2026-01-05" });
  const name = await created([old]);
  const change = (shifts: Pattern[], headers = {}) => server.patch<Calendar>(path(name), { shifts }, { headers });
  // nobody uses it yet: its past may still be written
  const before = await change([pattern("DAY", "06:00", "14:00", { valid_from: "2026-03-02" })]);
  assertEquals(before.status, 200, before.text);
  assertEquals(before.body.shifts.map(({ valid_from, valid_to }) => [valid_from, valid_to]), [
    ["2026-01-05", "2026-03-01"],
    ["2026-03-02", null],
  ]);
  const workplace = await use(name);
  const past = () => shiftsOf(name, "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
  const recorded = await past();
  const problem: ProblemBody = assertProblem(
    await change([pattern("DAY", "08:00", "16:00", { valid_from: localDate(-1) })]),
    409,
    "in_use",
  );
  assert(problem.detail.includes(localDate(0)), problem.detail);
  const next = await change([pattern("DAY", "08:00", "16:00", { valid_from: localDate(10) })], { "if-match": '"2"' });
  assertEquals([next.status, next.headers.get("etag")], [200, '"3"'], next.text);
  // a plan that has not begun is replaced
  const other = await change([pattern("DAY", "09:00", "17:00", { valid_from: localDate(5) })]);
  assertEquals(other.body.shifts.map(({ start_time, valid_to }) => [start_time, valid_to]), [
    ["07:00", "2026-03-01"],
    ["06:00", localDate(4)],
    ["09:00", null],
  ]);
  assertEquals(await past(), recorded);
  assertProblem(await change([old], { "if-match": '"3"' }), 412, "stale_version");
  assertProblem(await server.patch(path(name), { time_zone: "UTC" }), 409, "in_use");
  assertProblem(await server.delete(path(name)), 409, "in_use");
  const ended = await change([]);
  assertEquals(ended.body.shifts.map(({ valid_to }) => valid_to), ["2026-03-01", localDate(-1)]);
  assertEquals(await past(), recorded);
  // without users it is anybody's to change and delete
  assertEquals((await server.patch(`/workplaces/v1/${workplace}`, { calendar_name: null })).status, 200);
  assertEquals((await server.patch<Calendar>(path(name), { time_zone: "UTC" })).body.time_zone, "UTC");
  assertEquals((await server.delete(path(name), { headers: { "if-match": '"1"' } })).status, 412);
  assertEquals((await server.delete(path(name))).status, 204);
});

Deno.test("PATCH /calendars/v1: lets one of two managers win when both change what overlaps together", async () => {
  const name = await created([]);
  const manager = await newUser({ role: "manager" });
  const put = (start_time: string, end_time: string, date: string) =>
    manager.client.put(`${path(name)}/exceptions/${date}`, { kind: "EXTRA", start_time, end_time });
  const answers = await Promise.all([
    put("20:00", "06:00", "2026-11-24"),
    put("05:00", "12:00", "2026-11-25"),
  ]);
  assertEquals(answers.map(({ status }) => status).toSorted(), [200, 409]);
});

Deno.test("Workplaces: take a calendar that exists and a time basis, and keep them when neither is changed", async () => {
  const name = await created([]);
  const workplace = await use(name);
  const patch = (body: unknown) => server.patch<Record<string, unknown>>(`/workplaces/v1/${workplace}`, body);
  assertEquals((await patch({ time_basis: "SLOTS", capacity: 4 })).body.time_basis, "SLOTS");
  assertEquals(pick((await patch({ workplace_group: "Ovens" })).body, "calendar_name", "time_basis"), {
    calendar_name: name,
    time_basis: "SLOTS",
  });
  const unknown = assertProblem(await patch({ calendar_name: unique("C") }), 422, "validation_failed");
  assertEquals(unknown.errors?.[0]?.code, "unknown_calendar");
  assertProblem(await patch({ time_basis: "HOURS" }), 422, "validation_failed");
  assertEquals((await patch({ calendar_name: null })).body.calendar_name, null);
  assertEquals((await server.delete(path(name))).status, 204);
});

Deno.test("GET /calendars/v1: pages by cursor, and finds by prefix in any case", async () => {
  const prefix = unique("Calendar");
  for (const number of [3, 1, 2]) await create([], "UTC", `${prefix}-${number}`);
  const first = await server.get<Calendar[]>("/calendars/v1", { query: { q: prefix.toUpperCase(), limit: 2 } });
  assertEquals(first.body.map(({ name }) => name), [`${prefix}-1`, `${prefix}-2`]);
  const second = await server.get<Calendar[]>(nextPage(first) ?? "");
  assertEquals([second.body.map(({ name }) => name), nextPage(second)], [[`${prefix}-3`], undefined]);
});
