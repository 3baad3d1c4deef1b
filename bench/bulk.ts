import postgres from "postgres";
import type { DurableStack } from "./durable_stack.ts";
import { median } from "./median.ts";
import { keyOf, newOperations, newRows, type Row, start } from "./plant.ts";

/** Rows or events per second of calls of 1,000, one after the other. */
export interface BulkFigures {
  what: string;
  way: string;
  per_s: number;
  /** Of the raw insert of the same rows in the same run. */
  share_of_limit?: number;
}

const perCall = 1000;

async function call(url: string, headers: Record<string, string>, body: string): Promise<string> {
  const response = await fetch(url, { method: "POST", headers, body });
  const text = await response.text();
  if (!response.ok || response.status === 207) throw new Error(`${url}: ${response.status} ${text.slice(0, 500)}`);
  return text;
}

/** New rows as the table stores them: the status follows from the state. */
function storedRows(count: number): Record<string, unknown>[] {
  return newRows(count).map(({ status, ...row }) => ({ ...row, state: status }));
}

/** The columns of a row that a statement of its own would insert. */
const columns = Object.keys(storedRows(1)[0] ?? {}).join(", ");

/**
 * Batches of events, and imports beside their limit: `insert ... select` of equal rows into the same table, with its
 * indexes, constraints and triggers, from a table that is in memory, 1,000 to a transaction as well.
 */
export async function measureBulk(
  stack: DurableStack,
  headers: Record<string, string>,
  { rounds, calls }: { rounds: number; calls: number },
): Promise<BulkFigures[]> {
  const sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} });
  const seconds = new Map<string, number[]>();
  const timed = async (name: string, run: () => Promise<unknown>) => {
    const started = performance.now();
    await run();
    seconds.set(name, [...seconds.get(name) ?? [], (performance.now() - started) / 1000]);
  };
  const rpc = `${stack.supabaseUrl}/rest/v1/rpc`;
  const importing = (rows: Row[]) => call(`${stack.functionsUrl}/operations/v1/import`, headers, JSON.stringify(rows));

  const running = await newOperations(stack, 200);
  await start(stack, running);
  const reports = JSON.stringify(Array.from({ length: perCall }, (_, i) => {
    const operation = running[i % running.length];
    return operation && { action_type: "REPORT_QUANTITY", ...keyOf(operation), qty_good: 1 };
  }));

  try {
    await sql.unsafe(`create temporary table staged as select ${columns} from public.mes_operations limit 0`);
    for (let round = 0; round < rounds; round++) {
      await timed(
        "events\nfunction",
        () => call(`${stack.functionsUrl}/events/v1/batch`, headers, `{"events":${reports}}`),
      );
      await timed("events\ndata api", () => call(`${rpc}/report_events`, headers, `{"reports":${reports}}`));
      for (let i = 0; i < calls; i++) {
        const rows = newRows(perCall);
        await timed("new rows\nfunction", () => importing(rows));
        await timed("unchanged rows\nfunction", () => importing(rows));
        const changed = rows.map((row) => ({
          ...row,
          activity_description: "Cut sheet 4 mm, see drawing",
          timestamp_ms: "2026-11-22T16:00:00Z",
          change_type: "UPDATE",
        }));
        await timed("changed rows\nfunction", () => importing(changed));

        const indexed = JSON.stringify({ rows: newRows(perCall).map((row, index) => ({ ...row, index })) });
        await timed("new rows\ndata api", () => call(`${rpc}/import_operations`, headers, indexed));

        await sql`truncate staged`;
        await sql.unsafe(
          `insert into staged (${columns}) select ${columns} from json_populate_recordset(null::staged, $1::text::json)`,
          [JSON.stringify(storedRows(perCall))],
        );
        await timed(
          "new rows\nraw insert",
          () => sql.unsafe(`insert into public.mes_operations (${columns}) select ${columns} from staged`),
        );
      }
    }
  } finally {
    await sql.end();
  }
  const limit = perCall / median(seconds.get("new rows\nraw insert") ?? []);
  return [...seconds].map(([name, times]) => {
    const [what = "", way = ""] = name.split("\n");
    const per_s = perCall / median(times);
    return { what, way, per_s, share_of_limit: what === "events" ? undefined : per_s / limit };
  });
}
