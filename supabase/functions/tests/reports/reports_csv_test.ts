/** Reports as CSV: the rows of each, with the values of JSON. */
// @ts-types="@types/papaparse"
import Papa from "papaparse";
import {
  assert,
  assertEquals,
  assertProblem,
  type Client,
  newUser,
  newWorkplace,
  nextPage,
  server,
  unique,
} from "../support/harness.ts";
import { happened, newPlace, on, shift, zoneOfNoon } from "../support/reports.ts";
import { opened } from "../support/stops.ts";

type Query = Record<string, string | number | boolean | string[] | undefined>;
type Values = Record<string, unknown>;

const names = ["oee", "timeline", "losses", "scrap", "operations", "summary"] as const;
type Name = typeof names[number];

const pathOf = (name: Name) => `/reports/v1/${name}`;

/** A report as CSV: its text, and what its headers say. */
async function csv(name: Name, query: Query, client: Client = server) {
  const answer = await client.get<unknown>(pathOf(name), { query: { format: "csv", ...query } });
  assertEquals(answer.status, 200, answer.text);
  return answer;
}

/** Rows of a report by the names of its header line. */
async function rowsOf(name: Name, query: Query, client: Client = server): Promise<Record<string, string>[]> {
  const { text } = await csv(name, query, client);
  return Papa.parse<Record<string, string>>(text, { header: true, newline: "\r\n", skipEmptyLines: true }).data;
}

/** A report as JSON. */
async function jsonOf(name: Name, query: Query): Promise<Values> {
  const { status, body, text } = await server.get<Values>(pathOf(name), { query });
  assertEquals(status, 200, text);
  return body;
}

/** The cell of a value of JSON. */
const cellOf = (value: unknown) =>
  value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

/** Returns an object whose members that are objects are members of it, with the prefix that is said here. */
function flat(values: object, prefixes: Record<string, string>): Values {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]): [string, unknown][] => {
      const prefix = prefixes[name];
      if (prefix === undefined || value === null) return [[name, value]];
      return Object.entries(value).map(([member, value]) => [`${prefix}${member}`, value]);
    }),
  );
}

const listOf = (values: Values | undefined, name: string) => values?.[name] as Values[];

/** Asserts that rows have the columns of these values, all but the empty ones, with the cells of JSON. */
function assertRows(rows: Record<string, string>[], expected: Values[]): void {
  assertEquals(
    rows.map((row) => Object.fromEntries(Object.entries(row).filter(([, cell]) => cell !== "").toSorted())),
    expected.map((values) =>
      Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name, cellOf(value)]).filter(([, cell]) => cell !== "")
          .toSorted(),
      )
    ),
  );
}

const frame = { complete: true, access: "all" };

/** A workplace with setup, pieces, scrap of two reasons, a stop and a downtime, on the day of the stories. */
async function story() {
  const workplace_name = await newPlace([shift("EARLY", "06:00", "14:00")]);
  const order_no = unique("O");
  await happened(workplace_name, { order_no, t_target_per_piece_min: 0.8, t_target_setup_min: 30 }, [
    ["06:00", "START", { phase: "SETUP" }],
    ["06:40", "START"],
    ["07:40", "REPORT_QUANTITY", { qty_good: 50, qty_scrap: 4, reason_code: "SURFACE" }],
    ["08:40", "REPORT_QUANTITY", { qty_good: 40, qty_scrap: 2, reason_code: "DIMENSION" }],
    ["09:00", "STOP", { reason_code: "MACHINE" }],
    ["09:30", "START"],
    ["10:00", "COMPLETE", { qty_good: 9 }],
  ]);
  await happened(workplace_name, { order_no, operation_no: "0020", t_target_per_piece_min: 1 }, [
    ["10:30", "START"],
    ["11:00", "COMPLETE", { qty_good: 1 }],
  ]);
  await opened(workplace_name, { occurred_at: on("12:00"), ended_at: on("12:45") });
  return { workplace_name, from: on("06:00"), to: on("14:00") };
}

