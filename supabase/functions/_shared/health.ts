/**
 * The health of a function.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { rpcAsServer } from "./database.ts";
import { neededMigration } from "./needed_migration.ts";
import { type HealthAnswer, noteSchema, requireMigration } from "./schema_version.ts";

const HealthStatus = z.enum(["ok", "degraded"]).openapi("HealthStatus", {
  description:
    "`ok`: the function works. `degraded`: the database can be read but not written, for example because its disk is full.",
  example: "ok",
});

const WriteHealth = z.enum(["ok", "failing"]).openapi("WriteHealth", {
  description: "Whether the database can write. The function tries a write at most every 5 s.",
  example: "ok",
});

export const Health = z.object({
  status: HealthStatus,
  database: z.literal("up").openapi({ description: "The database answers.", example: "up" }),
  writes: WriteHealth,
  needs_migration: z.string().openapi({
    description: "The migration that the function needs. It does not serve a database without it.",
    example: neededMigration,
  }),
  newest_migration: z.string().openapi({
    description: "The newest migration of the database.",
    example: neededMigration,
  }),
}).openapi("Health", { description: "Health of the function and of its database." });

/** Time between two probes: the number of requests does not increase the number of writes. */
const probeIntervalMs = 5_000;

let lastProbe: { startedMs: number; answer: Promise<HealthAnswer> } | undefined;

/**
 * Reads the health in one call of the database. `writes` is the result of the last probe of this isolate. Fails while
 * the database lacks the migration that the functions need.
 *
 * @throws {Problem} `unavailable`
 */
export async function readHealth(): Promise<z.infer<typeof Health>> {
  const nowMs = performance.now();
  const isProbe = lastProbe === undefined || nowMs - lastProbe.startedMs >= probeIntervalMs;
  const answer = rpcAsServer()("health", { probe_writes: isProbe });
  const probe = isProbe || lastProbe === undefined ? { startedMs: nowMs, answer } : lastProbe;
  lastProbe = probe;
  try {
    const [{ database, migration, request_hook }, { writes }] = await Promise.all([answer, probe.answer]);
    noteSchema(migration, request_hook);
    const newestMigration = requireMigration();
    const isWorking = writes !== "failing";
    return {
      status: isWorking ? "ok" : "degraded",
      database,
      writes: isWorking ? "ok" : "failing",
      needs_migration: neededMigration,
      newest_migration: newestMigration,
    };
  } catch (error) {
    // the probe failed: the next request probes again
    if (lastProbe === probe) lastProbe = undefined;
    throw error;
  }
}
