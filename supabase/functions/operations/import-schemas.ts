/**
 * Requests of the import: rows of the ERP's change feed.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ItemAnswer } from "../_shared/batch.ts";
import type { Answer } from "../_shared/database.ts";
import { DecimalSign, instantOrEpoch } from "../_shared/fields.ts";
import { flag } from "../_shared/lists.ts";
import { executionFields, overrunTolerance, Status } from "../_shared/operation.ts";
import { Problem } from "../_shared/problems.ts";
import { OperationCreate } from "./schemas.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    import_operations: Answer<ItemAnswer[]>;
  }
}

/** Most rows of one import. */
export const maxRows = 1_000;

/** Returns the problem of an import with another number of rows. */
export const wrongCount = (count: number) =>
  new Problem("validation_failed", `An import takes 1 to ${maxRows} rows, not ${count}`, { limit: maxRows });

/** Example of a row of the ERP. */
export const importExample = {
  order_no: "404200-001",
  asset_id: 1,
  operation_no: "0010",
  workplace_name: "TruLaser 5060 (L76)",
  activity_code: "LASER",
  status: "RELEASED",
  qty_desired: 50,
  timestamp_ms: "2026-11-22T15:00:00Z",
  change_type: "INSERT",
};

export const ImportRow = z.strictObject({
  // spread, not extended: in the contract, a closed object that is extended rejects every field
  ...OperationCreate.shape,
  status: Status.nullable().optional(),
  qty_processed: executionFields.qty_processed.nullable().optional(),
  qty_scrap: executionFields.qty_scrap.nullable().optional(),
  overrun_tolerance_pct: overrunTolerance().nullable().optional(),
  timestamp_ms: instantOrEpoch().openapi({
    description:
      "Time of the change in the source system: a date and time, or milliseconds since 1970. The server applies only rows that are newer than the stored one.",
    example: "2026-11-22T15:00:00Z",
  }),
}).openapi("ImportRow", {
  description:
    "A changed row of the ERP. Omitted fields keep their values. Without mode=takeover, a status has an effect only on an operation that never started: RELEASED releases it, PLANNED takes the release back, CANCELLED cancels it. The execution stays as it is.",
  example: importExample,
});

/** Columns of a CSV that hold numbers: the fields that accept one. */
export const csvNumbers: ReadonlySet<string> = new Set(
  Object.entries(ImportRow.shape).filter(([, schema]) => schema.safeParse(1).success).map(([name]) => name),
);

const ImportMode = z.enum(["update", "takeover"]).openapi("ImportMode", {
  description: "Which rows the import accepts.",
  example: "update",
});

const UnknownWorkplaces = z.enum(["create", "reject"]).openapi("UnknownWorkplaces", {
  description: "What becomes of a row that names an unknown workplace.",
  example: "reject",
});

export const ImportQuery = z.strictObject({
  mode: ImportMode.default("update").openapi({
    description:
      "`update`: plans of the ERP. `takeover` (managers): rows of the first service with status, quantities and times.",
    example: "update",
  }),
  dry_run: flag.default(false).openapi({
    default: false,
    description: "True: the answer shows what would happen, and nothing changes.",
    example: true,
  }),
  unknown_workplaces: UnknownWorkplaces.default("create").openapi({
    description:
      "What becomes of a row that names a workplace that the plant does not know: the import creates the workplace, or rejects the row.",
    example: "reject",
  }),
  decimal: DecimalSign.optional().openapi({
    description:
      "Decimal sign of the numbers in a CSV. The other sign, a space or an apostrophe may then group the digits before it. " +
      "Without it, the server rejects a number that has more than one reading, such as 1.000.",
    example: "comma",
  }),
});
