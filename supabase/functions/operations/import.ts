import { parse as parseCsv } from "@std/csv/parse.js";
import { type ApiContext, endpoint } from "../_shared/app.ts";
import { itemResult, ItemResults, itemResults, validateItems } from "../_shared/batch.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { readJson } from "../_shared/json.ts";
import { Problem } from "../_shared/problems.ts";
import { csvNumbers, importExample, ImportQuery, ImportRow, maxRows } from "./schemas.ts";

const json = { "application/json": { schema: ItemResults } };
const row = { $ref: "#/components/schemas/ImportRow" };

export const importRows = endpoint({
  method: "post",
  path: "/operations/v1/import",
  operationId: "importOperations",
  tags: ["Operations"],
  summary: "Import from the ERP",
  description:
    "Rows of the ERP's change feed, in any order, any number of times: a row newer than what is stored is applied, others are " +
    "skipped. The ERP owns the plan, the floor what happened. `mode=takeover` (managers) brings the rows of the first service in as they are. " +
    "As a JSON array, as NDJSON (one object per line), or as CSV with a header line (an empty field is null).",
  security,
  request: {
    query: ImportQuery,
    headers: idempotencyHeader,
    // each row is validated by itself, so that one that is wrong does not keep out the others
    body: {
      required: true,
      content: {
        "application/json": {
          schema: { type: "array", items: row, minItems: 1, maxItems: maxRows },
          example: [importExample],
        },
        "application/x-ndjson": {
          schema: { type: "string", description: "One ImportRow per line." },
          example: `${JSON.stringify(importExample)}\n`,
        },
        "text/csv": {
          schema: { type: "string", description: "A header line with names of ImportRow, then one row per line." },
          example: `${Object.keys(importExample).join(",")}\n${Object.values(importExample).join(",")}\n`,
        },
      },
    },
  },
  responses: {
    200: { description: "All rows were accepted, or would be.", headers: replayedHeader, content: json },
    207: { description: "Some rows were rejected: see each.", headers: replayedHeader, content: json },
    ...problems(["forbidden"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const { dry_run, mode } = c.req.valid("query");
  const rows = await readRows(c.req);
  if (rows.length === 0) throw wrongCount(0);
  const { valid, refused } = validateItems(c, ImportRow, rows);
  const answer = await c.var.callDatabase("import_operations", {
    rows: valid,
    is_takeover: mode === "takeover",
    is_dry_run: dry_run,
    idempotency: dry_run ? undefined : idempotency(c, { mode, rows: valid, refused: refused.length }),
  });
  const results = [
    ...answerBody(c, answer).map((item) => itemResult(c, item)),
    ...refused.map((result) => ({ ...result, outcome: "rejected" as const })),
  ];
  const body = itemResults(results, ({ outcome }) => outcome ?? "rejected", answer.request_id);
  return body.summary.rejected === undefined ? c.json(body, 200) : c.json(body, 207);
});

/** The rows of a body, each as an object, or as the problem that kept it from being one. */
async function readRows(req: ApiContext["req"]): Promise<unknown[]> {
  switch (req.header("Content-Type")?.split(";")[0]?.trim().toLowerCase()) {
    case "application/x-ndjson":
      return readLines(await req.text());
    case "text/csv":
      return readCsv(await req.text());
    default: {
      const rows: unknown = await req.json();
      if (!Array.isArray(rows)) throw new Problem("validation_failed", "The body is not an array of rows");
      if (rows.length > maxRows) throw wrongCount(rows.length);
      return rows;
    }
  }
}

const wrongCount = (count: number) =>
  new Problem("validation_failed", `An import takes 1 to ${maxRows} rows, not ${count}`, { limit: maxRows });

function readLines(text: string): unknown[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length > maxRows) throw wrongCount(lines.length);
  const encoder = new TextEncoder();
  return lines.map((line) => {
    try {
      return readJson(encoder.encode(line));
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  });
}

/** Most columns of a table: more than a row has fields, so that unknown ones are named. */
const maxColumns = 100;

function readCsv(text: string): unknown[] {
  requireSmallTable(text);
  let rows: Record<string, string | undefined>[];
  try {
    rows = parseCsv(text, { skipFirstRow: true });
  } catch (error) {
    throw new Problem("malformed_request", `The body is not CSV: ${error instanceof Error ? error.message : error}`);
  }
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map((
        [name, value],
      ) => [name, value === "" || value === undefined ? null : csvValue(name, value)]),
    )
  );
}

/** Counts lines and columns before the table is read: the reader makes an object of each row. */
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

const csvValue = (name: string, value: string) =>
  csvNumbers.has(name) && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
