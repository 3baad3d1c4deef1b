/** Reports: calendars, pauses, stops, corrections after the fact, nulls and aggregates, each with its own small plant. */
import {
  assert,
  assertEquals,
  assertExists,
  assertProblem,
  newWorkplace,
  nextPage,
  operationPath,
  server,
  unique,
} from "../support/harness.ts";
import { opened } from "../support/stops.ts";
import { minutesAgo, patched, reported } from "../support/floor.ts";
import {
  type Bucket,
  figures,
  happened,
  linesOf,
  losses,
  newPlace,
  oee,
  oeeOf,
  on,
  scrap,
  shift,
  timeline,
  zoneOfNoon,
} from "../support/reports.ts";
import type { Summary } from "../../_shared/plant_reports.ts";
import type { PerformanceReport } from "../../reports/schemas.ts";
import type { z } from "@hono/zod-openapi";

const early = shift("EARLY", "06:00", "14:00");
const nextDay = "2026-11-21T00:00:00Z";

/** Intervals of a window of the day of the stories. */
async function lines(workplace_name: string, from: string, to: string): Promise<string[]> {
  const { intervals } = await timeline({ workplace_name, from: on(from), to: on(to) });
  for (const [index, { from }] of intervals.entries()) {
    if (index > 0) assertEquals(from, intervals[index - 1]?.to, "a timeline has no gap and no overlap");
  }
  return linesOf(intervals);
}

// ---------------------------------------------------------------- planned time

Deno.test("OEE: is null with no_calendar when the workplace has no calendar, and E and Q are still given", async () => {
  const workplace = await newPlace(null);
  await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["06:00", "START"],
    ["08:00", "COMPLETE", { qty_good: 90, qty_scrap: 10 }],
  ]);
  const bucket = await oeeOf(workplace, "06:00", "14:00");
  assertEquals(figures(bucket), {
    ...{ PBT: null, APT: 120, AUST: 0, ADET: null, ADOT: null },
    ...{ A: null, E: 0.833333, Q: 0.9, weighted: 0.9, OEE: null },
  });
  assertEquals(bucket.elements.pot_min, null);
  for (const ratio of ["availability", "oee", "nee", "teep", "utilisation_efficiency", "throughput_per_h"]) {
    assertEquals(bucket.reasons[ratio], "no_calendar", ratio);
  }
  assertEquals(bucket.warnings, [{ code: "no_calendar", workplace_names: [workplace] }]);
  assertEquals(await lines(workplace, "05:00", "09:00"), [
    "05:00 06:00 OFF no_calendar",
    "06:00 08:00 APT processing",
    "08:00 09:00 OFF no_calendar",
  ]);
});

Deno.test("OEE: is null with capacity_unknown when slots are not known", async () => {
  const workplace = await newPlace([early], { time_basis: "SLOTS" });
  for (const end of ["08:00", "09:00"]) {
    await happened(workplace, { t_target_per_piece_min: 1 }, [["06:00", "START"], [end, "COMPLETE", {
      qty_good: 100,
    }]]);
  }
  const { ratios, reasons, elements } = await oeeOf(workplace, "06:00", "14:00");
  assertEquals([ratios.availability, reasons.availability, reasons.oee], [
    null,
    "capacity_unknown",
    "capacity_unknown",
  ]);
  assertEquals([elements.apt_min, elements.pot_min, ratios.effectiveness], [300, null, 0.666667]);
});

Deno.test("OEE: is not partial when three operations with targets share a second that three do not divide", async () => {
  const workplace = await newPlace([early]);
  for (let nth = 0; nth < 3; nth++) {
    await happened(workplace, { t_target_per_piece_min: 0.1 }, [
      ["07:00:00", "START"],
      ["07:00:01", "COMPLETE", { qty_good: 1 }],
    ]);
  }
  const { coverage, partial } = await oeeOf(workplace, "06:00", "14:00");
  assertEquals([coverage, partial], [1, false]);
});

Deno.test("OEE: warns of beyond_capacity for SLOTS alone when a row has a UNIT workplace, too", async () => {
  const [unit, slots] = [await newPlace([early]), await newPlace([early], { time_basis: "SLOTS" })];
  for (const workplace of [unit, unit, slots, slots]) {
    await happened(workplace, {}, [
      ["07:00", "START"],
      ["08:00", "COMPLETE", { qty_good: 1 }],
    ]);
  }
  assertEquals((await server.patch(`/workplaces/v1/${slots}`, { capacity: 1 })).status, 200);
  const { buckets: [both] } = await oee({ workplace_name: [unit, slots], from: on("06:00"), to: on("14:00") });
  assertEquals(both?.warnings.find(({ code }) => code === "beyond_capacity"), { code: "beyond_capacity", minutes: 60 });
});

