/** CSV of lists: its lines, its form, and where an answer ends. Every test has a workplace of its own. */
// @ts-types="@types/papaparse"
import Papa from "papaparse";
import { csvWriter } from "../../_shared/csv_text.ts";
import {
  type Answer,
  assert,
  assertEquals,
  assertProblem,
  type Client,
  env,
  newOperation,
  newUser,
  newWorkplace,
  nextPage,
  type Operation,
  type OperationEvent,
  operationPath,
  type RequestOptions,
  server,
  unique,
} from "../support/harness.ts";
import { at, reported, reportOne } from "../support/floor.ts";
import { opened } from "../support/stops.ts";

/** Cells of the lines of a CSV. */
const parse = (text: string, delimiter = ",") =>
  Papa.parse<string[]>(text, { delimiter, newline: "\r\n", skipEmptyLines: false }).data.slice(0, -1);

/** Rows of a CSV by the names of its header line. */
function rowsIn(text: string): Record<string, string>[] {
  const [header = [], ...lines] = parse(text);
  return lines.map((cells) => Object.fromEntries(header.map((name, index) => [name, cells[index] ?? ""])));
}

type Query = NonNullable<RequestOptions["query"]>;

const operations = "/operations/v1";

/** A list as CSV, with what its headers say. */
async function csv(path: string, query: Query = {}, client: Client = server): Promise<Answer<unknown>> {
  const answer = await client.get<unknown>(path, { query: { format: "csv", ...query } });
  assertEquals(answer.status, 200, answer.text);
  return answer;
}

/** Rows of a list. */
async function rowsOf(path: string, query: Query = {}, client: Client = server) {
  return rowsIn((await csv(path, query, client)).text);
}

/** The cell of a value of JSON. */
const cellOf = (value: unknown) =>
  value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

Deno.test("CSV lines: hold separators, quotes, line ends and white space, end each row, and read back as they were", () => {
  const column = (name: string) => ({ name, isInstant: false });
  const texts = [
    "a,b",
    'say "so"',
    "two\r\nlines",
    "a\rb",
    "a\nb",
    " padded ",
    "semi;colon",
    "tab\tin it",
    "Größe €",
    "",
  ];
  for (const separator of [",", ";", "\t"] as const) {
    const form = { separator, decimal: ".", timeZone: undefined, hasHeader: true, hasBom: false } as const;
    const write = csvWriter({ ...form, columns: [column("a"), column("b, c")] });
    const written = write(texts.map((text) => ({ "a": text, "b, c": text }))) + write([]) +
      write([{ a: 1, "b, c": null }]);
    const expected = [["a", "b, c"], ...texts.map((text) => [text, text]), ["1", ""]];
    assertEquals(parse(written, separator), expected);
    assert(written.endsWith("\r\n"));
    assertEquals(write([]), "");
    // an empty cell alone in its line is not an empty line
    const single = csvWriter({ ...form, columns: [column("a")] });
    assertEquals(single([{ a: null }, { a: "x" }]), '"a"\r\n""\r\n"x"\r\n');
  }
});

Deno.test("CSV lines: text that a spreadsheet would calculate begins with an apostrophe, numbers stay numbers", () => {
  const columns = [{ name: "value", isInstant: false }, { name: "n", isInstant: false }];
  const write = (value: unknown, decimal: "." | "," = ".") =>
    csvWriter({ columns, separator: ";", decimal, timeZone: undefined, hasHeader: false, hasBom: false })([{
      value,
      n: 0,
    }]);
  for (const text of ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x"]) {
    const [[cell] = []] = parse(write(text), ";");
    assertEquals(cell, `'${text}`);
  }
  for (const text of ["a=1", " =1", "1-1", "'=1", "{}", "TruLaser 5060 (L76)"]) {
    assertEquals(parse(write(text), ";")[0]?.[0], text);
  }
  assertEquals(write(-5), "-5;0\r\n");
  assertEquals(write(-1.5), "-1.5;0\r\n");
  assertEquals(write(-1.5, ","), "-1,5;0\r\n");
  assertEquals(write(true), "true;0\r\n");
  assertEquals(write(["=1"]), '"[""=1""]";0\r\n');
});

