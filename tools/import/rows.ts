/**
 * Rows of a file of any size, one after the other, each with the line it begins on.
 *
 * @module
 */
import { parse } from "@std/csv/parse.js";
import { messageOf } from "../../local/system/failure.ts";
import { ImportFailure } from "./failure.ts";

/** A row as it will be sent, or why it cannot be. */
export interface Row {
  /** Its first line in the file, from 1. */
  line: number;
  /** The row as it stands in the file, for the report. */
  text: string;
  /** The fields of a row of a CSV, without the columns of a report. */
  fields: string[] | undefined;
  /** Set when the command rejects the row itself. */
  refusal: { code: string; detail: string } | undefined;
}

/** A line that is longer than this is none. */
const maxLine_chars = 1024 * 1024;
/** A longer record of a CSV has a quote without its end. */
const maxRecord_chars = 64 * 1024;

/** Columns that the report of rejected rows adds. The import ignores them, so that a corrected report is a file again. */
export const problemColumns = ["problem_code", "problem_detail"];

/** How a text begins and ends its lines; known once the first line has been read. */
export interface TextForm {
  hasBom: boolean;
  lineEnd: "\n" | "\r\n";
}

/**
 * Returns the text of a file, decompressed and decoded; a byte that the encoding does not have ends it.
 *
 * @param form Set while the text is read.
 */
export function decoded(
  bytes: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: { isGzipped: boolean; encoding: string },
  form: TextForm = { hasBom: false, lineEnd: "\n" },
): ReadableStream<string> {
  const plain = options.isGzipped ? bytes.pipeThrough(new DecompressionStream("gzip")) : bytes;
  let isFirst = true;
  let firstLine: string | undefined = "";
  return plain.pipeThrough(new TextDecoderStream(options.encoding, { fatal: true, ignoreBOM: true })).pipeThrough(
    new TransformStream<string, string>({
      transform(chunk, controller) {
        if (isFirst && chunk !== "") {
          isFirst = false;
          form.hasBom = chunk.startsWith("\ufeff");
          if (form.hasBom) chunk = chunk.slice(1);
        }
        if (firstLine !== undefined) {
          firstLine += chunk;
          const end = firstLine.indexOf("\n");
          form.lineEnd = firstLine[end - 1] === "\r" ? "\r\n" : "\n";
          firstLine = end >= 0 || firstLine.length > maxLine_chars ? undefined : firstLine;
        }
        controller.enqueue(chunk);
      },
    }),
  );
}

/** A line and its number. */
type Line = [line: number, text: string];

/** Lines in groups, as they come, since a million awaits cost more than a million lines. */
async function* linesOf(text: ReadableStream<string>): AsyncGenerator<Line[]> {
  let number = 0;
  let rest = "";
  const withoutReturn = (line: string) => line.endsWith("\r") ? line.slice(0, -1) : line;
  try {
    for await (const chunk of text) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      if (rest.length > maxLine_chars) {
        throw new ImportFailure(`Line ${number + parts.length + 1} does not end: is it a file of the given format?`);
      }
      yield parts.map((part): Line => [++number, withoutReturn(part)]);
    }
  } catch (error) {
    if (error instanceof ImportFailure) throw error;
    throw new ImportFailure(`Cannot read the input after line ${number}: ${messageOf(error)}`);
  }
  if (rest !== "") yield [[++number, withoutReturn(rest)]];
}

/** Rows of NDJSON: every line that is not empty. */
export async function* readNdjson(text: ReadableStream<string>): AsyncGenerator<Row[]> {
  for await (const lines of linesOf(text)) {
    yield lines.filter(([, line]) => line.trim() !== "").map(([line, text]) => ({
      line,
      text: withoutProblem(text),
      fields: undefined,
      refusal: undefined,
    }));
  }
}

const addedMembers =
  /\s*,?\s*"problem_code"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"problem_detail"\s*:\s*"(?:[^"\\]|\\.)*"\s*\}\s*$/;

/** Returns a line of NDJSON without the members that the report of rejected rows added at its end. */
const withoutProblem = (line: string) => line.includes('"problem_code"') ? line.replace(addedMembers, "}") : line;

