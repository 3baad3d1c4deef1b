/**
 * What a CSV costs the function beside the database: rows per second of its processor time, and the memory of the isolate.
 * The Data API is canned: it answers pages of 500 rows as fast as they are read. `deno run -A bench/csv.ts [answers]`.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { edgeDeno, edgeFlags } from "../local/functions/edge_deno.ts";
import { generateKeys, keySet } from "../local/platform/keys.ts";
import { inProject } from "../local/system/paths.ts";
import contract from "../docs/openapi.json" with { type: "json" };
import { serveAnswers } from "./canned_data_api.ts";
import { table } from "./table.ts";

const { Operation, OperationEvent } = contract.components.schemas;

const bucket = {
  from: "2026-11-20T00:00:00.000Z",
  to: "2026-11-21T00:00:00.000Z",
  elements: { pot_min: 480, pdot_min: 30, pbt_min: 450, apt_min: 350, aust_min: 40, adet_min: 40, adot_min: 20 },
  pieces: { pq: 380, gq: 369, sq: 11 },
  ratios: { availability: 0.777778, effectiveness: 0.868571, quality_ratio: 0.971053, oee: 0.656 },
  capped: { effectiveness: 0.868571, oee: 0.656 },
  ...{ coverage: 1, partial: false, losses: [], minor_stops: { count: 0, minutes: 0 } },
  outside: { apt_min: 0, aust_min: 0, pq: 0, gq: 0 },
  ...{ reasons: {}, warnings: [], inputs: { runs: 4, events: 1, downtimes: 0, calendar_version: 1 } },
};

/** Rows of the contract's examples, each with a number of its own. */
function rows(properties: Record<string, object>, name: string) {
  const example = Object.entries(properties).map(([name, property]) => [
    name,
    "example" in property ? property.example : null,
  ]);
  return Array.from(
    { length: 500 },
    (_, index) => ({ ...Object.fromEntries(example), [name]: `${403860 + index}-001` }),
  );
}

const page = (items: object[], next: unknown[]) => JSON.stringify({ items, next, total: null });

const pages: Record<string, string> = {
  list_operations: page(rows(Operation.properties, "order_no"), [null, "403860-001", "0010", 1]),
  report_oee: JSON.stringify({
    ...{ from: bucket.from, to: bucket.to, complete: true, time_zone: "UTC", attribution: "prorated" },
    scope: { access: "all", workplace_names: [] },
    buckets: Array.from({ length: 10_000 }, (_, index) => ({ key: { workplace_name: `Place ${index}` }, ...bucket })),
  }),
  list_events: page(rows(OperationEvent.properties, "order_no"), ["2026-11-23T08:15:00Z", crypto.randomUUID()]),
};

const paths = {
  "operations, all columns": "/operations/v1?format=csv",
  "operations, local times and decimal comma":
    "/operations/v1?format=csv&time_zone=Europe/Amsterdam&decimal=comma&separator=semicolon",
  "operations, five columns": "/operations/v1?format=csv&columns=order_no,operation_no,status,qty_good,qty_scrap",
  "events, all columns": "/events/v1?format=csv",
  "OEE by workplace": "/reports/v1/oee?format=csv&by=workplace&from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z",
};

const answers = Number(Deno.args[0] ?? 20);
const keys = generateKeys();
const dataApi = serveAnswers(pages);
const isolate = new Deno.Command(await edgeDeno(), {
  args: [...edgeFlags, inProject("bench", "csv_isolate.ts"), JSON.stringify({ paths, answers, key: keys.secretKey })],
  env: {
    SUPABASE_URL: `http://127.0.0.1:${dataApi.addr.port}`,
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
    SUPABASE_JWKS: keySet(keys.jwtSecret),
  },
  stdout: "piped",
}).spawn();
const measured: Record<string, string | number>[] = [];
for await (const line of isolate.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
  measured.push(JSON.parse(String(line)));
}
const { success } = await isolate.status;
await dataApi.shutdown();
if (!success) throw new Error("The isolate failed, see above");
console.log(table(measured));
