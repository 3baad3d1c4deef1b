/**
 * `deno task migration <name>`: writes the next migration. The migrations make one database, `supabase/schemas` makes
 * another, and the Supabase CLI writes the difference.
 */
import { join, relative } from "node:path";
import { runCommand, StackFailure } from "../system/failure.ts";
import { applyMigrations } from "../schema/migrations.ts";
import { writeNeededMigration } from "../schema/needed_migration.ts";
import { showHelp } from "../system/help.ts";
import { inProject, projectRoot } from "../system/paths.ts";
import { applySchema, readSchema } from "../schema/schema_files.ts";
import { schemaOf } from "../schema/schema_description.ts";
import { openScratchDatabase } from "../schema/scratch_database.ts";
import { supabaseCli } from "./supabase_cli.ts";

const usage = `Usage: deno task migration <name>

Writes supabase/migrations/<time>_<name>.sql: what brings a database from the migrations to supabase/schemas.
Rows of tables (the lifecycle's actions and transitions, say) are not compared: write their changes by hand.`;

/** Schemas that migrations make. */
const schemas = ["public", "app", "auth"];

showHelp(usage);

async function migrate(): Promise<void> {
  const [name] = Deno.args;
  if (name === undefined || !/^[a-z0-9_]+$/.test(name)) throw new StackFailure(usage);
  const folder = inProject("supabase", "migrations");
  await using migrated = await openScratchDatabase();
  await using described = await openScratchDatabase();
  console.log("  Applying migrations and schema ...");
  await applyMigrations(migrated.url, folder);
  await applySchema(described.url, await readSchema());
  const time = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
  const target = join(folder, `${time}_${name}.sql`);
  console.log("  Comparing ...");
  await supabaseCli([
    ...["db", "diff", "--use-pg-delta", `--schema=${schemas.join(",")}`],
    ...[`--from=${migrated.url}?sslmode=disable`, `--to=${described.url}?sslmode=disable`, `-o=${target}`],
  ]);
  if (await Deno.stat(target).then(({ size }) => size === 0, () => true)) {
    await Deno.remove(target).catch(() => {});
    await writeNeededMigration(folder);
    return console.log("Nothing to migrate: the migrations make the database of supabase/schemas.");
  }
  console.log("  Applying the new migration ...");
  await applyMigrations(migrated.url, folder);
  const [schema, migrations] = await Promise.all([schemaOf(described.url), schemaOf(migrated.url)]);
  const missing = schema.filter((line) => !migrations.includes(line));
  const left = migrations.filter((line) => !schema.includes(line));
  await writeNeededMigration(folder);
  console.log(`Written: ${relative(projectRoot, target)}. Read it before you commit it.`);
  if (missing.length + left.length > 0) {
    throw new StackFailure(
      ["The Supabase CLI does not manage these objects: add their statements by hand.", ...missing, ...left].join("\n"),
    );
  }
}

await runCommand(migrate);
Deno.exit(0);