/** A CSV: the names of its header line, then its rows. */
export interface CsvRows {
  names: string[];
  rows: AsyncGenerator<Row[]>;
}

/**
 * Rows of a CSV with a header line. A record that is broken is refused by itself: reading goes on at the next line.
 *
 * @param text The file.
 * @param separator Character between the fields.
 */
export async function readCsv(text: ReadableStream<string>, separator: string): Promise<CsvRows> {
  const records = recordsOf(text, separator);
  let first: Row[] = [];
  while (first.length === 0) {
    const { value, done } = await records.next();
    if (done) return { names: [], rows: records };
    first = value;
  }
  const [header, ...others] = first;
  const columns = header?.fields?.map((name) => name.trim()) ?? [];
  const names = columns.filter((name) => !problemColumns.includes(name));
  if (header?.refusal) throw new ImportFailure(`The header line is not CSV: ${header.refusal.detail}`);
  const twice = names.find((name, index) => name === "" || names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new ImportFailure(`The header line names a column ${twice === "" ? "without a name" : `"${twice}" twice`}.`);
  }
  if (!names.includes("order_no")) {
    throw new ImportFailure(
      `The header line has no column order_no, but ${names.slice(0, 5).map((name) => `"${name}"`).join(", ")}: ` +
        "the first line must name the columns, and --separator what is between them.",
    );
  }
  return { names, rows: rowsOf(others, records, columns) };
}

async function* rowsOf(first: Row[], records: AsyncGenerator<Row[]>, columns: string[]): AsyncGenerator<Row[]> {
  const isReport = columns.some((name) => problemColumns.includes(name));
  const judged = (row: Row): Row => {
    const count = row.fields?.length;
    if (row.refusal) return row;
    if (count === columns.length) {
      if (!isReport) return row;
      return { ...row, fields: row.fields?.filter((_, index) => !problemColumns.includes(columns[index] ?? "")) };
    }
    const detail = `The row has ${count} fields, the header line ${columns.length}`;
    return { ...row, fields: undefined, refusal: { code: "malformed_csv", detail } };
  };
  yield first.map(judged);
  for await (const rows of records) yield rows.map(judged);
}

const quotesIn = (text: string) => {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) count++;
  return count;
};

/** Lines put together to records: a line break between quotes belongs to its field. */
async function* recordsOf(text: ReadableStream<string>, separator: string): AsyncGenerator<Row[]> {
  let open: Line[] = [];
  let quotes = 0;
  let length = 0;
  const clear = () => {
    open = [];
    quotes = 0;
    length = 0;
  };
  const take = (lines: Line[], records: Row[], isLast: boolean) => {
    // the last first, so that what is put back comes next
    const waiting = lines.toReversed();
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (open.length === 0 && next[1].trim() === "") continue;
      open.push(next);
      quotes += quotesIn(next[1]);
      length += next[1].length;
      const isOpen = quotes % 2 === 1 && length <= maxRecord_chars;
      if (isOpen && !(isLast && waiting.length === 0)) continue;
      const record = parseRecord(open, separator);
      records.push(record);
      // a stray quote spoils its own line only: the lines that it drew in are read again
      if (record.refusal) waiting.push(...open.slice(1).toReversed());
      clear();
    }
  };
  for await (const lines of linesOf(text)) {
    const records: Row[] = [];
    take(lines, records, false);
    yield records;
  }
  const records: Row[] = [];
  const unfinished = open;
  clear();
  take(unfinished, records, true);
  yield records;
}

function parseRecord(lines: Line[], separator: string): Row {
  const text = lines.map(([, line]) => line).join("\n");
  const line = lines[0]?.[0] ?? 0;
  try {
    const options = { skipFirstRow: false, separator };
    const [fields = []]: string[][] = parse(text, options);
    return { line, text, fields, refusal: undefined };
  } catch {
    const detail = "A quote is neither doubled nor at an end of its field, or is not closed";
    return { line, text: lines[0]?.[1] ?? "", fields: undefined, refusal: { code: "malformed_csv", detail } };
  }
}