Deno.test("OEE: is null with no_target_time when no operation has a target, and not 0", async () => {
  const workplace = await newPlace([early]);
  await happened(workplace, { t_target_processing_min: 0, qty_desired: 10 }, [
    ["06:00", "START"],
    ["08:00", "COMPLETE", { qty_good: 10 }],
  ]);
  const { ratios, reasons, coverage, partial } = await oeeOf(workplace, "06:00", "14:00");
  assertEquals([ratios.effectiveness, ratios.oee, coverage, partial], [null, null, 0, false]);
  assertEquals([reasons.effectiveness, reasons.oee, ratios.availability], ["no_target_time", "no_target_time", 0.25]);
  assertEquals(ratios.quality_ratio, 1);
});

Deno.test("OEE: is 0 when a planned shift had no processing, and null when nothing was planned", async () => {
  const workplace = await newPlace([early]);
  const idle = await oeeOf(workplace, "06:00", "14:00");
  assertEquals([idle.ratios.availability, idle.ratios.oee, idle.ratios.effectiveness], [0, 0, null]);
  assertEquals([idle.reasons.effectiveness, idle.coverage], ["no_processing", null]);
  const free = await oeeOf(workplace, "15:00", "16:00");
  assertEquals([free.ratios.oee, free.reasons.oee, free.elements.pot_min], [null, "not_planned", 0]);
  const empty = await oeeOf(workplace, "07:00", "07:00");
  assertEquals([empty.ratios.oee, empty.reasons.oee, empty.from], [null, "not_planned", empty.to]);
  assertEquals((await timeline({ workplace_name: workplace, from: on("07:00"), to: on("07:00") })).intervals, []);
});

Deno.test("Reports: a closed date is planned time that is planned away, an additional shift is planned time", async () => {
  const workplace = await newPlace([early]);
  const { body: { calendar_name } } = await server.get(`/workplaces/v1/${workplace}`);
  const exceptions = [
    { date: "2026-11-20", kind: "CLOSED" },
    { date: "2026-11-21", kind: "EXTRA", start_time: "16:00", end_time: "18:00" },
    { date: "2026-11-22", kind: "CLOSED", start_time: "12:00", end_time: "14:00" },
  ];
  const stored = await server.post(`/calendars/v1/${calendar_name}/exceptions`, { exceptions });
  assertEquals(stored.status, 200, stored.text);
  // work on the closed day is outside of all ratios
  await happened(workplace, { t_target_per_piece_min: 1 }, [["06:00", "START"], ["07:00", "COMPLETE", {
    qty_good: 30,
  }]]);
  const { buckets } = await oee({
    workplace_name: workplace,
    from: on("00:00"),
    to: "2026-11-23T00:00:00Z",
    by: "day",
  });
  assertEquals(
    buckets.map(({ key, elements: { pot_min, pdot_min, pbt_min }, outside }) => [
      ...[key.period, pot_min, pdot_min, pbt_min, outside.apt_min, outside.pq],
    ]),
    [
      ["2026-11-20", 480, 480, 0, 60, 30],
      ["2026-11-21", 600, 0, 600, 0, 0],
      ["2026-11-22", 480, 120, 360, 0, 0],
    ],
  );
  assertEquals(await lines(workplace, "05:00", "08:00"), [
    "05:00 06:00 OFF no_shift",
    "06:00 07:00 PDOT closed",
    "07:00 08:00 PDOT closed",
  ]);
  const { buckets: shifts } = await oee({
    workplace_name: workplace,
    from: "2026-11-21T00:00:00Z",
    to: "2026-11-22T00:00:00Z",
    by: "shift",
  });
  assertEquals(shifts.map(({ key }) => key.shift_code).filter((code) => code !== null), ["EARLY", "EXTRA"]);
});

Deno.test("Reports: a pattern that changes in the middle of a window holds from its first date on", async () => {
  const workplace = await newPlace([
    shift("DAY", "06:00", "14:00", { valid_to: "2026-11-19" }),
    shift("DAY", "07:00", "13:00", { valid_from: "2026-11-20", breaks: [{ start: "09:00", end: "09:30" }] }),
  ]);
  const { buckets } = await oee({
    workplace_name: workplace,
    from: "2026-11-18T00:00:00Z",
    to: "2026-11-22T00:00:00Z",
    by: ["workplace", "day"],
  });
  assertEquals(buckets.map(({ key, elements }) => [key.period, elements.pot_min, elements.pbt_min]), [
    ["2026-11-18", 480, 480],
    ["2026-11-19", 480, 480],
    ["2026-11-20", 360, 330],
    ["2026-11-21", 360, 330],
  ]);
  assertEquals(buckets[0]?.key.workplace_name, workplace);
});