Deno.test("CSV lines: no text becomes a formula in a program that splits the file at semicolons, tabs or line ends", () => {
  const columns = [{ name: "n", isInstant: false }, { name: "value", isInstant: false }];
  for (const separator of [",", ";", "\t"] as const) {
    const write = csvWriter({ columns, separator, decimal: ".", timeZone: undefined, hasHeader: false, hasBom: false });
    const texts = [";=1", "a;=cmd|' /C calc'!A0;b", "a;;＝1", "a\t+1", "a\r\n@SUM(1)", "a\n\n-1"];
    for (const value of [...texts, { note: "a;=1;b" }]) {
      const written = write([{ n: 1, value }]);
      const pieces = written.split(/[;\t\r\n]/);
      assertEquals(pieces.filter((piece) => /^[=+\-@＝]/.test(piece)), [], written);
    }
    assertEquals(parse(write([{ n: 1, value: "a;=1" }]), separator), [["1", "a;'=1"]]);
    assertEquals(parse(write([{ n: 1, value: { note: "a;=1" } }]), separator), [["1", '{"note":"a;\'=1"}']]);
    for (const text of ["a; =1", "a;b=1", "5,-", "a\nb - c"]) {
      assertEquals(parse(write([{ n: 1, value: text }]), separator), [["1", text]]);
    }
  }
});

