/**
 * Lists and reports as CSV, for `Accept: text/csv` or `?format=csv`. A list is read page by page along its cursor, up to
 * a bound that the time limit of a function leaves room for.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { TypedResponse } from "hono";
import { parseAccept } from "hono/utils/accept";
import type { json } from "./contract.ts";
import { type Column, columnsOf, type CsvForm, csvWriter } from "./csv_text.ts";
import type { Page } from "./database.ts";
import type { ApiContext } from "./endpoint.ts";
import { DecimalSign } from "./fields.ts";
import { answerPage, flag, listQuery, pageJson, readCursorKey } from "./lists.ts";
import { csvExtension, csvRanges, jsonRanges } from "./negotiation.ts";
import { chargeAgain, chargeRows } from "./rate_limiting.ts";
import { invalidValue } from "./validation.ts";

/** Most rows and characters of one answer. A row of text can be long, and the answer is in memory as a whole. */
const maxRows = 10_000;
const maxCharacters = 8 * 1024 * 1024;

/** Rows of one call of the database. */
const rowsPerPage = 500;

const ListFormat = z.enum(["json", "csv"]).openapi("ListFormat", { description: "Form of a list.", example: "csv" });

const CsvSeparator = z.enum(["comma", "semicolon", "tab"]).openapi("CsvSeparator", {
  description: "Character between the fields of a CSV.",
  example: "semicolon",
});

const separators = { comma: ",", semicolon: ";", tab: "\t" } as const;

const timeZone = z.string().max(64).refine(
  isTimeZone,
  "must be the name of a time zone, such as Europe/Amsterdam",
);

function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/**
 * Query parameters of an endpoint that answers CSV as well.
 *
 * @param exampleColumns Some of its columns.
 */
export const csvQuery = (exampleColumns: string) => ({
  format: ListFormat.optional().openapi({
    description: "`csv` answers CSV, `json` JSON. Without it, the `Accept` header decides.",
    example: "csv",
  }),
  columns: z.string().min(1).max(2_000).optional().openapi({
    description: "CSV: names of the columns, with commas, in their order. Default: all fields.",
    example: exampleColumns,
  }),
  separator: CsvSeparator.optional().openapi({
    description: "CSV: character between the fields. Default: comma.",
    example: "semicolon",
  }),
  decimal: DecimalSign.optional().openapi({
    description: "CSV: decimal sign of numbers. Default: point.",
    example: "comma",
  }),
  time_zone: timeZone.optional().openapi({
    description: "CSV: zone in which times are written, as `2026-11-23 09:15:00`. Default: UTC, as in JSON.",
    example: "Europe/Amsterdam",
  }),
  header: flag.optional().openapi({
    description: "CSV: false leaves out the header line, to append the text to an earlier one. Default: true.",
    example: true,
  }),
  bom: flag.optional().openapi({
    description: "CSV: true begins the text with a byte order mark, which Excel needs to read UTF-8. Default: false.",
    example: true,
  }),
});

const csvNames = Object.keys(csvQuery(""));

export type CsvQuery = z.output<z.ZodObject<ReturnType<typeof csvQuery>>>;
type ListQuery = z.output<z.ZodObject<typeof listQuery>>;

/** The parameters that are no filters. */
const presentation = [...csvNames, ...Object.keys(listQuery)];

/** Returns the filters of a list: its query without paging and form. */
export function filtersOf<Query extends CsvQuery & Partial<ListQuery>>(query: Query) {
  const filters = Object.entries(query).filter(([name]) => !presentation.includes(name));
  return Object.fromEntries(filters) as Omit<Query, keyof CsvQuery | keyof ListQuery>;
}

/**
 * Describes an answer of JSON that can be CSV as well. A second media type would make generated clients answer
 * `Item[] | string` to everybody, so the document says it by an extension.
 */