Deno.test("Reports: weeks, months and days are those of the zone, and their elements add up to the window", async () => {
  const workplace = await newPlace([shift("NIGHT", "22:00", "06:00")], {}, "Europe/Amsterdam");
  await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["2026-10-31T20:00:00Z", "START"],
    ["2026-11-02T08:00:00Z", "COMPLETE", { qty_good: 1000 }],
  ]);
  const window = { workplace_name: workplace, from: "2026-10-30T00:00:00Z", to: "2026-11-03T00:00:00Z" };
  const whole = (await oee(window)).buckets[0];
  assertExists(whole);
  const keys: Record<string, (string | undefined)[]> = {
    day: ["2026-10-30", "2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03"],
    week: ["2026-W44", "2026-W45"],
    month: ["2026-10", "2026-11"],
  };
  for (const by of ["day", "week", "month", "shift"]) {
    const { buckets } = await oee({ ...window, by });
    if (by !== "shift") assertEquals(buckets.map(({ key }) => key.period), keys[by]);
    const sum = (of: (bucket: Bucket) => number | null) =>
      Math.round(buckets.reduce((total, bucket) => total + (of(bucket) ?? NaN), 0) * 1000) / 1000;
    for (const element of ["pot_min", "pdot_min", "apt_min", "adot_min"] as const) {
      assertEquals(sum(({ elements }) => elements[element]), whole.elements[element], `${by} ${element}`);
    }
    assertEquals(sum(({ outside }) => outside.apt_min), whole.outside.apt_min, by);
    assert(Math.abs(sum(({ pieces, outside }) => pieces.pq + outside.pq) - 1000) < 0.01, by);
  }
  // midnight in Amsterdam
  const { buckets: [, second] } = await oee({ ...window, by: "day" });
  assertEquals(second?.from, "2026-10-30T23:00:00.000Z");
});

Deno.test("Reports: a window that reaches into the future is cut at now, with the open run as far as it has come", async () => {
  const workplace = await newPlace([shift("A", "00:00", "12:00"), shift("B", "12:00", "00:00")]);
  const started = minutesAgo(30);
  await happened(workplace, { t_target_per_piece_min: 1 }, [[started, "START"]]);
  const window = { workplace_name: workplace, from: started, to: new Date(Date.now() + 3_600_000).toISOString() };
  const { complete, to, buckets: [bucket] } = await oee(window);
  assertExists(bucket);
  assertEquals([complete, to, bucket.ratios.availability], [false, window.to, 1]);
  const { apt_min, pbt_min } = bucket.elements;
  assertEquals(apt_min, pbt_min);
  assert(apt_min >= 30 && apt_min < 32, `${apt_min} min`);
  const { intervals } = await timeline(window);
  assertEquals(intervals.at(-1)?.bucket, "APT");
  assert(Date.parse(intervals.at(-1)?.to ?? "") <= Date.now());
  const future = { workplace_name: workplace, from: window.to, to: new Date(Date.now() + 7_200_000).toISOString() };
  const { complete: isOver, buckets: [none] } = await oee(future);
  assertEquals([isOver, none?.ratios.oee, none?.reasons.oee], [false, null, "not_planned"]);
});

Deno.test("Reports: a run that was never stopped is a warning", async () => {
  const workplace = await newPlace([early]);
  await happened(workplace, {}, [["07:00", "START"]]);
  const { warnings, elements } = await oeeOf(workplace, "06:00", "14:00");
  assertEquals(elements.apt_min, 420);
  assertEquals(warnings.map(({ code }) => code), ["operations_without_target", "suspect_run"]);
});

// ---------------------------------------------------------------- pauses and stops

Deno.test("Timeline: pauses and blocks are delays with their reason, until the operation goes on or ends", async () => {
  const workplace = await newPlace([early]);
  await happened(workplace, {}, [
    ["06:00", "START"],
    ["07:00", "HOLD", { reason_code: "QUALITY" }],
    ["07:30", "RELEASE"],
    ["08:00", "START"],
    ["09:00", "STOP", { reason_code: "MATERIAL" }],
    ["10:00", "COMPLETE", { qty_good: 1 }],
  ]);
  // blocked before it has begun: that delays nothing
  await happened(workplace, {}, [["05:00", "HOLD", { reason_code: "ENGINEERING" }]]);
  assertEquals(await lines(workplace, "06:00", "11:00"), [
    "06:00 07:00 APT processing",
    "07:00 07:30 ADET blocked QUALITY",
    "07:30 08:00 ADET paused",
    "08:00 09:00 APT processing",
    "09:00 10:00 ADET paused MATERIAL",
    "10:00 11:00 ADOT idle",
  ]);
});

