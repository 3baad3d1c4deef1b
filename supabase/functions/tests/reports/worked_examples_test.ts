/** The worked examples of OEE, to all six decimals. */
import { assertEquals, type Operation, server } from "../support/harness.ts";
import { figures, happened, linesOf, losses, newPlace, oee, oeeOf, on, shift, timeline } from "../support/reports.ts";

/** One operation in a shift with a break: set up, run, a break, a fault, the end. */
async function exampleOne(): Promise<string> {
  const workplace = await newPlace([shift("EARLY", "06:00", "14:00", { breaks: [{ start: "09:30", end: "10:00" }] })]);
  await happened(workplace, { qty_desired: 400, t_target_processing_min: 320 }, [
    ["06:00", "START", { phase: "SETUP" }],
    ["06:40", "START"],
    ["09:30", "STOP", { reason_code: "BREAK" }],
    ["10:00", "START"],
    ["11:10", "STOP", { reason_code: "MACHINE" }],
    ["11:50", "START"],
    ["13:40", "REPORT_QUANTITY", { qty_good: 369, qty_scrap: 11 }],
    ["13:40", "FINISH", { reason_code: "UNSPECIFIED" }],
  ]);
  return workplace;
}

Deno.test("OEE: worked example E1, a shift with setup, break, fault and idle time", async () => {
  const workplace = await exampleOne();
  const bucket = await oeeOf(workplace, "00:00", "2026-11-21T00:00:00Z");
  assertEquals(figures(bucket), {
    ...{ PBT: 450, APT: 350, AUST: 40, ADET: 40, ADOT: 20 },
    ...{ A: 0.777778, E: 0.868571, Q: 0.971053, weighted: 0.971053, OEE: 0.656 },
  });
  const { ratios, elements, pieces, coverage, partial, reasons, warnings, outside, inputs } = bucket;
  assertEquals([elements.pot_min, elements.pdot_min], [480, 30]);
  assertEquals(
    [ratios.nee, ratios.teep, ratios.utilisation_efficiency, ratios.allocation_efficiency],
    [0.730971, 0.205, 0.813953, 0.955556],
  );
  assertEquals([ratios.technical_efficiency, ratios.setup_ratio, ratios.scrap_ratio], [0.897436, 0.102564, 0.028947]);
  // 380 pieces in 430 busy minutes
  assertEquals(ratios.throughput_per_h, 53.023256);
  assertEquals([pieces, coverage, partial], [{ pq: 380, gq: 369, sq: 11 }, 1, false]);
  assertEquals([reasons, warnings, outside], [{}, [], { apt_min: 0, aust_min: 0, pq: 0, gq: 0 }]);
  assertEquals(inputs, { runs: 4, events: 1, downtimes: 0, calendar_version: 1 });
  assertEquals(
    bucket.losses.map((
      { bucket, detail, reason_code, minutes, count },
    ) => [bucket, detail, reason_code, minutes, count]),
    [
      ["ADET", "paused", "MACHINE", 40, 1],
      ["AUST", "setup", null, 40, 1],
      ["PDOT", "break", null, 30, 1],
      ["ADOT", "idle", null, 20, 1],
    ],
  );
  // the same by its shift, of which TEEP is the shift's
  const { buckets: [byShift] } = await oee({
    workplace_name: workplace,
    shift_date: "2026-11-20",
    shift_code: "EARLY",
  });
  assertEquals([byShift?.from, byShift?.to, byShift?.ratios.oee], [on("06:00"), on("14:00"), 0.656]);
  assertEquals(byShift?.ratios.teep, 0.615);
});

Deno.test("Timeline and losses: are the partition of worked example E1", async () => {
  const workplace = await exampleOne();
  const { intervals } = await timeline({ workplace_name: workplace, from: on("05:00"), to: on("15:00") });
  assertEquals(linesOf(intervals), [
    "05:00 06:00 OFF no_shift",
    "06:00 06:40 AUST setup",
    "06:40 09:30 APT processing",
    "09:30 10:00 PDOT break",
    "10:00 11:10 APT processing",
    "11:10 11:50 ADET paused MACHINE",
    "11:50 13:40 APT processing",
    "13:40 14:00 ADOT idle",
    "14:00 15:00 OFF no_shift",
  ]);
  assertEquals(intervals.map(({ operations }) => operations.map(({ share }) => share)).flat(), [1, 1, 1, 1]);
  const { buckets: [bucket] } = await losses({ workplace_name: workplace, from: on("05:00"), to: on("15:00") });
  assertEquals(bucket?.total_min, 130);
  assertEquals(
    bucket?.losses.map(({ category, reason_code, minutes, share, cumulative_share }) => [
      ...[category, reason_code, minutes, share, cumulative_share],
    ]),
    [
      ["UNPLANNED", "MACHINE", 40, 0.307692, 0.307692],
      ["SETUP", null, 40, 0.307692, 0.615385],
      ["PLANNED", null, 30, 0.230769, 0.846154],
      ["IDLE", null, 20, 0.153846, 1],
    ],
  );
});