export const orCsv = <Answer extends ReturnType<typeof json>>(answer: Answer) => ({
  ...answer,
  description: `${answer.description} CSV with \`format=csv\` or \`Accept: text/csv\`.`,
  [csvExtension]: {
    description: "A header line with names of fields, then one row per line (RFC 4180, UTF-8). A text that a " +
      "spreadsheet would take for a formula begins with an apostrophe.",
    example: "order_no,operation_no,status\r\n403860-001,0010,RELEASED\r\n",
  },
});

/** Describes a page of a list: JSON or CSV. */
export const tableJson = <Item extends z.ZodType>(item: Item, description: string) =>
  orCsv(pageJson(item, description));

/** Returns whether the request wants CSV: `format` says so, or `Accept` prefers it to JSON. */
function wantsCsv(c: ApiContext, { format }: CsvQuery): boolean {
  if (format !== undefined) return format === "csv";
  const ranges = parseAccept(c.req.header("Accept") ?? "").filter(({ q }) => q > 0)
    .map(({ type }) => type.toLowerCase());
  const first = ranges.find((range) => csvRanges.includes(range) || jsonRanges.includes(range));
  return first !== undefined && csvRanges.includes(first);
}

/** Raises `validation_failed` for a parameter that has no meaning for JSON: it would silently do nothing. */
function rejectCsvOptions({ format: _, ...options }: CsvQuery, { hasTimeZone = false }: Named): void {
  const name = csvNames.find((name) =>
    Reflect.get(options, name) !== undefined && !(hasTimeZone && name === "time_zone")
  );
  if (name === undefined) return;
  throw invalidValue("query", `/${name}`, "is for CSV: send format=csv with it", "csv_only");
}

/** An answer that fits each contract of JSON: `read` and `rows` have the types of their rows, and CSV is not typed. */
type TableResponse = Response & TypedResponse<never, 200, "json">;

interface Named {
  /** Name of a downloaded file. */
  name: string;
  /** Whether `time_zone` means something for JSON as well, as for a report. */
  hasTimeZone?: boolean;
}

/** What rows without pages have to say to be answered. */
interface Rows<Row extends z.ZodObject> extends Named {
  /** Schema of a row: its members are the columns. */
  row: Row;
}

/** What a list has to say to be answered. */
export interface Table<Row extends z.ZodObject, Key> extends Rows<Row> {
  /** Schema of the cursor's key. */
  key: z.ZodType<Key>;
}

/** What a report says to be answered as a table: its rows are made of it. */
export interface ReportTable<Report, Row extends z.ZodObject> extends Rows<Row> {
  rowsOf: (report: Report) => z.output<Row>[];
}

/** Page of a list, as its SQL function takes it. */
interface PageArguments {
  take: number;
  skip: number;
  count: ListQuery["count"];
}

/**
 * Answers a list, as a page of JSON or as CSV.
 *
 * @param read Reads the page after this key; the first page is after an empty one.
 */
export const answerList = <Item extends z.ZodObject, Key>(
  c: ApiContext,
  query: CsvQuery & ListQuery,
  table: Table<Item, Key>,
  read: (after: Key | never[], page: PageArguments) => Promise<Page<z.output<Item>>>,
): Promise<TableResponse> =>
  answerPages(c, query, { ...table, rowsOf: ({ items }) => items }, read, (_, items) => items);

/**
 * Answers a report that has pages, as a page of JSON or as CSV.
 *
 * @param read Reads the page after this key; the first page is after an empty one.
 * @param answerOf Returns the answer of JSON.
 */