Deno.test("Timeline: a stop with a planned loss is planned time until work begins at the workplace", async () => {
  const workplace = await newPlace([early]);
  await happened(workplace, {}, [["06:00", "START"], ["07:00", "STOP", { reason_code: "BREAK" }]]);
  await happened(workplace, {}, [["08:00", "START"], ["09:00", "COMPLETE", { qty_good: 1 }]]);
  assertEquals(await lines(workplace, "06:00", "10:00"), [
    "06:00 07:00 APT processing",
    "07:00 08:00 PDOT planned_stop BREAK",
    "08:00 09:00 APT processing",
    // the first operation is still paused, and the break is over
    "09:00 10:00 ADET paused BREAK",
  ]);
  // the same, seen through a window in which only the pause is
  assertEquals(await lines(workplace, "09:15", "09:45"), ["09:15 09:45 ADET paused BREAK"]);
  assertEquals(await lines(workplace, "07:15", "07:45"), ["07:15 07:45 PDOT planned_stop BREAK"]);
});

Deno.test("Timeline: downtimes are planned time, a delay of what is being made, or down time", async () => {
  const workplace = await newPlace([early]);
  await happened(workplace, {}, [["06:00", "START"], ["08:00", "COMPLETE", { qty_good: 1 }]]);
  const down = (from: string, to: string, more: Record<string, unknown>) =>
    opened(workplace, { occurred_at: on(from), ended_at: on(to), ...more });
  await down("07:00", "07:30", { reason_code: "MACHINE" });
  await down("09:00", "10:00", { reason_code: "MAINTENANCE" });
  await down("10:30", "11:00", { category: "UNPLANNED" });
  const cancelled = await down("12:00", "13:00", { category: "UNPLANNED" });
  const { status, text } = await server.post(`/downtimes/v1/${cancelled.id}/cancel`, { note: "Wrong workplace" });
  assertEquals(status, 200, text);
  assertEquals(await lines(workplace, "06:00", "14:00"), [
    "06:00 07:00 APT processing",
    "07:00 07:30 ADET fault MACHINE",
    "07:30 08:00 APT processing",
    "08:00 09:00 ADOT idle",
    "09:00 10:00 PDOT planned_downtime MAINTENANCE",
    "10:00 10:30 ADOT idle",
    "10:30 11:00 ADOT fault",
    "11:00 14:00 ADOT idle",
  ]);
  const { buckets: [bucket] } = await losses({ workplace_name: workplace, from: on("06:00"), to: on("14:00") });
  assertEquals(
    bucket?.losses.map(({ category, detail, reason_code, minutes, count }) => [
      ...[category, detail, reason_code, minutes, count],
    ]),
    [
      ["IDLE", "idle", null, 270, 3],
      ["PLANNED", "planned_downtime", "MAINTENANCE", 60, 1],
      ["UNPLANNED", "fault", "MACHINE", 30, 1],
      ["UNPLANNED", "fault", null, 30, 1],
    ],
  );
});

Deno.test("Timeline: time without a signal of the machine is unknown, neither idle nor down", async () => {
  const workplace = await newPlace([shift("A", "00:00", "12:00"), shift("B", "12:00", "00:00")], {
    signal_timeout_s: 600,
  });
  const started = minutesAgo(60);
  const { status, text } = await server.post(`/workplaces/v1/${workplace}/state`, {
    state: "IDLE",
    occurred_at: started,
  });
  assertEquals(status, 201, text);
  const window = { workplace_name: workplace, from: started, to: new Date().toISOString() };
  const { intervals } = await timeline(window);
  assertEquals(intervals.map(({ detail }) => detail).filter((detail, index, all) => detail !== all[index - 1]), [
    "idle",
    "unknown",
  ]);
  const { buckets: [bucket] } = await oee(window);
  const unknown = bucket?.losses.find(({ detail }) => detail === "unknown");
  assert(unknown !== undefined && unknown.minutes >= 49 && unknown.minutes <= 51, JSON.stringify(bucket?.losses));
  assertEquals(bucket?.warnings.map(({ code }) => code), ["unknown_state"]);
});

// ---------------------------------------------------------------- pieces