Deno.test("OEE: worked example E2, three operations of which one has no target", async () => {
  const workplace = await newPlace([shift("EARLY", "06:00", "14:00")]);
  await happened(workplace, { t_target_per_piece_min: 0.1 }, [
    ["06:00", "START"],
    ["08:00", "COMPLETE", { qty_good: 900, qty_scrap: 100 }],
  ]);
  await happened(workplace, { t_target_per_piece_min: 20 }, [["08:00", "START"], ["11:40", "COMPLETE", {
    qty_good: 10,
  }]]);
  await happened(workplace, {}, [["11:40", "START"], ["12:40", "COMPLETE", { qty_good: 30 }]]);
  const bucket = await oeeOf(workplace, "06:00", "14:00");
  assertEquals(figures(bucket), {
    ...{ PBT: 480, APT: 400, AUST: 0, ADET: 0, ADOT: 80 },
    ...{ A: 0.833333, E: 0.882353, Q: 0.903846, weighted: 0.966667, OEE: 0.710784 },
  });
  assertEquals([bucket.coverage, bucket.partial], [0.85, true]);
  assertEquals(bucket.warnings, [{ code: "operations_without_target", operations: 1 }]);
});

Deno.test("OEE: worked example E3a, four operations in the slots of an oven", async () => {
  const workplace = await newPlace([shift("EARLY", "06:00", "14:00")], { time_basis: "SLOTS", capacity: 4 });
  await happened(workplace, { t_target_per_piece_min: 4 }, [
    ["06:00", "START"],
    ["14:00", "COMPLETE", { qty_good: 108, qty_scrap: 2 }],
  ]);
  await happened(workplace, { t_target_per_piece_min: 2.5 }, [["06:00", "START"], ["10:00", "COMPLETE", {
    qty_good: 80,
  }]]);
  await happened(workplace, { t_target_per_piece_min: 6 }, [
    ["08:00", "START"],
    ["12:00", "COMPLETE", { qty_good: 33, qty_scrap: 2 }],
  ]);
  await happened(workplace, { t_target_per_piece_min: 1 }, [
    ["06:00", "START", { phase: "SETUP" }],
    ["07:00", "START"],
    ["09:00", "COMPLETE", { qty_good: 90 }],
  ]);
  const bucket = await oeeOf(workplace, "06:00", "14:00");
  const { Q: _, ...rest } = figures(bucket);
  assertEquals(rest, {
    ...{ PBT: 1920, APT: 1080, AUST: 60, ADET: 0, ADOT: 780 },
    ...{ A: 0.5625, E: 0.87037, weighted: 0.978723, OEE: 0.479167 },
  });
  const { intervals } = await timeline({ workplace_name: workplace, from: on("06:00"), to: on("14:00") });
  assertEquals(
    intervals.map(({ from, bucket, slots }) => [from.slice(11, 16), bucket, slots?.apt, slots?.aust, slots?.adot]),
    [
      ["06:00", "APT", 2, 1, 1],
      ["07:00", "APT", 3, 0, 1],
      ["08:00", "APT", 4, 0, 0],
      ["09:00", "APT", 3, 0, 1],
      ["10:00", "APT", 2, 0, 2],
      ["12:00", "APT", 1, 0, 3],
    ],
  );
});

Deno.test("OEE: worked example E3b, three operations at once share one hour", async () => {
  const workplace = await newPlace([shift("EARLY", "07:00", "08:00")]);
  for (const [target, good] of [[1.5, 12], [0.8, 30], [2, 6]] as const) {
    await happened(workplace, { t_target_per_piece_min: target }, [
      ["07:00", "START"],
      ["08:00", "COMPLETE", { qty_good: good }],
    ]);
  }
  const bucket = await oeeOf(workplace, "07:00", "08:00");
  assertEquals(figures(bucket), {
    ...{ PBT: 60, APT: 60, AUST: 0, ADET: 0, ADOT: 0 },
    ...{ A: 1, E: 0.9, Q: 1, weighted: 1, OEE: 0.9 },
  });
  const { buckets } = await oee({
    workplace_name: workplace,
    from: on("07:00"),
    to: on("08:00"),
    by: ["operation"],
  });
  assertEquals(buckets.map(({ elements }) => elements.apt_min), [20, 20, 20]);
});

