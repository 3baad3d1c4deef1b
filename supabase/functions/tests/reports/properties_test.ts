/** Reports against a model that counts minutes, with random plants. `deno task reliability` makes 2,000 of them. */
import fc from "fast-check";
import { assert, assertEquals, newOperation, type Operation, server } from "../support/harness.ts";
import type { Results } from "../support/floor.ts";
import { opened } from "../support/stops.ts";
import { type Bucket, day, newPlace, oeeOf, shift } from "../support/reports.ts";
import { withinTime } from "../support/time_limit.ts";
import {
  figuresOf,
  type ModelFigures,
  type ModelOperation,
  type ModelPlant,
  type Span,
} from "../support/report_model.ts";

function assertAlmostEquals(actual: number, expected: number, tolerance: number, message = ""): void {
  assert(Math.abs(actual - expected) <= tolerance, `${message} ${actual} is not ${expected}`);
}

const runs = Number(Deno.env.get("REPORT_PLANTS") ?? 100);
const seed = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 2 ** 31));
// in the suite, what a slow machine does in time is enough
const limitMs = Deno.env.has("REPORT_PLANTS") ? Infinity : 30_000;

const lastMinute = 22 * 60;
const clock = (minute: number) =>
  `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
const instant = (minute: number) => new Date(Date.parse(`${day}T00:00:00Z`) + minute * 60_000).toISOString();

interface Event {
  at: number;
  action_type: string;
  phase?: string;
  reason_code?: string;
  qty_good?: number;
  qty_scrap?: number;
}

/** An event of one of several operations. */
type Step = Event & { index: number };

/** Plays random choices as a story that the lifecycle allows; every run ends within the day. */
function play(
  { begin, steps, target, correct }: {
    begin: number;
    steps: [gap: number, choice: number][];
    target: number | null;
    correct: number;
  },
): { operation: ModelOperation; events: Event[] } {
  const operation: ModelOperation = { target, runs: [], pauses: [], reports: [], corrected: 0 };
  const events: Event[] = [];
  let state = "RELEASED";
  let at = begin;
  const end = () => {
    const last = operation.runs.at(-1);
    if (last !== undefined && last.to === Infinity) last.to = at;
    const pause = operation.pauses.at(-1);
    if (pause !== undefined && pause.to === Infinity) pause.to = at;
  };
  const start = (phase: "SETUP" | "PROCESSING") => {
    end();
    events.push({ at, action_type: "START", phase });
    operation.runs.push({ from: at, to: Infinity, phase });
    state = phase;
  };
  const pause = (action_type: string, reason_code?: string) => {
    end();
    events.push({ at, action_type, reason_code });
    operation.pauses.push({ from: at, to: Infinity, isPlanned: reason_code === "BREAK" });
    state = action_type === "HOLD" ? "BLOCKED" : "PAUSED";
  };
  const report = (action_type: string, choice: number) => {
    const [qty_good, qty_scrap] = [choice % 7 * 10, choice % 3];
    events.push({ at, action_type, qty_good, qty_scrap });
    operation.reports.push({ at, good: qty_good, scrap: qty_scrap });
  };
  for (const [gap, choice] of steps) {
    if (at > lastMinute || state === "FINISHED") break;
    if (state === "RELEASED" || state === "PAUSED") {
      if (state === "PAUSED" && choice % 5 === 0) report("REPORT_QUANTITY", choice);
      else start(choice % 4 === 0 ? "SETUP" : "PROCESSING");
    } else if (state === "BLOCKED") pause("RELEASE");
    else if (choice % 6 < 2) report("REPORT_QUANTITY", choice);
    else if (choice % 6 === 2) pause("STOP", ["BREAK", "MACHINE", undefined][Math.floor(choice / 6) % 3]);
    else if (choice % 6 === 3) pause("HOLD", "QUALITY");
    else if (choice % 6 === 4 && state === "SETUP") start("PROCESSING");
    else if (choice % 6 === 5 && choice > 600) {
      end();
      report("COMPLETE", choice);
      state = "FINISHED";
    } else if (state === "PROCESSING") report("REPORT_QUANTITY", choice);
    at += 5 * gap;
  }
  if (state === "SETUP" || state === "PROCESSING") pause("STOP", ["BREAK", undefined][correct % 2]);
  const good = operation.reports.reduce((sum, report) => sum + report.good, 0);
  const processed = operation.runs.some(({ phase }) => phase === "PROCESSING");
  if (processed && correct > 0 && good >= correct) {
    operation.corrected = correct;
    events.push({ at, action_type: "CORRECT", qty_good: -correct, qty_scrap: correct });
  }
  return { operation, events };
}

const minutes = (from: number, to: number) => fc.integer({ min: from / 30, max: to / 30 }).map((half) => 30 * half);

const plants = fc.record({
  begin: minutes(5 * 60, 8 * 60),
  length: minutes(4 * 60, 10 * 60),
  hasBreak: fc.boolean(),
  hasCalendar: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
  slots: fc.constantFrom(null, null, 1, 2, 3),
  stories: fc.array(
    fc.record({
      begin: fc.integer({ min: 60, max: 130 }).map((n) => 5 * n),
      steps: fc.array(fc.tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 0, max: 999 })), {
        minLength: 1,
        maxLength: 12,
        size: "max",
      }),
      target: fc.constantFrom(null, 0.5, 1, 2.5),
      correct: fc.integer({ min: 0, max: 10 }),
    }),
    { minLength: 1, maxLength: 4, size: "max" },
  ),
  downtimes: fc.array(
    fc.record({
      gap: fc.integer({ min: 1, max: 60 }),
      length: fc.integer({ min: 1, max: 20 }),
      isPlanned: fc.boolean(),
    }),
    { maxLength: 3 },
  ),
  window: fc.tuple(fc.integer({ min: 48, max: 150 }), fc.integer({ min: 1, max: 120 })),
  split: fc.integer({ min: 1, max: 99 }),
});

type Plant = typeof plants extends fc.Arbitrary<infer Value> ? Value : never;

/** Reports the events of a plant in one batch: those at one time in the order of their operation. */
async function reportAll(place: string, operations: Operation[], events: Step[]) {
  const body = {
    events: events.map(({ at, index, ...event }) => {
      const { order_no, operation_no, asset_id } = operations[index] as Operation;
      return {
        ...{ order_no, operation_no, asset_id, workplace_name: place, occurred_at: instant(at) },
        ...event,
      };
    }),
  };
  const { body: { results }, text } = await server.post<Results & { results: { id: string }[] }>(
    "/events/v1/batch",
    body,
  );
  assert(results?.every(({ status }) => status === 201), text);
  return results;
}

async function build(
  plant: Plant,
  order: (events: Step[]) => Step[] = (events) => events,
) {
  const { begin, length, hasBreak, hasCalendar, slots } = plant;
  const shifts = [{ from: begin, to: begin + length }];
  const breaks = hasBreak ? [{ from: begin + 120, to: begin + 150 }] : [];
  const place = await newPlace(
    hasCalendar
      ? [shift("DAY", clock(begin), clock(begin + length), {
        breaks: breaks.map(({ from, to }) => ({ start: clock(from), end: clock(to) })),
      })]
      : null,
  );
  const played = plant.stories.map(play);
  const operations = await Promise.all(
    plant.stories.map(({ target }) =>
      newOperation({ workplace_name: place, qty_desired: null, t_target_per_piece_min: target })
    ),
  );
  const events = played.flatMap(({ events }, index) => events.map((event) => ({ ...event, index })))
    .map((event, position) => ({ event, position }))
    .toSorted((a, b) => a.event.at - b.event.at || a.position - b.position).map(({ event }) => event);
  const sent = order(events);
  const results = await reportAll(place, operations, sent);
  const downtimes: ModelPlant["downtimes"] = [];
  for (const { gap, length, isPlanned } of plant.downtimes) {
    const from = (downtimes.at(-1)?.to ?? begin) + 5 * gap;
    const span = { from, to: from + 5 * length, isPlanned };
    await opened(place, {
      occurred_at: instant(span.from),
      ended_at: instant(span.to),
      category: isPlanned ? "PLANNED" : "UNPLANNED",
    });
    downtimes.push(span);
  }
  // only now: a capacity would have kept operations from starting
  if (slots !== null) {
    const { status, text } = await server.patch(`/workplaces/v1/${place}`, { time_basis: "SLOTS", capacity: slots });
    assertEquals(status, 200, text);
  }
  const model: ModelPlant = {
    ...{ shifts: hasCalendar ? shifts : null, breaks, downtimes, slots: slots ?? 1 },
    operations: played.map(({ operation }) => operation),
  };
  const reported = sent.map((event, index) => ({ ...event, id: results[index]?.id ?? "" }));
  return { place, model, operations, reported };
}

/** Compares a row with the model. */
function compare(
  { elements, pieces, ratios, outside, coverage }: Bucket,
  expected: ModelFigures,
  hasCalendar: boolean,
) {
  const close = (actual: number | null, wanted: number, what: string, tolerance = 0.0011) =>
    assertAlmostEquals(actual ?? NaN, wanted, tolerance, `${what}: ${actual}, not ${wanted}`);
  close(elements.apt_min, expected.apt, "APT");
  close(elements.aust_min, expected.aust, "AUST");
  close(pieces.pq, expected.pq, "PQ");
  close(pieces.gq, expected.gq, "GQ");
  close(outside.pq, expected.outsidePq, "outside PQ");
  close(outside.apt_min, expected.outsideApt, "outside APT");
  if (expected.apt > 0) close(coverage, expected.aptKnown / expected.apt, "coverage", 2e-6);
  if (expected.aptKnown > 0) close(ratios.effectiveness, expected.earned / expected.aptKnown, "E", 2e-6);
  if (!hasCalendar) {
    assertEquals([elements.pot_min, elements.pbt_min, ratios.availability, ratios.oee], [null, null, null, null]);
    return;
  }
  const pbt = expected.pot - expected.pdot;
  close(elements.pot_min, expected.pot, "POT");
  close(elements.pdot_min, expected.pdot, "PDOT");
  close(elements.adet_min, expected.adet, "ADET");
  close(elements.adot_min, expected.adot, "ADOT");
  // to the millisecond
  const { apt_min, aust_min, adet_min, adot_min, pbt_min } = elements;
  close(apt_min + aust_min + (adet_min ?? NaN) + (adot_min ?? NaN), pbt_min ?? NaN, "PBT = sum", 1e-9);
  if (pbt > 0) close(ratios.availability, expected.apt / pbt, "A", 2e-6);
  // at full coverage
  if (pbt > 0 && expected.apt > 0 && expected.aptKnown > expected.apt - 1e-9) {
    close(ratios.oee, expected.earnedGood / pbt, "OEE", 2e-6);
  }
}

const added = (one: Bucket, other: Bucket) => ({
  elements: Object.fromEntries(
    Object.entries(one.elements).map(([name, value]) => [
      name,
      value === null ? null : value + (other.elements[name as keyof Bucket["elements"]] ?? NaN),
    ]),
  ),
  pq: one.pieces.pq + other.pieces.pq + one.outside.pq + other.outside.pq,
});

Deno.test("Reports: count like the model of minutes when plants are random", async () => {
  let made = 0;
  await fc.assert(
    fc.asyncProperty(
      plants,
      withinTime(limitMs, async (plant) => {
        made++;
        const { place, model, operations, reported } = await build(plant);
        const [first, length] = plant.window;
        const window: Span = { from: 5 * first, to: Math.min(5 * (first + length), 24 * 60) };
        const row = (from: number, to: number, more = {}) => oeeOf(place, instant(from), instant(to), more);

        const whole = await row(window.from, window.to);
        compare(whole, figuresOf(model, window), plant.hasCalendar);

        // any partition adds up, in both attributions
        const split = Math.min(window.to, window.from + 5 * Math.max(1, Math.floor(length * plant.split / 100)));
        for (const attribution of ["prorated", "reported"]) {
          const parts = added(
            await row(window.from, split, { attribution }),
            await row(split, window.to, { attribution }),
          );
          const sum = await row(window.from, window.to, { attribution });
          for (const [name, value] of Object.entries(sum.elements)) {
            if (value !== null) assertAlmostEquals(parts.elements[name] ?? NaN, value, 0.003, name);
          }
          assertAlmostEquals(parts.pq, sum.pieces.pq + sum.outside.pq, 0.005, attribution);
        }

        if (made % 5 === 0) {
          // the order of reports changes nothing: pieces are reported last, the last ones first
          const isPieces = ({ action_type }: Event) => action_type === "REPORT_QUANTITY";
          const late = await build(plant, (events) => {
            const isLate = (event: Step) => isPieces(event);
            const corrections = events.filter(({ action_type }) => action_type === "CORRECT");
            const others = events.filter((event) => !isLate(event) && event.action_type !== "CORRECT");
            // a finished operation takes no more pieces
            if (others.some(({ action_type }) => action_type === "COMPLETE")) return events;
            return [...others, ...events.filter(isLate).toReversed(), ...corrections];
          });
          const again = await oeeOf(late.place, instant(window.from), instant(window.to));
          assertEquals([again.elements, again.pieces, again.ratios], [whole.elements, whole.pieces, whole.ratios]);
        }
        if (made % 5 === 1 && model.operations.every(({ corrected }) => corrected === 0)) {
          // reversing everything gives 0
          for (const { id, index, action_type, qty_good, qty_scrap } of reported) {
            if (!["REPORT_QUANTITY", "COMPLETE"].includes(action_type) || Number(qty_good) + Number(qty_scrap) === 0) {
              continue;
            }
            const { order_no, operation_no, asset_id } = operations[index] as Operation;
            const reversal = { action_type: "REVERSE", order_no, operation_no, asset_id, workplace_name: place };
            const { status, text } = await server.post("/events/v1", { ...reversal, reverses_event_id: id });
            assertEquals(status, 201, text);
          }
          const none = await row(window.from, window.to);
          assertEquals([none.pieces, none.outside.pq], [{ pq: 0, gq: 0, sq: 0 }, 0]);
          assert([0, null].includes(none.ratios.oee), `OEE ${none.ratios.oee}`);
        }
      }),
    ),
    // small values first would make the first plants all alike
    { numRuns: runs, seed, unbiased: true },
  );
  console.log(`MEASURED Reports: count like the model of minutes: ${made} plants, SEED=${seed}`);
  assert(made >= Math.min(runs, 10), `only ${made} plants`);
});

Deno.test("OEE: micro_stop_s never changes it when machines stop at random", async () => {
  const stops = fc.array(fc.tuple(fc.integer({ min: 20, max: 900 }), fc.integer({ min: 1, max: 400 })), {
    minLength: 1,
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(
      stops,
      fc.integer({ min: 1, max: 400 }),
      withinTime(limitMs, async (stops, micro_stop_s) => {
        const values: [oee: number | null, stoppedMin: number][] = [];
        for (const seconds of [0, micro_stop_s]) {
          const place = await newPlace([shift("DAY", "06:00", "10:00")], { micro_stop_s: seconds });
          const operation = await newOperation({ workplace_name: place, qty_desired: null, t_target_per_piece_min: 1 });
          const { order_no, operation_no, asset_id } = operation;
          const key = { order_no, operation_no, asset_id, workplace_name: place };
          const events = [
            { ...key, action_type: "START", occurred_at: instant(360) },
            { ...key, action_type: "COMPLETE", occurred_at: instant(600), qty_good: 190, qty_scrap: 3 },
          ];
          assertEquals((await server.post("/events/v1/batch", { events })).status, 201);
          let at = 360 * 60;
          for (const [running, down] of stops) {
            for (const [state, length] of [["DOWN", running], ["RUNNING", down]] as const) {
              at += length;
              const { status, text } = await server.post(`/workplaces/v1/${place}/state`, {
                state,
                occurred_at: instant(at / 60),
              });
              assertEquals(status, 201, text);
            }
          }
          const { ratios, elements, minor_stops } = await oeeOf(place, instant(360), instant(600));
          const stopped = (elements.adet_min ?? NaN) + minor_stops.minutes;
          values.push([ratios.oee, stopped]);
          assertAlmostEquals(elements.apt_min + (elements.adet_min ?? NaN), 240, 1e-9);
        }
        const [[oee, stopped], [otherOee, otherStopped]] = values as [typeof values[0], typeof values[0]];
        assertEquals(oee, otherOee);
        assertAlmostEquals(stopped, otherStopped, 0.0011);
      }),
    ),
    { numRuns: Math.max(5, Math.floor(runs / 20)), seed },
  );
});