Deno.test("Pieces: corrections and reversals move what they correct, and every partition has the same sum", async () => {
  const workplace = await newPlace([early]);
  const { events, ...operation } = await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["06:00", "START"],
    ["08:00", "REPORT_QUANTITY", { qty_good: 120 }],
    ["10:00", "REPORT_QUANTITY", { qty_good: 100 }],
    ["10:00", "STOP"],
  ]);
  await reported(
    operation,
    // a day later: of the second report 40 were none, and of all pieces 20 are scrap
    ["REVERSE", { occurred_at: on("2026-11-21T09:00:00Z"), reverses_event_id: events[2]?.id, qty_good: 40 }],
    ["CORRECT", { occurred_at: on("2026-11-21T10:00:00Z"), qty_good: -20, qty_scrap: 20 }],
  );
  const hours = async (attribution: string, from: string, to: string) => {
    const { pieces, outside } = await oeeOf(workplace, from, to, { attribution });
    return [pieces.pq, pieces.gq, pieces.sq, outside.pq];
  };
  // 120 in two hours, 60 in the next two; the scrap in all four
  assertEquals(await hours("prorated", "06:00", "08:00"), [120, 110, 10, 0]);
  assertEquals(await hours("prorated", "08:00", "10:00"), [60, 50, 10, 0]);
  assertEquals(await hours("prorated", "08:00", "09:00"), [30, 25, 5, 0]);
  assertEquals(await hours("prorated", "10:00", "2026-11-22T00:00:00Z"), [0, 0, 0, 0]);
  assertEquals(await hours("reported", "06:00", "08:00"), [0, 0, 0, 0]);
  assertEquals(await hours("reported", "08:00", "11:00"), [220, 220, 0, 0]);
  assertEquals(await hours("reported", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"), [-40, -60, 20, 0]);
  for (const attribution of ["prorated", "reported"]) {
    assertEquals(await hours(attribution, "00:00", "2026-11-22T00:00:00Z"), [180, 160, 20, 0]);
  }
  const negative = await oeeOf(workplace, "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", { attribution: "reported" });
  assertEquals(negative.warnings.map(({ code }) => code), ["negative_pieces"]);
  // scrap counts where it was reported, what was taken back does not
  const { buckets: [scrapped] } = await scrap({ workplace_name: workplace, from: on("00:00"), to: on(nextDay) });
  assertEquals(scrapped?.pieces, { pq: 180, gq: 180, sq: 0 });
});

Deno.test("Pieces: reversing everything gives 0", async () => {
  // at any hour, since what is taken back counts now
  const workplace = await newPlace([shift("DAY", "06:00", "18:00"), shift("NIGHT", "18:00", "06:00")]);
  const { events, ...operation } = await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["06:00", "START"],
    ["07:00", "REPORT_QUANTITY", { qty_good: 30, qty_scrap: 3, reason_code: "SURFACE" }],
    ["08:00", "REPORT_QUANTITY", { qty_good: 20 }],
    ["08:00", "STOP"],
  ]);
  for (const { id } of events.slice(1, 3)) await reported(operation, ["REVERSE", { reverses_event_id: id }]);
  // they were taken back just now
  const now = new Date(Date.now() + 60_000).toISOString();
  for (const attribution of ["prorated", "reported"]) {
    const { pieces, ratios } = await oeeOf(workplace, "00:00", now, { attribution });
    assertEquals([pieces, ratios.oee], [{ pq: 0, gq: 0, sq: 0 }, 0]);
  }
  const { buckets: [bucket] } = await scrap({ workplace_name: workplace, from: on("00:00"), to: on(nextDay) });
  assertEquals([bucket?.pieces, bucket?.scrap], [{ pq: 0, gq: 0, sq: 0 }, []]);
});

Deno.test("Reports: a corrected start moves the time of its run", async () => {
  const workplace = await newPlace([early]);
  const operation = await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["07:00", "START"],
    ["09:00", "COMPLETE", { qty_good: 60 }],
  ]);
  await patched(operation, { actual_start_at: on("06:30"), actual_end_at: on("08:30") });
  assertEquals(await lines(workplace, "06:00", "10:00"), [
    "06:00 06:30 ADOT idle",
    "06:30 08:30 APT processing",
    "08:30 10:00 ADOT idle",
  ]);
  assertEquals((await oeeOf(workplace, "06:00", "14:00")).ratios.effectiveness, 0.5);
});

Deno.test("Reports: minutes that were stated and pieces that were taken over are warnings, in no ratio", async () => {
  const workplace = await newPlace([shift("A", "00:00", "12:00"), shift("B", "12:00", "00:00")]);
  const body = {
    ...{ order_no: unique("O"), asset_id: 1, operation_no: "0010", workplace_name: workplace, status: "FINISHED" },
    ...{ qty_desired: 50, qty_processed: 50, qty_scrap: 2, t_actual_processing_min: 100, t_target_per_piece_min: 1 },
    ...{ actual_start_at: minutesAgo(200), actual_end_at: minutesAgo(90) },
  };
  const created = await server.post("/operations/v1", body);
  assertEquals(created.status, 201, created.text);
  const { buckets: [bucket] } = await oee({
    workplace_name: workplace,
    from: minutesAgo(300),
    to: new Date(Date.now() + 60_000).toISOString(),
  });
  assertEquals([bucket?.pieces.pq, bucket?.outside.pq, bucket?.elements.apt_min], [0, 50, 0]);
  assertEquals(bucket?.warnings.map(({ code }) => code), ["unlogged_minutes", "pieces_taken_over"]);
});

