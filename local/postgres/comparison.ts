import postgres from "postgres";

/** An operation that differs from its events: each field with its stored and its rebuilt value. */
export interface Divergence {
  operation: string;
  fields: Record<string, { stored: unknown; rebuilt: unknown }>;
}

/** Result of a comparison. */
export interface Comparison {
  operations: number;
  divergences: Divergence[];
}

type Row = Record<string, unknown>;

/**
 * Compares all operations with their events, in one snapshot of the database.
 *
 * @param databaseUrl Address with a login that owns the schema `app`.
 * @param orderNos Only the operations of these orders.
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
      return { operations: count?.operations ?? 0, divergences: rows.map(divergenceOf) };
    });
  } finally {
    await sql.end();
  }
}

function divergenceOf({ stored, rebuilt }: { stored: Row; rebuilt: Row }): Divergence {
  const differs = (name: string) => JSON.stringify(stored[name]) !== JSON.stringify(rebuilt[name]);
  const fields = Object.keys(stored).filter(differs).map((name) =>
    [name, { stored: stored[name], rebuilt: rebuilt[name] }] as const
  );
  return {
    operation: `${stored.order_no}/${stored.asset_id}/${stored.operation_no}`,
    // the rows are equal: then it is the number of open runs
    fields: fields.length > 0
      ? Object.fromEntries(fields)
      : { "open runs": { stored: "not those of its status", rebuilt: stored.status } },
  };
}

/** Formats a comparison: one line per field that differs, and the sum at the end. */
export function told({ operations, divergences }: Comparison): string {
  return [
    ...divergences.flatMap(({ operation, fields }) => [
      operation,
      ...Object.entries(fields).map(([name, { stored, rebuilt }]) =>
        `  ${name}: ${JSON.stringify(stored)} is stored, the events say ${JSON.stringify(rebuilt)}`
      ),
    ]),
    `${divergences.length} of ${operations} operations differ from their events`,
  ].join("\n");
}