Deno.test("GET /operations/v1 as CSV: no text becomes a formula in a program that splits the file at commas", async () => {
  const workplace_name = newWorkplace();
  const operation = await newOperation({ workplace_name, activity_description: "a,=cmd|' /C calc'!A0,-2+3" });
  const note = { said: "b,@SUM(1)", offsets: [1, -2], price: "5,-" };
  const { order_no } = operation;
  await reported(operation, ["START", { operation_data: note, note: "5,-" }]);
  for (const separator of ["semicolon", "tab"]) {
    const form = { separator, header: false };
    const texts = [
      await csv(operations, { workplace_name, columns: "order_no,activity_description,qty_desired", ...form }),
      await csv("/events/v1", { order_no, columns: "order_no,operation_data,note,op_seq", ...form }),
    ].map(({ text }) => text);
    for (const text of texts) {
      const pieces = text.split(/[,;\t\r\n]/);
      assertEquals(pieces.filter((piece) => /^[=+\-@](?!\d+\]|"*$)/.test(piece)), [], text);
    }
    const [[, data, said] = []] = parse(texts[1] ?? "", separator === "tab" ? "\t" : ";");
    assertEquals([JSON.parse(data ?? ""), said], [{ ...note, said: "b,'@SUM(1)" }, "5,-"]);
  }
});

Deno.test("GET /operations/v1 as CSV: has the fields of JSON in the order of the contract, and the same values", async () => {
  const workplace_name = newWorkplace();
  const awkward = 'Cut, "bend"\nand weld; größer €';
  const [first] = [
    await newOperation({ workplace_name, activity_description: awkward, t_target_setup_min: 12.5 }),
    await newOperation({ workplace_name, activity_description: "=cmd|' /C calc'!A0", reference_url: "-5" }),
  ];
  await reported(first, ["START", { occurred_at: at("06:00") }], ["STOP", { occurred_at: at("06:50") }]);
  const { body } = await server.get<(Operation & Record<string, unknown>)[]>(operations, { query: { workplace_name } });
  const answer = await csv(operations, { workplace_name });
  assertEquals(answer.headers.get("content-type"), "text/csv; charset=utf-8; header=present");
  assertEquals(answer.headers.get("content-disposition"), 'attachment; filename="operations.csv"');
  const [header = [], ...lines] = parse(answer.text);
  assertEquals(header.slice(0, 3), ["order_no", "asset_id", "operation_no"]);
  assertEquals(header.toSorted(), Object.keys(body[0] ?? {}).toSorted());
  const expected = body.map((row) =>
    header.map((name) => {
      const cell = cellOf(row[name]);
      return /^[=-]/.test(cell) ? `'${cell}` : cell;
    })
  );
  assertEquals(lines, expected);
  const accepted = await server.get(operations, { query: { workplace_name }, headers: { accept: "text/csv" } });
  assertEquals([accepted.status, accepted.text], [200, answer.text]);
  // none is a table too
  assertEquals((await csv(operations, { workplace_name: newWorkplace() })).text, `${header.join(",")}\r\n`);
});

Deno.test("GET lists as CSV: events, runs, downtimes and workplaces have the values of JSON, negative numbers as numbers", async () => {
  const workplace_name = newWorkplace();
  const operation = await newOperation({ workplace_name });
  await reported(operation, ["START", { phase: "SETUP", occurred_at: at("06:00") }], ["START", {
    occurred_at: at("06:10"),
  }]);
  const counted = await reportOne(operation, "REPORT_QUANTITY", {
    qty_good: 7,
    note: "-3 mm",
    occurred_at: at("07:00"),
  });
  await reported(operation, ["REVERSE", { reverses_event_id: counted.id, qty_good: 2, occurred_at: at("07:10") }]);
  await opened(workplace_name, { note: "-3 mm", occurred_at: at("06:00"), ended_at: at("06:20") });
  await opened(workplace_name);
  const paths: [string, Query][] = [
    ["/events/v1", { order_no: operation.order_no }],
    [`/events/v1/workplace/${encodeURIComponent(workplace_name)}`, {}],
    ["/operations/v1/runs", { workplace_name, to: at("06:10") }],
    [`${operationPath(operation)}/runs`, {}],
    ["/downtimes/v1", { workplace_name }],
    ["/workplaces/v1", { q: workplace_name }],
    ["/workplaces/v1", { q: workplace_name, include: "running" }],
  ];
  for (const [path, query] of paths) {
    const { body } = await server.get<Record<string, unknown>[]>(path, { query });
    const rows = await rowsOf(path, query);
    assert(rows.length > 0, path);
    assertEquals(Object.keys(rows[0] ?? {}).toSorted(), Object.keys(body[0] ?? {}).toSorted(), path);
    for (const [index, row] of rows.entries()) {
      for (const [name, cell] of Object.entries(row)) {
        // minutes of an open run go on
        if (name === "running_operations" || name === "duration_min" && row.ended_at === "") continue;
        const value = body[index]?.[name];
        assertEquals(cell, value === "-3 mm" ? "'-3 mm" : cellOf(value), `${path} ${name}`);
      }
    }
  }
  const [reversal] = await rowsOf("/events/v1", { order_no: operation.order_no, action_type: "REVERSE" });
  assertEquals(reversal?.delta_good, "-2");
});

Deno.test("GET as CSV: columns, separator, decimal sign, time zone, header line and byte order mark are as asked", async () => {
  const workplace_name = newWorkplace();
  await newOperation({
    workplace_name,
    order_no: unique("A"),
    planned_start_at: "2026-03-29T00:59:59.900Z",
    planned_end_at: "2026-03-29T01:00:00Z",
    t_target_setup_min: 12.5,
  });
  const text = async (query: Query) => (await csv(operations, { workplace_name, ...query })).text;
  const columns = "t_target_setup_min,planned_start_at,planned_end_at,qty_scrap,source_conflict";
  assertEquals(
    await text({ columns }),
    `${columns}\r\n12.5,2026-03-29T00:59:59.900Z,2026-03-29T01:00:00.000Z,0,false\r\n`,
  );
  assertEquals(
    await text({ columns, separator: "semicolon", decimal: "comma", time_zone: "Europe/Amsterdam", header: false }),
    "12,5;2026-03-29 01:59:59;2026-03-29 03:00:00;0;false\r\n",
  );
  assertEquals(
    await text({ columns: "t_target_setup_min,qty_scrap", decimal: "comma", header: false }),
    '"12,5",0\r\n',
  );
  assertEquals(await text({ columns: "qty_scrap,status", separator: "tab" }), "qty_scrap\tstatus\r\n0\tRELEASED\r\n");
  assertEquals(
    await text({ columns: "planned_end_at", time_zone: "America/St_Johns", header: false }),
    '"2026-03-28 22:30:00"\r\n',
  );
  for (const bom of [true, false]) {
    const query = new URLSearchParams({ workplace_name, format: "csv", columns: "status", bom: String(bom) });
    const response = await fetch(`${env.functionsUrl}${operations}?${query}`, { headers: { apikey: env.secretKey } });
    const bytes = await response.bytes();
    assertEquals([...bytes.subarray(0, 3)], bom ? [0xef, 0xbb, 0xbf] : [...new TextEncoder().encode('"st')]);
  }
  const absent = await csv(operations, { workplace_name, header: false });
  assertEquals(absent.headers.get("content-type"), "text/csv; charset=utf-8; header=absent");
});

Deno.test("GET as CSV: invalid options name their parameter, and options without CSV are rejected", async () => {
  const wrong: [Query, string][] = [
    [{ format: "xlsx" }, "/format"],
    [{ format: "csv", columns: "" }, "/columns"],
    [{ format: "csv", columns: "order_no,colour" }, "/columns"],
    [{ format: "csv", columns: "order_no,order_no" }, "/columns"],
    [{ format: "csv", columns: "__proto__" }, "/columns"],
    [{ format: "csv", columns: "order_no," }, "/columns"],
    [{ format: "csv", separator: ";" }, "/separator"],
    [{ format: "csv", decimal: "," }, "/decimal"],
    [{ format: "csv", time_zone: "Mars/Olympus" }, "/time_zone"],
    [{ format: "csv", time_zone: "+02:00" }, "/time_zone"],
    [{ format: "csv", header: "no" }, "/header"],
    [{ format: "csv", bom: 1 }, "/bom"],
    [{ format: "csv", limit: 501 }, "/limit"],
    [{ columns: "order_no" }, "/columns"],
    [{ format: "json", time_zone: "Europe/Amsterdam" }, "/time_zone"],
    [{ bom: false }, "/bom"],
  ];
  for (const path of [operations, "/events/v1", "/operations/v1/runs", "/downtimes/v1", "/workplaces/v1"]) {
    for (const [query, pointer] of wrong) {
      const problem = assertProblem(await server.get(path, { query }), 422, "validation_failed");
      assertEquals(problem.errors?.map(({ pointer }) => pointer), [pointer], JSON.stringify(query));
    }
  }
  const unknown = await server.get(operations, { query: { format: "csv", columns: "colour" } });
  assert(
    assertProblem(unknown, 422, "validation_failed").detail.includes("there are order_no, asset_id, operation_no"),
  );
});

Deno.test("Accept: decides between JSON and CSV where there is CSV, and format decides over it", async () => {
  const workplace_name = newWorkplace();
  const cases: [string, "csv" | "json" | "406"][] = [
    ["text/csv", "csv"],
    ["TEXT/CSV; charset=utf-8", "csv"],
    ["text/*", "csv"],
    ["text/csv, application/json;q=0.5", "csv"],
    ["application/json;q=0.5, text/csv", "csv"],
    ["application/json, text/csv", "json"],
    ["application/json, text/csv;q=0.9", "json"],
    ["*/*", "json"],
    ["text/html, application/xhtml+xml, */*;q=0.8", "json"],
    ["text/csv;q=0, */*", "json"],
    ["text/csv;q=0", "406"],
    ["text/html", "406"],
  ];
  for (const [accept, expected] of cases) {
    const options = { query: { workplace_name }, headers: { accept } };
    const answer = await server.get(operations, options);
    const type = answer.headers.get("content-type")?.split(";")[0];
    assertEquals(
      type,
      { csv: "text/csv", json: "application/json", 406: "application/problem+json" }[expected],
      accept,
    );
  }
  const asked = (format: string, accept: string) =>
    server.get(operations, { query: { workplace_name, format }, headers: { accept } });
  assertEquals((await asked("json", "text/csv")).headers.get("content-type"), "application/json");
  assert((await asked("csv", "application/json")).headers.get("content-type")?.startsWith("text/csv"));
  // problems stay problems
  assertProblem(await asked("csv&", "text/csv"), 422, "validation_failed");
  const { order_no, asset_id, operation_no } = await newOperation();
  for (const path of ["/profiles/v1", "/reason-codes/v1", `/operations/v1/${order_no}/${asset_id}/${operation_no}`]) {
    assertProblem(await server.get(path, { headers: { accept: "text/csv" } }), 406, "not_acceptable");
  }
  assertProblem(await server.get("/profiles/v1?format=csv"), 422, "validation_failed");
  const anonymous = await fetch(`${env.functionsUrl}${operations}`, { headers: { accept: "text/csv" } });
  assertEquals([anonymous.status, (await anonymous.json()).code], [401, "unauthenticated"]);
});

Deno.test("GET as CSV: shows each caller the rows of JSON, and strangers the header line alone", async () => {
  const operation = await newOperation();
  await reported(operation, ["START", { occurred_at: at("06:00") }], ["STOP", { occurred_at: at("07:00") }]);
  const workplace_name = operation.workplace_name ?? "";
  await opened(workplace_name);
  const [worker, stranger] = [
    await newUser({ workplaces: [workplace_name] }),
    await newUser({ workplaces: [newWorkplace()] }),
  ];
  const paths = [
    operations,
    "/operations/v1/runs",
    "/events/v1",
    "/downtimes/v1",
    `/events/v1/workplace/${workplace_name}`,
  ];
  for (const path of paths) {
    const query = path.includes("/events/v1/workplace") ? {} : { workplace_name };
    assert((await rowsOf(path, query, worker.client)).length > 0, path);
    assertEquals((await rowsOf(path, query, stranger.client)).length, 0, path);
  }
});

Deno.test("GET as CSV: limit and skip cut the list, and the Link header continues it", async () => {
  const workplace_name = newWorkplace();
  const order_no = unique("O");
  for (const operation_no of ["1", "2", "3", "4", "5"]) await newOperation({ workplace_name, order_no, operation_no });
  const columns = "operation_no";
  const first = await csv(operations, { workplace_name, columns, limit: 2, count: "exact", header: false });
  assertEquals([first.text, first.headers.get("x-total-count")], ['"1"\r\n"2"\r\n', "5"]);
  assertEquals(first.headers.get("content-disposition"), 'attachment; filename="operations-part.csv"');
  let text = first.text;
  for (let next = nextPage(first); next !== undefined;) {
    const page = await server.get(next);
    assertEquals(page.status, 200, page.text);
    text += page.text;
    next = nextPage(page);
  }
  assertEquals(text, '"1"\r\n"2"\r\n"3"\r\n"4"\r\n"5"\r\n');
  assertEquals((await csv(operations, { workplace_name, columns, skip: 3, header: false })).text, '"4"\r\n"5"\r\n');
  // each downtime is in one of two files
  await opened(workplace_name, { occurred_at: at("06:00"), ended_at: at("06:20") });
  await opened(workplace_name, { occurred_at: at("07:00"), ended_at: at("07:20") });
  const stops = { workplace_name, columns: "started_at", limit: 1, header: false };
  const latest = await csv("/downtimes/v1", stops);
  assertEquals(latest.text, `"${at("07:00")}"\r\n`);
  const earlier = await server.get<unknown>(nextPage(latest) ?? "");
  assertEquals([earlier.text, nextPage(earlier)], [`"${at("06:00")}"\r\n`, undefined]);
  // the form is no part of the list that a cursor belongs to
  const next = new URL(nextPage(first) ?? "", "http://localhost");
  for (const name of ["header", "columns", "format", "limit"]) next.searchParams.delete(name);
  const rest = await server.get<Operation[]>(`${next.pathname}${next.search}`);
  assertEquals(rest.body.map(({ operation_no }) => operation_no), ["3", "4", "5"]);
});

Deno.test("GET as CSV: without a limit an answer has 10,000 rows or 8 MiB, and the Link header continues it", async () => {
  const workplace_name = newWorkplace();
  const order_no = unique("O");
  const rows = Array.from({ length: 10_700 }, (_, index) => ({
    ...{ order_no, asset_id: 1, operation_no: String(index).padStart(5, "0"), workplace_name },
    reference_url: `https://dms.example.com/${"x".repeat(1_900)}`,
    timestamp_ms: "2026-11-22T15:00:00Z",
  }));
  for (let start = 0; start < rows.length; start += 400) {
    const imported = await server.post("/operations/v1/import", rows.slice(start, start + 400));
    assertEquals(imported.status, 200, imported.text);
  }
  const all = async (columns: string) => {
    const parts: string[][] = [];
    let answer = await csv(operations, { workplace_name, columns });
    for (;;) {
      assertEquals(answer.status, 200, answer.text);
      parts.push(rowsIn(answer.text).map(({ operation_no }) => operation_no ?? ""));
      const next = nextPage(answer);
      if (next === undefined) break;
      answer = await server.get<unknown>(next);
    }
    assertEquals(parts.flat(), rows.map(({ operation_no }) => operation_no));
    return parts.map((part) => part.length);
  };
  assertEquals(await all("operation_no,status"), [10_000, 700]);
  const byLength = await all("operation_no,reference_url");
  assert(byLength.length === 3 && byLength.every((count) => count < 5_000), String(byLength));
});

Deno.test("GET /events/v1 as CSV: objects are JSON in one cell", async () => {
  const operation = await newOperation();
  const operation_data = { program: "P-1", tools: ["a", 'b"c'] };
  await reported(operation, ["START", { operation_data }]);
  const [row] = await rowsOf("/events/v1", { order_no: operation.order_no });
  assertEquals(JSON.parse(row?.operation_data ?? ""), operation_data);
  assertEquals(row?.changes, "");
  const { body: [event] } = await server.get<OperationEvent[]>("/events/v1", {
    query: { order_no: operation.order_no },
  });
  assertEquals(row?.id, event?.id);
});