Deno.test("Pieces: those of an operation that never processed count where they were reported", async () => {
  const workplace = await newPlace([early]);
  await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["06:00", "START", { phase: "SETUP" }],
    ["07:00", "REPORT_QUANTITY", { qty_scrap: 4, reason_code: "SETUP" }],
    ["07:30", "STOP"],
  ]);
  const { pieces, elements } = await oeeOf(workplace, "06:00", "14:00");
  assertEquals([pieces, elements.aust_min], [{ pq: 4, gq: 0, sq: 4 }, 90]);
  assertEquals((await oeeOf(workplace, "07:01", "14:00")).pieces.pq, 0);
});

// ---------------------------------------------------------------- other rows, other workplaces

Deno.test("Reports: an operation that moved counts at each workplace what was done there", async () => {
  const [here, there] = [await newPlace([early]), await newPlace([early])];
  const operation = await happened(here, { t_target_per_piece_min: 1 }, [
    ["06:00", "START"],
    ["07:00", "REPORT_QUANTITY", { qty_good: 30 }],
    ["07:00", "STOP"],
  ]);
  await patched(operation, { workplace_name: there });
  await reported(
    { ...operation, workplace_name: there },
    ["START", { occurred_at: on("08:00") }],
    ["COMPLETE", { occurred_at: on("10:00"), qty_good: 60, qty_scrap: 3 }],
  );
  const [one, other] = [await oeeOf(here, "06:00", "14:00"), await oeeOf(there, "06:00", "14:00")];
  assertEquals([one.elements.apt_min, one.pieces.pq, one.ratios.effectiveness], [60, 30, 0.5]);
  assertEquals([other.elements.apt_min, other.pieces.pq, other.ratios.effectiveness], [120, 63, 0.525]);
  // it waited at neither of them: nobody knows when it was moved
  assertEquals(await lines(here, "06:00", "09:00"), ["06:00 07:00 APT processing", "07:00 09:00 ADOT idle"]);
  const both = (await oee({ workplace_name: [here, there], from: on("06:00"), to: on("14:00") })).buckets[0];
  assertEquals([both?.elements.pbt_min, both?.elements.apt_min, both?.pieces.pq, both?.key], [960, 180, 93, {}]);
  assertEquals(both?.ratios.oee, 0.09375);
});

Deno.test("Reports: an operation that is deleted, or flagged by the ERP, leaves what was done", async () => {
  const workplace = await newPlace([early]);
  const operation = await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["06:00", "START"],
    ["07:00", "COMPLETE", { qty_good: 60 }],
  ]);
  const held = await happened(workplace, {}, [["06:00", "HOLD", { reason_code: "QUALITY" }]]);
  const before = await oeeOf(workplace, "06:00", "14:00");
  assertEquals((await server.delete(operationPath(held))).status, 204);
  const { order_no, operation_no, asset_id } = operation;
  const row = { order_no, operation_no, asset_id, change_type: "DELETE", timestamp_ms: minutesAgo(1) };
  assertEquals((await server.post("/operations/v1/import", [row])).status, 200);
  assertEquals(await oeeOf(workplace, "06:00", "14:00"), before);
  assertEquals([before.ratios.oee, before.elements.adet_min], [0.125, 0]);
});

Deno.test("OEE: rows of operations and orders have their time, pieces and effectiveness, and no availability", async () => {
  const workplace = await newPlace([early]);
  const first = await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["06:00", "START", { phase: "SETUP" }],
    ["06:30", "START"],
    ["07:30", "COMPLETE", { qty_good: 45, qty_scrap: 5 }],
  ]);
  const second = await happened(workplace, {
    order_no: first.order_no,
    operation_no: "0020",
    t_target_per_piece_min: 2,
  }, [
    ["08:00", "START"],
    ["09:00", "COMPLETE", { qty_good: 15 }],
  ]);
  const query = { workplace_name: workplace, from: on("06:00"), to: on("14:00") };
  const { buckets } = await oee({ ...query, by: ["operation"] });
  assertEquals(
    buckets.map(({ key, elements: { apt_min, aust_min }, pieces, ratios, reasons }) => [
      ...[key.operation_no, apt_min, aust_min, pieces.pq, ratios.effectiveness, reasons.availability],
    ]),
    [
      ["0010", 60, 30, 50, 0.833333, "not_of_a_workplace"],
      ["0020", 60, 0, 15, 0.5, "not_of_a_workplace"],
    ],
  );
  const { buckets: [order] } = await oee({ ...query, by: ["order"] });
  assertEquals([order?.key, order?.ratios.effectiveness, order?.pieces.gq], [
    { workplace_name: workplace, order_no: second.order_no },
    0.666667,
    60,
  ]);
});

