import postgres from "postgres";

/** A row that differs from its events: each field with its stored and its rebuilt value. */
export interface Divergence {
  /** The operation, `downtime <id>`, or `state <number> of <workplace>`. */
  operation: string;
  fields: Record<string, { stored: unknown; rebuilt: unknown }>;
}

/** Result of a comparison. */
export interface Comparison {
  operations: number;
  /** Missing when only some operations were compared. */
  downtimes?: number;
  states?: number;
  divergences: Divergence[];
}

type Row = Record<string, unknown>;

/**
 * Compares all operations, downtimes and machine states with their events, in one snapshot of the database.
 *
 * @param databaseUrl Address with a login that owns the schema `app`.
 * @param orderNos Only the operations of these orders, and neither downtimes nor machine states.
 */
export async function compareWithEvents(databaseUrl: string, orderNos?: string[]): Promise<Comparison> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  try {
    return await sql.begin("isolation level repeatable read read only", async (sql) => {
      // a plant with years of events takes longer than the limit of a request
      await sql`set local statement_timeout = 0`;
      const [count] = await sql<{ operations: number }[]>`
        select count(*)::integer as operations from public.mes_operations o
        where ${orderNos === undefined} or o.order_no = any(${orderNos ?? []})`;
      const rows = await sql<{ stored: Row; rebuilt: Row }[]>`
        select to_jsonb(d.stored) as stored, to_jsonb(d.rebuilt) as rebuilt from app.divergent_operations() d
        where ${orderNos === undefined} or (d.stored).order_no = any(${orderNos ?? []})`;
      const operations = count?.operations ?? 0;
      if (orderNos !== undefined) return { operations, divergences: rows.map(divergenceOf) };
      const [others] = await sql<{ downtimes: number; states: number }[]>`
        select (select count(*)::integer from public.downtimes) as downtimes,
          (select count(*)::integer from public.workplace_states) as states`;
      const downtimes = await sql<{ stored: Row; rebuilt: Row | null }[]>`
        select to_jsonb(d.stored) as stored, to_jsonb(d.rebuilt) as rebuilt from app.divergent_downtimes() d`;
      const states = await sql<{ stored: Row | null; rebuilt: Row | null }[]>`
        select to_jsonb(d.stored) as stored, to_jsonb(d.rebuilt) as rebuilt from app.divergent_states() d`;
      return {
        operations,
        ...others,
        divergences: [
          ...rows.map(divergenceOf),
          ...downtimes.map(({ stored, rebuilt }) => ({
            operation: `downtime ${stored.id}`,
            fields: differences(stored, rebuilt ?? {}),
          })),
          ...states.map(({ stored, rebuilt }) => {
            const { workplace_name, span_no } = stored ?? rebuilt ?? {};
            return {
              operation: `state ${span_no} of ${workplace_name}`,
              fields: differences(withoutHearing(stored), withoutHearing(rebuilt)),
            };
          }),
        ],
      };
    });
  } finally {
    await sql.end();
  }
}

/** A repeated signal moves `heard_at` and is in no log. */
function withoutHearing(state: Row | null): Row {
  const { heard_at: _, ...rest } = state ?? {};
  return rest;
}

function differences(stored: Row, rebuilt: Row): Divergence["fields"] {
  const names = [...new Set([...Object.keys(stored), ...Object.keys(rebuilt)])];
  const differs = (name: string) => JSON.stringify(stored[name]) !== JSON.stringify(rebuilt[name]);
  return Object.fromEntries(
    names.filter(differs).map((name) => [name, { stored: stored[name], rebuilt: rebuilt[name] }]),
  );
}

function divergenceOf({ stored, rebuilt }: { stored: Row; rebuilt: Row }): Divergence {
  const fields = differences(stored, rebuilt);
  return {
    operation: `${stored.order_no}/${stored.asset_id}/${stored.operation_no}`,
    // the rows are equal: then it is the number of open runs
    fields: Object.keys(fields).length > 0
      ? fields
      : { "open runs": { stored: "not those of its status", rebuilt: stored.status } },
  };
}

/** Formats a comparison: one line per field that differs, and the sum at the end. */
export function told({ operations, downtimes, states, divergences }: Comparison): string {
  const others = downtimes === undefined ? "" : `, ${downtimes} downtimes and ${states} machine states`;
  return [
    ...divergences.flatMap(({ operation, fields }) => [
      operation,
      ...Object.entries(fields).map(([name, { stored, rebuilt }]) =>
        `  ${name}: ${JSON.stringify(stored)} is stored, the events say ${JSON.stringify(rebuilt)}`
      ),
    ]),
    `${divergences.length} of ${operations} operations${others} differ from their events`,
  ].join("\n");
}