Deno.test("GET /reports/v1/oee as CSV: has one row per bucket with every figure of JSON but the losses", async () => {
  const query = { ...await story(), to: "2026-11-22T00:00:00Z", by: ["workplace", "shift"] };
  const buckets = listOf(await jsonOf("oee", query), "buckets");
  assert(buckets.length > 2);
  const rows = await rowsOf("oee", query);
  const prefixes = {
    ...{ key: "", elements: "", pieces: "", ratios: "", inputs: "" },
    ...{ capped: "capped_", minor_stops: "minor_stops_", outside: "outside_" },
  };
  assertRows(rows, buckets.map(({ losses: _, ...bucket }) => ({ ...flat(bucket, prefixes), ...frame })));
  const early = rows.find(({ pq }) => pq !== "0");
  // 100 good ones of 106, as JSON has it: to six decimals
  assertEquals(early?.quality_ratio, String(Math.round(100 / 106 * 1e6) / 1e6));
  assertEquals(early?.workplace_name, query.workplace_name);
  const free = rows.find(({ pot_min }) => pot_min === "0");
  assertEquals([free?.oee, JSON.parse(free?.reasons ?? "").oee], ["", "not_planned"]);
});

Deno.test("GET /reports/v1/timeline as CSV: has one row per interval", async () => {
  const query = await story();
  const { workplace_name } = query;
  const intervals = listOf(await jsonOf("timeline", query), "intervals");
  assertRows(
    await rowsOf("timeline", query),
    intervals.map((interval) => ({ workplace_name, ...flat(interval, { slots: "slots_" }), ...frame })),
  );
  const slots = await newPlace([shift("EARLY", "06:00", "14:00")], { time_basis: "SLOTS", capacity: 3 });
  await happened(slots, {}, [["06:00", "START"], ["08:00", "STOP"]]);
  const [first] = await rowsOf("timeline", { ...query, workplace_name: slots });
  assertEquals([first?.slots_apt, first?.slots_aust, first?.slots_adot], ["1", "0", "2"]);
});

Deno.test("GET /reports/v1/losses as CSV: has one row per category and reason", async () => {
  const query = { ...await story(), by: "workplace" };
  const [bucket] = listOf(await jsonOf("losses", query), "buckets");
  const { losses: _, ...rest } = bucket ?? {};
  const losses = listOf(bucket, "losses");
  assert(losses.length > 2);
  assertRows(
    await rowsOf("losses", query),
    losses.map((loss) => ({ ...flat(rest, { key: "" }), ...loss, ...frame })),
  );
});

Deno.test("GET /reports/v1/scrap as CSV: has one row per reason, with the figures of its bucket", async () => {
  const query = { ...await story(), by: "workplace" };
  const [bucket] = listOf(await jsonOf("scrap", query), "buckets");
  const { scrap: _, key, from, to, pieces, ...total } = bucket ?? {};
  const rows = await rowsOf("scrap", query);
  assertRows(
    rows,
    listOf(bucket, "scrap").map((reason) => ({
      ...flat({ key, from, to, pieces, total }, { key: "", pieces: "total_", total: "total_" }),
      ...reason,
      ...frame,
    })),
  );
  assertEquals(rows.map(({ reason_code, sq, share, total_sq }) => [reason_code, sq, share, total_sq]), [
    ["SURFACE", "4", "0.666667", "6"],
    ["DIMENSION", "2", "0.333333", "6"],
  ]);
});

Deno.test("GET /reports/v1/operations as CSV: has one row per operation, and the Link header continues it", async () => {
  const query = await story();
  const operations = listOf(await jsonOf("operations", query), "operations");
  assertEquals(operations.length, 2);
  const prefixes = { pieces: "", setup: "setup_", processing: "processing_", lead: "lead_" };
  assertRows(
    await rowsOf("operations", query),
    operations.map((operation) => ({ ...flat(operation, prefixes), ...frame })),
  );
  const columns = "operation_no,setup_target_min";
  const first = await csv("operations", { ...query, columns, limit: 1, header: false });
  assertEquals(first.headers.get("content-disposition"), 'attachment; filename="operations-report-part.csv"');
  const second = await server.get<unknown>(nextPage(first) ?? "");
  assertEquals([first.text, second.text, nextPage(second)], ["0010,30\r\n", "0020,\r\n", undefined]);
});

