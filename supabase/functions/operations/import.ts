import { parse as parseCsv } from "@std/csv/parse.js";
import { endpoint } from "../_shared/app.ts";
import { itemResult, ItemResults, itemResults, validateItems } from "../_shared/batch.ts";
import { checkJson, decodeUtf8 } from "../_shared/body.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
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
  const rows = readRows(c.req.header("Content-Type") ?? "", decodeUtf8(await c.req.arrayBuffer()));
  if (rows.length === 0 || rows.length > maxRows) {
    throw new Problem("validation_failed", `An import takes 1 to ${maxRows} rows, not ${rows.length}`, {
      limit: maxRows,
    });
  }
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
function readRows(contentType: string, text: string): unknown[] {
  switch (contentType.split(";")[0]?.trim().toLowerCase()) {
    case "application/json": {
      const rows: unknown = parseJson(text);
      if (!Array.isArray(rows)) throw new Problem("validation_failed", "The body is not an array of rows");
      return rows;
    }
    case "application/x-ndjson":
      return text.split(/\r?\n/).filter((line) => line.trim() !== "").map((line) => {
        try {
          checkJson(line);
          return JSON.parse(line);
        } catch (error) {
          if (error instanceof Problem) return error;
          throw error;
        }
      });
    case "text/csv":
      return readCsv(text);
    default:
      throw new Problem(
        "unsupported_media_type",
        "Send Content-Type application/json, application/x-ndjson or text/csv",
      );
  }
}

function parseJson(text: string): unknown {
  checkJson(text);
  return JSON.parse(text);
}

function readCsv(text: string): unknown[] {
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

const csvValue = (name: string, value: string) =>
  csvNumbers.has(name) && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
