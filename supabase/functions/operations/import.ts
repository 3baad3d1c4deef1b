import { ItemResults, summarize, toItemResult, validateItems } from "../_shared/batch.ts";
import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, security } from "../_shared/contract.ts";
import { type ApiContext, endpoint } from "../_shared/endpoint.ts";
import { readJson } from "../_shared/json.ts";
import { Problem } from "../_shared/problems.ts";
import { chargeRows } from "../_shared/rate_limiting.ts";
import { type Decimal, readCsv } from "./import-csv.ts";
import { importExample, ImportQuery, ImportRow, maxRows, wrongCount } from "./import-schemas.ts";

const row = { $ref: "#/components/schemas/ImportRow" };

export const importRows = endpoint({
  method: "post",
  path: "/operations/v1/import",
  operationId: "importOperations",
  tags: ["Operations"],
  summary: "Import from the ERP",
  description:
    "Takes changed rows of the ERP, in any order and any number of times: the server applies a row that is newer than the stored " +
    "one and skips the others. The ERP owns the plan, the shop floor owns the execution. `mode=takeover` (managers) imports the " +
    "rows of the first service as they are. Send a JSON array, NDJSON (one object per line), or CSV with a header line and " +
    "commas between the fields (an empty field is null; see `decimal`). A row that names an unknown workplace says so (`creates_workplace`).",
  security,
  "x-rate-limit": { class: "heavy" },
  request: {
    query: ImportQuery,
    headers: idempotencyHeader,
    // rows are validated one by one: an invalid row does not keep out the others
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
          schema: {
            type: "string",
            description: "A header line with names of ImportRow, then one row per line. The separator is the comma.",
          },
          example: `${Object.keys(importExample).join(",")}\n${Object.values(importExample).join(",")}\n`,
        },
      },
    },
  },
  responses: {
    200: commandJson(ItemResults, "All rows were accepted, or would be."),
    207: commandJson(ItemResults, "Some rows were rejected: see each one."),
    ...commandProblems(["forbidden"]),
  },
}, async (c) => {
  const { dry_run, mode, unknown_workplaces, decimal } = c.req.valid("query");
  const rows = await readRows(c.req, decimal);
  if (rows.length === 0) throw wrongCount(0);
  chargeRows(c, rows.length);
  const { valid, rejected } = validateItems(c, ImportRow, rows);
  const answer = await c.var.rpc("import_operations", {
    rows: valid,
    is_takeover: mode === "takeover",
    is_dry_run: dry_run,
    rejects_unknown_workplaces: unknown_workplaces === "reject",
    idempotency: dry_run
      ? undefined
      : readIdempotency(c, { mode, unknown_workplaces, rows: valid, rejected: rejected.length }),
  });
  const results = [
    ...answerCommand(c, answer).map((item) => toItemResult(c, item)),
    ...rejected.map((result) => ({ ...result, outcome: "rejected" as const })),
  ];
  const body = summarize(results, ({ outcome }) => outcome ?? "rejected", answer.request_id);
  return body.summary.rejected === undefined ? c.json(body, 200) : c.json(body, 207);
});

/** Reads the rows of a body. A row that cannot be parsed is a problem instead. */
async function readRows(req: ApiContext["req"], decimal: Decimal | undefined): Promise<unknown[]> {
  switch (req.header("Content-Type")?.split(";")[0]?.trim().toLowerCase()) {
    case "application/x-ndjson":
      return readLines(await req.text());
    case "text/csv":
      return readCsv(await req.text(), decimal);
    default: {
      const rows: unknown = await req.json();
      if (!Array.isArray(rows)) throw new Problem("validation_failed", "The body is not an array of rows");
      if (rows.length > maxRows) throw wrongCount(rows.length);
      return rows;
    }
  }
}

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