Deno.test("Reports: a group is the sum of its workplaces, of which one without calendar and work is no part", async () => {
  const workplace_group = unique("Group");
  const [one, two] = [await newPlace([early], { workplace_group }), await newPlace([early], { workplace_group })];
  const bare = await newPlace(null, { workplace_group });
  await happened(one, { t_target_per_piece_min: 1 }, [["06:00", "START"], ["10:00", "COMPLETE", { qty_good: 120 }]]);
  const query = { workplace_group, from: on("06:00"), to: on("14:00") };
  const { buckets: [group], scope } = await oee({ ...query, by: "group" });
  assertEquals([group?.key, group?.elements.pbt_min, group?.ratios.oee], [{ workplace_group }, 960, 0.125]);
  assertEquals(scope, { access: "all", workplace_names: [bare, one, two].toSorted() });
  const { buckets } = await oee({ ...query, by: "workplace" });
  assertEquals(
    Object.fromEntries(buckets.map(({ key, ratios }) => [key.workplace_name, ratios.oee])),
    { [one]: 0.25, [two]: 0, [bare]: null },
  );
  // with work, what is not known of it is not known of the sum
  await happened(bare, {}, [["06:00", "START"], ["07:00", "COMPLETE", { qty_good: 1 }]]);
  const { buckets: [unknown] } = await oee({ ...query, by: "group" });
  assertEquals([unknown?.ratios.oee, unknown?.reasons.oee], [null, "no_calendar"]);
  assertEquals(unknown?.warnings.at(-1), { code: "no_calendar", workplace_names: [bare] });
});

Deno.test("Scrap: by reason, operation and workplace, the most first", async () => {
  const workplace = await newPlace([early]);
  const first = await happened(workplace, {}, [
    ["06:00", "START"],
    ["07:00", "REPORT_QUANTITY", { qty_good: 90, qty_scrap: 4, reason_code: "SURFACE" }],
    ["08:00", "REPORT_QUANTITY", { qty_good: 90, qty_scrap: 6, reason_code: "DIMENSION" }],
    ["08:00", "STOP"],
  ]);
  const second = await happened(workplace, {}, [
    ["08:00", "START"],
    ["09:00", "REPORT_QUANTITY", { qty_good: 8, qty_scrap: 2 }],
    ["09:00", "REPORT_QUANTITY", { qty_scrap: 8, reason_code: "SURFACE" }],
    ["09:00", "STOP"],
  ]);
  const query = { workplace_name: workplace, from: on("06:00"), to: on("14:00") };
  const { buckets: [all] } = await scrap(query);
  assertEquals(all?.pieces, { pq: 208, gq: 188, sq: 20 });
  assertEquals(all?.scrap.map(({ reason_code, sq, count, share }) => [reason_code, sq, count, share]), [
    ["SURFACE", 12, 2, 0.6],
    ["DIMENSION", 6, 1, 0.3],
    [null, 2, 1, 0.1],
  ]);
  const { buckets } = await scrap({ ...query, by: "operation" });
  assertEquals(
    buckets.map(({ key, pieces, share }) => [key.order_no, pieces.sq, share]).toSorted(),
    [
      [first.order_no, 10, 0.5],
      [second.order_no, 10, 0.5],
    ].toSorted(),
  );
  const { buckets: hours } = await scrap({ ...query, by: ["workplace", "shift"] });
  assertEquals(hours.filter(({ pieces }) => pieces.sq > 0).map(({ key }) => key.shift_code), ["EARLY"]);
});

