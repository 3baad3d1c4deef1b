/**
 * The database behind the API, for what has no endpoint: locks held on purpose, connections cut.
 *
 * @module
 */
import postgres from "postgres";
import { env } from "./harness.ts";

/** Tests that need the database itself are left out where DATABASE_URL is not set, as in a deployed project. */
export const hasDatabase = env.databaseUrl !== undefined;

/** Runs `run` with connections of the owner of all tables, and closes them. */
export async function withDatabase(run: (...connections: postgres.Sql[]) => Promise<void>): Promise<void> {
  const connections = Array.from(
    { length: run.length },
    // reading the array types at connection is a query of its own that nobody waits for
    () => postgres(env.databaseUrl ?? "", { max: 1, onnotice: () => {}, fetch_types: false }),
  );
  try {
    await run(...connections);
  } finally {
    await Promise.all(connections.map((connection) => connection.end({ timeout: 1 })));
  }
}

/** Waits until `atLeast` others wait for a lock that `holder` has, or behind each other for it; their process ids. */
export async function waitersBehind(sql: postgres.Sql, holder: number, atLeast = 1): Promise<number[]> {
  for (const end = performance.now() + 5000; performance.now() < end;) {
    const rows = await sql<{ pid: number }[]>`
      with recursive behind (pid) as (
        select pid from pg_stat_activity where ${holder} = any(pg_blocking_pids(pid))
        union
        select a.pid from pg_stat_activity a join behind b on b.pid = any(pg_blocking_pids(a.pid))
      )
      select pid from behind`;
    if (rows.length >= atLeast) return rows.map(({ pid }) => pid);
  }
  throw new Error(`Fewer than ${atLeast} wait for process ${holder}`);
}

/** Process id of the connection. */
export async function processOf(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  return row?.pid ?? 0;
}
