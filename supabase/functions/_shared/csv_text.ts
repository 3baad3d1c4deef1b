/**
 * Lines of a CSV (RFC 4180): cells that spreadsheets take as they are meant, and never as a formula.
 *
 * @module
 */
import type { z } from "@hono/zod-openapi";
// @ts-types="@types/papaparse"
import Papa from "papaparse";

/** A column: its name, and what kind of text it has. */
export interface Column {
  name: string;
  isInstant: boolean;
}

/** How a table is written. */
export interface CsvForm {
  columns: readonly Column[];
  separator: "," | ";" | "\t";
  decimal: "." | ",";
  /** Zone of the instants, as IANA names it; undefined = UTC, as in JSON. */
  timeZone: string | undefined;
  hasHeader: boolean;
  hasBom: boolean;
}

/** Mark of UTF-8 for programs that take a text without it for another encoding. */
const byteOrderMark = "\ufeff";

const lineEnd = "\r\n";

/** First characters with which a spreadsheet takes a text for a formula, also after the line end or tab before it. */
const formula = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/**
 * Where a cell with a formula would begin if a program split the file at another separator: it heeds no quotes then. A
 * spreadsheet does so with a file with commas in countries where its own separator is the semicolon.
 */
const innerFormula = /(;|(?<!^)[\t\r\n])(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g;

/** The same at commas: a file with commas has quotes around them. A price such as `5,-` is none. */
const innerFormulaAtComma = /,(?=[=+\-@\uff1d\uff0b\uff0d\uff20](?!"?$))/g;

/** A text in JSON. Between texts, JSON has numbers and no formulas. */
const jsonText = /"(?:[^"\\]|\\.)*"/g;

/** Returns the columns of a table whose rows have this schema, in its order. */
export function columnsOf(row: z.ZodObject): Column[] {
  return Object.entries(row.shape).map(([name, schema]) => ({ name, isInstant: isInstant(schema) }));
}

function isInstant(schema: z.core.$ZodType): boolean {
  const { def } = schema._zod;
  if ("innerType" in def) return isInstant(def.innerType as z.core.$ZodType);
  return "format" in def && def.format === "datetime";
}

/**
 * Creates the writer of a table.
 *
 * @returns A function that writes the next rows; the first call begins with the header line.
 */
export function csvWriter(form: CsvForm): (rows: readonly object[]) => string {
  const { columns, separator, hasHeader, hasBom } = form;
  const cellOf = cellWriter(form);
  // an empty cell alone in its line would be an empty line, which readers skip
  const options = { delimiter: separator, newline: lineEnd, quotes: columns.length === 1 };
  const lines = (cells: unknown[][]) => cells.length === 0 ? "" : Papa.unparse(cells, options) + lineEnd;
  let head = `${hasBom ? byteOrderMark : ""}${hasHeader ? lines([columns.map(({ name }) => name)]) : ""}`;
  return (rows) => {
    const text = head +
      lines(rows.map((row) => columns.map((column) => cellOf(Reflect.get(row, column.name), column))));
    head = "";
    return text;
  };
}

function cellWriter({ separator, decimal, timeZone }: CsvForm): (value: unknown, column: Column) => string | number {
  const local = timeZone === undefined ? (instant: string) => instant : localTimes(timeZone);
  /** Writes an apostrophe where a program would take the rest for a formula. */
  const guarded = (text: string) => {
    const atOthers = text.replace(innerFormula, "$1'");
    return separator === "," ? atOthers : atOthers.replace(innerFormulaAtComma, ",'");
  };
  return (value, { isInstant }) => {
    switch (typeof value) {
      case "string":
        return isInstant ? local(value) : harmless(guarded(value));
      case "number":
        // not a text, so that a negative number stays a number
        return decimal === "," ? String(value).replace(".", ",") : value;
      case "boolean":
        return String(value);
      default:
        return value === null || value === undefined ? "" : JSON.stringify(value).replace(jsonText, guarded);
    }
  };
}

/** Returns the text as a spreadsheet shows it and does not calculate it. */
const harmless = (text: string): string => formula.test(text) ? `'${text}` : text;

/** Returns the writer of an instant as date and time of a zone, which spreadsheets take for a date: without an offset. */
function localTimes(timeZone: string): (instant: string) => string {
  // Swedes write a date as ISO 8601 does
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
  return (instant) => format.format(Date.parse(instant));
}
