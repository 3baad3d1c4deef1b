/**
 * The module that names the migration that the functions need.
 *
 * @module
 */
import { StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";
import { listMigrations } from "./migrations.ts";

const file = inProject("supabase", "functions", "_shared", "needed_migration.ts");

const moduleOf = (version: string) =>
  `// Generated from supabase/migrations by \`deno task schema\` and \`deno task migration\`. Do not edit.

/** The newest migration: the functions do not serve a database without it. */
export const neededMigration = "${version}";
`;

async function current(migrationsFolder: string): Promise<string> {
  const newest = (await listMigrations(migrationsFolder)).at(-1);
  if (newest === undefined) throw new StackFailure(`${migrationsFolder} has no migration.`);
  return moduleOf(newest.version);
}

/** Writes the module for the newest migration of the folder. */
export async function writeNeededMigration(migrationsFolder: string): Promise<void> {
  await Deno.writeTextFile(file, await current(migrationsFolder));
}

/**
 * Compares the module with the newest migration of the folder.
 *
 * @throws {StackFailure} The functions need another migration.
 */
export async function checkNeededMigration(migrationsFolder: string): Promise<void> {
  if (await Deno.readTextFile(file).catch(() => "") === await current(migrationsFolder)) return;
  throw new StackFailure(
    `${file} does not name the newest migration: run \`deno task schema\`, or \`migration\` after 1.0.0.`,
  );
}