Deno.test("GET /reports/v1/operations: compares operations with their plan, and pages by cursor", async () => {
  const workplace = await newPlace([early]);
  const order_no = unique("O");
  const plan = {
    order_no,
    ...{ qty_desired: 100, t_target_setup_min: 20, t_target_processing_min: 90, t_target_lead_min: 150 },
    ...{ planned_start_at: on("06:00"), planned_end_at: on("08:30") },
  };
  const { events } = await happened(workplace, plan, [
    ["06:10", "START", { phase: "SETUP" }],
    ["06:40", "START"],
    ["07:40", "REPORT_QUANTITY", { qty_good: 50 }],
    ["07:45", "REPORT_QUANTITY", { qty_good: 50 }],
  ]);
  await reported(
    { ...events[0]?.operation, order_no } as Parameters<typeof reported>[0],
    ["REVERSE", { occurred_at: on("08:00"), reverses_event_id: events[3]?.id, qty_good: 25 }],
    ["COMPLETE", { occurred_at: on("08:40") }],
  );
  await happened(workplace, { order_no, operation_no: "0020" }, [["09:00", "START"], ["09:30", "STOP"]]);
  const query = { workplace_name: workplace, from: on("06:00"), to: on("14:00"), limit: 1 };
  const first = await server.get<z.infer<typeof PerformanceReport>>("/reports/v1/operations", { query });
  assertEquals(first.status, 200, first.text);
  const [operation] = first.body.operations;
  assertEquals(operation?.setup, { target_min: 20, actual_min: 30, variance_min: 10, efficiency: 0.666667 });
  assertEquals(operation?.processing, { target_min: 90, actual_min: 120, variance_min: 30, efficiency: 0.75 });
  assertEquals(operation?.lead, { target_min: 150, actual_min: 150, variance_min: 0, efficiency: 1 });
  assertEquals([operation?.start_variance_min, operation?.end_variance_min], [10, 10]);
  assertEquals([operation?.throughput_per_h, operation?.effectiveness], [50, 0.75]);
  // 125 were reported, 100 of which are good
  assertEquals([operation?.first_pass_yield, operation?.reasons], [0.8, {}]);
  const next = nextPage(first);
  assertExists(next);
  const second = await server.get<z.infer<typeof PerformanceReport>>(next);
  assertEquals(second.body.operations.map(({ operation_no, reasons }) => [operation_no, reasons]), [
    ["0020", {
      ...{ effectiveness: "no_target_time", first_pass_yield: "no_pieces" },
      ...{ start_variance_min: "not_planned", end_variance_min: "not_planned" },
    }],
  ]);
  assertEquals(nextPage(second), undefined);
});

Deno.test("GET /reports/v1/summary: counts what goes on now", async () => {
  const workplace = await newPlace([early]);
  const now = new Date().toISOString();
  await happened(workplace, {}, [[now, "START"], [now, "REPORT_QUANTITY", { qty_good: 5, qty_scrap: 1 }]]);
  await happened(workplace, { planned_end_at: minutesAgo(5) }, []);
  await happened(workplace, { status: "PLANNED" }, []);
  await happened(workplace, {}, [[now, "START"], [now, "HOLD", { reason_code: "QUALITY" }]]);
  await happened(workplace, {}, [[now, "START"], [now, "COMPLETE", { qty_good: 10 }]]);
  await happened(workplace, {}, [[minutesAgo(800), "START"]]);
  await opened(workplace, { category: "UNPLANNED" });
  const { status, body, text } = await server.get<Summary>("/reports/v1/summary", {
    query: { workplace_name: workplace, time_zone: zoneOfNoon() },
  });
  assertEquals(status, 200, text);
  assertEquals(body.operations.by_status, { PLANNED: 1, RELEASED: 1, IN_PROGRESS: 2, ON_HOLD: 1 });
  const { running, late, blocked, suspect, finished_today } = body.operations;
  assertEquals([running, late, blocked, suspect, finished_today], [2, 1, 1, 1, 1]);
  assertEquals([body.pieces_today, body.stops], [{ pq: 16, gq: 15, sq: 1 }, { open: 1, unexplained: 1 }]);
});

Deno.test("Reports: name the parameters when the window or the keys are invalid", async () => {
  const workplace = await newPlace([early]);
  const query = { workplace_name: workplace, from: on("06:00"), to: on("14:00") };
  const wrong: [Record<string, unknown>, string][] = [
    [{ to: undefined }, "/from"],
    [{ from: undefined }, "/from"],
    [{ from: undefined, to: undefined }, "/from"],
    [{ shift_code: "EARLY" }, "/from"],
    [{ shift_date: "2026-11-20", shift_code: "EARLY" }, "/from"],
    [{ from: undefined, to: undefined, shift_date: "2026-11-20", shift_code: "LATE" }, "/shift_code"],
    [{ to: on("05:00") }, "/to"],
    [{ to: "2028-01-01T00:00:00Z" }, "/to"],
    [{ by: "hour" }, "/by/0"],
    [{ by: ["day", "week"] }, "/by"],
    [{ by: ["workplace", "group"] }, "/by"],
    [{ attribution: "guessed" }, "/attribution"],
    [{ time_zone: "Europe/Atlantis" }, "/time_zone"],
    [{ hour: 6 }, "/hour"],
  ];
  for (const [more, pointer] of wrong) {
    const answer = await server.get("/reports/v1/oee", { query: { ...query, ...more } as Record<string, string> });
    const problem = assertProblem(answer, 422, "validation_failed");
    assertEquals(problem.errors?.[0]?.pointer, pointer, JSON.stringify(more));
  }
  assertProblem(
    await server.get("/reports/v1/losses", { query: { ...query, by: "operation" } }),
    422,
    "validation_failed",
  );
  assertProblem(
    await server.get("/reports/v1/oee", { query: { ...query, workplace_name: newWorkplace() } }),
    404,
    "not_found",
  );
});
