/**
 * Checks that the database has the migration that the functions need. Older SQL functions would ignore unknown fields
 * and acknowledge the rest.
 *
 * @module
 */
import { createMiddleware } from "hono/factory";
import { outliveAnswer } from "./background.ts";
import { MissingFunction, rpcAsServer } from "./database.ts";
import { neededMigration } from "./needed_migration.ts";
import { notePlantZone } from "./plant_zone.ts";
import { Problem } from "./problems.ts";
import { hasRequestHook, noteRequestHook } from "./request_hook.ts";

declare module "./database.ts" {
  interface Answers {
    health: HealthAnswer;
  }
}

/** Answer of the SQL function. `unknown`: the call did not try a write. */
export interface HealthAnswer {
  database: "up";
  writes: "ok" | "failing" | "unknown";
  /** Newest migration; null when the database has no history of migrations. */
  migration: string | null;
  /** Whether `app.before_request` has run in the transaction. */
  request_hook?: boolean;
  /** IANA name of the plant's zone. */
  time_zone?: string;
}

/** Time until the next check after a success, because a restored backup may lack the migration. */
const currentForMs = 60_000;

/** Time until the next check after a failure, in seconds. */
const behindForS = 2;

/** Newest migration of the database, as far as it is known; null when the database has no history of migrations. */
let newestMigration: string | null = null;
let askAgainAtMs = -Infinity;
let asking: Promise<void> | undefined;

/** Stores what each answer of the database's health contains; older databases omit it. */
export function noteSchema(migration: string | null = null, requestHook?: boolean): void {
  newestMigration = migration;
  noteRequestHook(requestHook);
  const isComplete = isCurrent(migration) && hasRequestHook();
  askAgainAtMs = performance.now() + (isComplete ? currentForMs : behindForS * 1_000);
}

/** Makes the next request ask the database first. */
function forgetMigration(): void {
  newestMigration = null;
  askAgainAtMs = -Infinity;
}

/** Compares versions, which are times of one length. */
const isCurrent = (migration: string | null): migration is string => migration !== null && migration >= neededMigration;

/**
 * Returns the newest migration of the database.
 *
 * @throws {Problem} `unavailable` when it is older than the one that the functions need.
 */
export function requireMigration(): string {
  if (isCurrent(newestMigration)) return newestMigration;
  throw new Problem(
    "unavailable",
    `The functions need migration ${neededMigration}: the newest one of the database is ${newestMigration ?? "none"}`,
    { needs_migration: neededMigration, newest_migration: newestMigration, retry_after_s: behindForS },
  );
}

/** Rejects requests while the database lacks the migration. Only the first request of an isolate waits for the answer. */
export const schemaVersion = createMiddleware(async (c, next) => {
  await checkSchema();
  await next();
  if (c.error instanceof MissingFunction) forgetMigration();
});

/**
 * Asks the database when its last answer is old.
 *
 * @throws {Problem} `unavailable` while it lacks the migration.
 */
export async function checkSchema(): Promise<void> {
  if (performance.now() >= askAgainAtMs) {
    const answer = askDatabase();
    if (isCurrent(newestMigration) && hasRequestHook()) outliveAnswer(answer.catch(() => {}));
    else await answer;
  }
  requireMigration();
}

/** Asks the database. Requests of the same moment share the answer. */
function askDatabase(): Promise<void> {
  asking ??= rpcAsServer()("health", { probe_writes: false })
    .then(({ migration, request_hook, time_zone }) => {
      noteSchema(migration, request_hook);
      notePlantZone(time_zone);
    })
    .finally(() => asking = undefined);
  return asking;
}
