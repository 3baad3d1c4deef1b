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

/** Waits until a statement of somebody else waits for a lock that `holder` has, and returns that one's process id. */
export async function waiterBehind(sql: postgres.Sql, holder: number): Promise<number> {
  for (const end = performance.now() + 5000; performance.now() < end;) {
    const [row] = await sql<{ pid: number }[]>`
      select pid from pg_stat_activity where ${holder} = any(pg_blocking_pids(pid)) limit 1`;
    if (row !== undefined) return row.pid;
  }
  throw new Error(`Nobody waits for process ${holder}`);
}
