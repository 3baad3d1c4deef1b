/**
 * Whether a function works, for anybody who asks.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { databaseOfServer } from "./database.ts";

/** What the SQL function answers; `unknown` when it was not to try a write. */
export interface HealthAnswer {
  database: "up";
  writes: "ok" | "failing" | "unknown";
}

export const Health = z.object({
  status: z.enum(["ok", "degraded"]).openapi({
    description: "`ok`: the function works. `degraded`: it can read and not write, because the disk is full for one.",
    example: "ok",
  }),
  database: z.literal("up").openapi({ description: "The database answers.", example: "up" }),
  writes: z.enum(["ok", "failing"]).openapi({
    description: "Whether the database can write: looked at when the last look is 5 s old.",
    example: "ok",
  }),
}).openapi("Health", { description: "Whether the function works, and what it needs." });

/** Anybody may ask as often as they like: a write is tried so often only. */
const probeInterval_ms = 5_000;

let lastProbe: { started_ms: number; answer: Promise<HealthAnswer> } | undefined;

/**
 * Asks the database, in one call. Writes are what the last probe of this isolate found.
 *
 * @throws {Problem} `unavailable`
 */
export async function readHealth(): Promise<z.infer<typeof Health>> {
  const now_ms = performance.now();
  const isProbe = lastProbe === undefined || now_ms - lastProbe.started_ms >= probeInterval_ms;
  const answer = databaseOfServer()("health", { probe_writes: isProbe });
  const probe = isProbe || lastProbe === undefined ? { started_ms: now_ms, answer } : lastProbe;
  lastProbe = probe;
  try {
    const [{ database }, { writes }] = await Promise.all([answer, probe.answer]);
    const isWorking = writes !== "failing";
    return { status: isWorking ? "ok" : "degraded", database, writes: isWorking ? "ok" : "failing" };
  } catch (error) {
    // Nothing was found: the next request probes.
    if (lastProbe === probe) lastProbe = undefined;
    throw error;
  }
}