Deno.test("OEE: worked example E4, the nights when clocks change", async () => {
  const workplace = await newPlace(
    [shift("NIGHT", "22:00", "06:00"), shift("EARLY", "06:00", "14:00")],
    {},
    "Europe/Amsterdam",
  );
  await happened(workplace, { t_target_per_piece_min: 3 }, [
    ["2026-03-29T00:00:00Z", "START"],
    ["2026-03-29T06:00:00Z", "COMPLETE", { qty_good: 108 }],
  ]);
  const window = { workplace_name: workplace, from: "2026-03-28T21:00:00Z", to: "2026-03-29T12:00:00Z", by: "shift" };
  const { buckets: prorated, time_zone } = await oee(window);
  assertEquals(time_zone, "Europe/Amsterdam");
  assertEquals(
    prorated.map(({ key, from, to, elements, pieces, ratios }) => [
      ...[key.shift_date, key.shift_code, from.slice(5, 16), to.slice(5, 16), elements.pbt_min, pieces.pq],
      ...[ratios.availability, ratios.effectiveness, ratios.oee],
    ]),
    [
      ["2026-03-28", "NIGHT", "03-28T21:00", "03-29T04:00", 420, 72, 0.571429, 0.9, 0.514286],
      ["2026-03-29", "EARLY", "03-29T04:00", "03-29T12:00", 480, 36, 0.25, 0.9, 0.225],
    ],
  );
  const { buckets: reported } = await oee({ ...window, attribution: "reported" });
  assertEquals(reported.map(({ ratios }) => [ratios.effectiveness, ratios.oee]), [[0, 0], [2.7, 0.675]]);
  assertEquals(reported[1]?.warnings, [{ code: "effectiveness_above_1", effectiveness: 2.7 }]);
  assertEquals(reported[1]?.capped, { effectiveness: 1, oee: 0.25 });
  for (const buckets of [prorated, reported]) {
    assertEquals(buckets.reduce((sum, { pieces }) => sum + 3 * pieces.pq, 0), 324);
  }
  const [autumn] = (await oee({ workplace_name: workplace, shift_date: "2026-10-24", shift_code: "NIGHT" })).buckets;
  assertEquals([autumn?.from, autumn?.to, autumn?.elements.pot_min], [
    "2026-10-24T20:00:00.000Z",
    "2026-10-25T05:00:00.000Z",
    540,
  ]);
});

Deno.test("OEE: worked example E5, a machine with one long and three short stops", async () => {
  for (
    const [micro_stop_s, expected, downtimes, minor] of [
      [0, { APT: 218, ADET: 22, A: 0.908333, E: 0.908257 }, 4, { count: 0, minutes: 0 }],
      [120, { APT: 220, ADET: 20, A: 0.916667, E: 0.9 }, 1, { count: 3, minutes: 2 }],
    ] as const
  ) {
    const workplace = await newPlace([shift("EARLY", "06:00", "10:00")], { micro_stop_s });
    await happened(workplace, { t_target_per_piece_min: 1 }, [["06:00", "START"]]);
    for (
      const [state, time] of [
        ["RUNNING", "06:00"],
        ["DOWN", "07:00"],
        ["RUNNING", "07:20"],
        ...["08:00", "08:30", "09:00"].flatMap((time) => [["DOWN", time], ["RUNNING", `${time}:40`]]),
      ] as const
    ) {
      const { status, text } = await server.post(`/workplaces/v1/${workplace}/state`, { state, occurred_at: on(time) });
      assertEquals(status, 201, text);
    }
    const { order_no, operation_no, asset_id } = (await runningAt(workplace))[0] ?? {};
    const complete = { order_no, operation_no, asset_id, workplace_name: workplace, occurred_at: on("10:00") };
    const { status, text } = await server.post("/events/v1", { action_type: "COMPLETE", qty_good: 198, ...complete });
    assertEquals(status, 201, text);
    const bucket = await oeeOf(workplace, "06:00", "10:00");
    assertEquals(figures(bucket), { PBT: 240, AUST: 0, ADOT: 0, Q: 1, weighted: 1, OEE: 0.825, ...expected });
    assertEquals([bucket.inputs.downtimes, bucket.minor_stops], [downtimes, minor]);
    assertEquals(bucket.losses.map(({ detail, count }) => [detail, count]), [["fault", downtimes]]);
  }
});

async function runningAt(workplace: string) {
  const { body } = await server.get<{ running_operations: Operation[] }>(`/workplaces/v1/${workplace}`);
  return body.running_operations;
}