Deno.test("GET /reports/v1/summary as CSV: is one row", async () => {
  const { workplace_name } = await story();
  const query = { workplace_name, time_zone: zoneOfNoon() };
  const { today, operations, pieces_today, stops } = await jsonOf("summary", query);
  const [row, ...others] = await rowsOf("summary", query);
  assertEquals(others, []);
  const { at, ...cells } = row ?? {};
  assert(Date.parse(at ?? "") > 0);
  const { date } = today as Values;
  const { by_status, ...counts } = operations as Values;
  assertRows([cells], [{
    ...{ date, ...by_status as Values, ...counts, ...pieces_today as Values, access: "all" },
    ...flat({ stops }, { stops: "stops_" }),
  }]);
});

Deno.test("Reports as CSV: columns, separator, decimal sign, zone, header line and byte order mark are as asked", async () => {
  const query = await story();
  const form = { separator: "semicolon", decimal: "comma", time_zone: "America/New_York", header: false };
  const text = async (name: Name, more: Query) => (await csv(name, { ...query, ...form, ...more })).text;
  const begin = "2026-11-20 01:00:00";
  assertEquals(
    await text("oee", { columns: "from,quality_ratio,partial" }),
    `${begin};${String(Math.round(100 / 106 * 1e6) / 1e6).replace(".", ",")};false\r\n`,
  );
  const [interval] = (await text("timeline", { columns: "from,from_local,bucket" })).split("\r\n");
  assertEquals(interval, `${begin};2026-11-20T01:00:00.000;AUST`);
  const [loss] = (await text("losses", { columns: "from,cumulative_share" })).split("\r\n");
  assert(loss?.startsWith(`${begin};0,`), loss);
  assertEquals(await text("scrap", { columns: "sq,share" }), "4;0,666667\r\n2;0,333333\r\n");
  assertEquals(
    await text("operations", { columns: "actual_start_at,operation_no", limit: 1 }),
    `${begin};0010\r\n`,
  );
  const { workplace_name } = query;
  const { text: summary } = await csv("summary", {
    workplace_name,
    bom: true,
    columns: "running,date",
    separator: "tab",
  });
  assert(/^\ufeff?running\tdate\r\n0\t\d{4}-\d\d-\d\d\r\n$/.test(summary), summary);
  const zoned = await csv("summary", { workplace_name, time_zone: "Europe/Amsterdam", columns: "at", header: false });
  assert(/^"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"\r\n$/.test(zoned.text), zoned.text);
  assertEquals(zoned.headers.get("content-type"), "text/csv; charset=utf-8; header=absent");
});

Deno.test("Reports: options of CSV need CSV, and a time zone does not", async () => {
  const { workplace_name, from, to } = await story();
  for (const name of names) {
    const query = { workplace_name, ...name === "summary" ? {} : { from, to } };
    const invalid: [Query, string][] = [
      [{ columns: "from" }, "/columns"],
      [{ separator: "tab" }, "/separator"],
      [{ format: "csv", columns: "colour" }, "/columns"],
      [{ format: "csv", time_zone: "Mars/Olympus" }, "/time_zone"],
      [{ format: "csv", time_zone: "posix/Europe/Amsterdam" }, "/time_zone"],
    ];
    for (const [more, pointer] of invalid) {
      const answer = await server.get(pathOf(name), { query: { ...query, ...more } });
      const { errors } = assertProblem(answer, 422, "validation_failed");
      assertEquals(errors?.map(({ pointer }) => pointer), [pointer], `${name} ${JSON.stringify(more)}`);
    }
    const accepted = await server.get(pathOf(name), { query, headers: { accept: "text/csv" } });
    assertEquals([accepted.status, accepted.headers.get("content-disposition")], [
      200,
      `attachment; filename="${name === "operations" ? "operations-report" : name}.csv"`,
    ]);
    await jsonOf(name, { ...query, time_zone: "Europe/Amsterdam" });
  }
});

Deno.test("Reports as CSV: hold the workplaces that the caller sees, and say so", async () => {
  const { workplace_name, from, to } = await story();
  const { client } = await newUser({ role: "supervisor", workplaces: [workplace_name] });
  const stranger = await newUser({ role: "supervisor", workplaces: [newWorkplace()] });
  for (const name of names) {
    const query = { workplace_name, ...name === "summary" ? {} : { from, to } };
    const rows = await rowsOf(name, query, client);
    assert(rows.length > 0 && rows.every(({ access }) => access === "own"), name);
    const hidden = await stranger.client.get(pathOf(name), { query: { format: "csv", ...query } });
    assertProblem(hidden, 404, "not_found");
  }
});
