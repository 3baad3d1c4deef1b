/**
 * CSV of an import: rows with their numbers, as far as they have one reading only.
 *
 * @module
 */
import { parse as parseCsv } from "@std/csv/parse.js";
import { type FieldError, Problem } from "../_shared/problems.ts";
import { csvNumbers, maxRows, wrongCount } from "./import-schemas.ts";

/** Most columns of a table: more than a row has fields, so that validation can name unknown ones. */
const maxColumns = 100;

/**
 * Reads the rows of a table. A row with a number that cannot be read is a problem instead.
 *
 * @throws {Problem} `malformed_request`, `validation_failed` for too many rows
 */
export function readCsv(text: string, decimal: Decimal | undefined): (Record<string, unknown> | Problem)[] {
  requireCommas(text);
  requireSmallTable(text);
  let rows: Record<string, string | undefined>[];
  try {
    rows = parseCsv(text, { skipFirstRow: true });
  } catch (error) {
    throw new Problem(
      "malformed_request",
      `The body is not CSV: ${faultOf(error instanceof Error ? error.message : "")}`,
    );
  }
  return rows.map((row) => {
    const errors: FieldError[] = [];
    const fields = Object.entries(row).map(([name, text]) => {
      if (text === "" || text === undefined) return [name, null];
      if (name === "timestamp_ms") return [name, /^\d+$/.test(text) ? Number(text) : text];
      const value = csvNumbers.has(name) ? readNumber(text, decimal) : text;
      if (typeof value !== "object") return [name, value];
      errors.push({ in: "body", pointer: `/${name}`, ...value });
      return [name, text];
    });
    return errors.length === 0
      ? Object.fromEntries(fields)
      : new Problem("validation_failed", "The row has numbers that cannot be read", { errors });
  });
}

/** Raises a problem for a header line with another separator: the parser would count its fields as one. */
function requireCommas(text: string): void {
  const header = text.trimStart().split(/[\r\n]/, 1)[0] ?? "";
  if (header.includes(",") || !/[;\t|]/.test(header)) return;
  const start = header.length > 40 ? `${header.slice(0, 40)}...` : header;
  throw new Problem(
    "malformed_request",
    `The header line has one field, ${JSON.stringify(start)}: the separator of this endpoint is the comma`,
  );
}

/** Says in our words why the parser takes a text for no CSV. */
function faultOf(message: string): string {
  const [, fields, columns] = /has (\d+) fields, but the header has (\d+)/.exec(message) ?? [];
  const [, line] = /line (\d+)/.exec(message) ?? [];
  if (fields !== undefined) return `a row has ${fields} fields, the header line ${columns}`;
  return `line ${line ?? 1} has a quote that is neither doubled nor at an end of its field, or is not closed`;
}

/** Decimal sign of the numbers. */
export type Decimal = "point" | "comma";

/** Digits, which one sign may group by three, and decimals after the other one. */
const forms: Record<Decimal, RegExp> = {
  point: /^-?(?:\d+|[1-9]\d{0,2}([, '\u00a0\u202f\u2019])\d{3}(?:\1\d{3})*)(?:\.\d+)?$/,
  comma: /^-?(?:\d+|[1-9]\d{0,2}([. '\u00a0\u202f\u2019])\d{3}(?:\1\d{3})*)(?:,\d+)?$/,
};

function numberOf(text: string, decimal: Decimal): number | undefined {
  if (!forms[decimal].test(text)) return undefined;
  return Number(decimal === "comma" ? text.replace(/[^\d,-]/g, "").replace(",", ".") : text.replace(/[^\d.-]/g, ""));
}

/**
 * Reads a number. A text that is none in any reading stays as it is, for the schema to reject.
 *
 * @param decimal Undefined when the client did not say it: then only numbers are read that have one reading.
 */
function readNumber(
  text: string,
  decimal: Decimal | undefined,
): number | string | Pick<FieldError, "code" | "message"> {
  if (decimal !== undefined) {
    const message = `${JSON.stringify(text)} is not a number with decimal=${decimal}`;
    return numberOf(text, decimal) ?? { code: "invalid_number", message };
  }
  const [point, comma] = [numberOf(text, "point"), numberOf(text, "comma")];
  if (point === undefined && comma === undefined) return text;
  if (/^-?\d+(\.\d+)?$/.test(text) && (comma === undefined || comma === point)) return point ?? text;
  const readings = [
    ...point === undefined ? [] : [`${point} with decimal=point`],
    ...comma === undefined ? [] : [`${comma} with decimal=comma`],
  ];
  return { code: "unknown_decimal", message: `${JSON.stringify(text)} is ${readings.join(", ")}: send \`decimal\`` };
}

/** Raises a problem for too many lines or columns, before the parser creates an object for each row. */
function requireSmallTable(text: string): void {
  let rows = 0;
  let columns = 1;
  let isQuoted = false;
  let isEmptyLine = true;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') isQuoted = !isQuoted;
    else if (character === "," && !isQuoted) columns++;
    else if (character === "\n" && !isQuoted) {
      if (!isEmptyLine) rows++;
      columns = 1;
      isEmptyLine = true;
      continue;
    } else if (character === "\r") continue;
    isEmptyLine = false;
    if (columns > maxColumns) {
      throw new Problem("malformed_request", `A line of the table has more than ${maxColumns} columns`);
    }
  }
  if (!isEmptyLine) rows++;
  if (rows > maxRows + 1) throw wrongCount(rows - 1);
}