export async function answerPages<Row extends z.ZodObject, Key, Item, ReportPage extends Page<Item>>(
  c: ApiContext,
  query: CsvQuery & Pick<ListQuery, "limit"> & Partial<ListQuery>,
  table: Table<Row, Key> & ReportTable<ReportPage, Row>,
  read: (after: Key | never[], page: PageArguments) => Promise<ReportPage>,
  answerOf: (page: ReportPage, items: Item[]) => object,
): Promise<TableResponse> {
  const { limit, skip = 0, count } = query;
  const isCsv = wantsCsv(c, query);
  if (!isCsv) rejectCsvOptions(query, table);
  const form = isCsv ? csvForm(query, columnsOf(table.row)) : undefined;
  const after = await readCursorKey(c, table.key) ?? [];
  if (form === undefined) {
    const page = await read(after, { take: limit, skip, count });
    return jsonResponse(c, answerOf(page, await answerPage(c, page)));
  }

  const most = c.req.query("limit") === undefined ? maxRows : limit;
  const write = csvWriter(form);
  const take = (rows: number) => Math.min(rowsPerPage, most - rows);
  let page = await read(after, { take: take(0), skip, count });
  const { total } = page;
  let text = write(table.rowsOf(page));
  for (let rows = page.items.length; page.next !== null && rows < most && text.length < maxCharacters;) {
    if (c.req.raw.signal.aborted) break;
    chargeAgain(c);
    page = await read(table.key.parse(page.next), { take: take(rows), skip: 0, count: undefined });
    rows += page.items.length;
    text += write(table.rowsOf(page));
  }
  // sets the headers: the next page begins after the last row
  await answerPage(c, { items: [], next: page.next, total });
  return csvResponse(c, form, page.next === null ? table.name : `${table.name}-part`, text);
}

/** Answers rows that have no pages, as JSON or as CSV. */
export const answerRows = <Row extends z.ZodObject>(
  c: ApiContext,
  query: CsvQuery,
  table: Rows<Row>,
  read: () => Promise<z.output<Row>[]>,
): Promise<TableResponse> => answerReport(c, query, { ...table, rowsOf: (rows) => rows }, read);

/** Answers a report, whose JSON is more than its rows: as JSON, or its rows as CSV. */
export async function answerReport<Report extends object, Row extends z.ZodObject>(
  c: ApiContext,
  query: CsvQuery,
  table: ReportTable<Report, Row>,
  read: () => Promise<Report>,
): Promise<TableResponse> {
  if (!wantsCsv(c, query)) {
    rejectCsvOptions(query, table);
    return jsonResponse(c, await read());
  }
  const form = csvForm(query, columnsOf(table.row));
  const rows = table.rowsOf(await read());
  chargeRows(c, Math.ceil(rows.length / rowsPerPage));
  return csvResponse(c, form, table.name, csvWriter(form)(rows));
}

function csvForm(query: CsvQuery, all: Column[]): CsvForm {
  const { columns, separator = "comma", decimal = "point", time_zone, header = true, bom = false } = query;
  // the database knows further names, such as posix/Europe/Amsterdam
  if (time_zone !== undefined && !isTimeZone(time_zone)) {
    throw invalidValue("query", "/time_zone", "must be the name of a time zone, such as Europe/Amsterdam", "invalid");
  }
  return {
    columns: columns === undefined ? all : chosenColumns(columns.split(","), all),
    separator: separators[separator],
    decimal: decimal === "comma" ? "," : ".",
    timeZone: time_zone,
    hasHeader: header,
    hasBom: bom,
  };
}

function chosenColumns(names: string[], all: Column[]): Column[] {
  const invalid = (message: string) => invalidValue("query", "/columns", message, "invalid_columns");
  if (new Set(names).size < names.length) throw invalid("must name each column once");
  return names.map((name) => {
    const column = all.find((column) => column.name === name);
    if (column !== undefined) return column;
    throw invalid(
      `has "${name.slice(0, 64)}", which is no column: there are ${all.map(({ name }) => name).join(", ")}`,
    );
  });
}

function jsonResponse(c: ApiContext, answer: object): TableResponse {
  return c.json(answer, 200) as Response as TableResponse;
}

function csvResponse(c: ApiContext, { hasHeader }: CsvForm, name: string, text: string): TableResponse {
  c.header("Content-Type", `text/csv; charset=utf-8; header=${hasHeader ? "present" : "absent"}`);
  c.header("Content-Disposition", `attachment; filename="${name}.csv"`);
  return c.body(text, 200) as Response as TableResponse;
}
