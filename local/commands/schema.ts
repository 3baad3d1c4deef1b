/**
 * `deno task schema`: writes the initial migration from `supabase/schemas`, and its name for the functions. With
 * `--check` it writes nothing and fails when the migrations and the schema make different databases.
 */
import { relative } from "node:path";
import { runCommand, StackFailure } from "../system/failure.ts";
import { applyMigrations, listMigrations } from "../schema/migrations.ts";
import { checkNeededMigration, writeNeededMigration } from "../schema/needed_migration.ts";
import { inProject, projectRoot } from "../system/paths.ts";
import { schemaOf } from "../schema/schema_description.ts";
import { applySchema, initialMigration, migrationOf, readSchema } from "../schema/schema_files.ts";
import { openScratchDatabase } from "../schema/scratch_database.ts";
import { showHelp } from "../system/help.ts";

showHelp(`Usage: deno task schema [--check]

Writes the initial migration from supabase/schemas, until 1.0.0 is tagged.

  --check   write nothing, and fail when the migrations do not make the database of supabase/schemas
  --help    this text`);

const migrationsFolder = inProject("supabase", "migrations");
const maxDifferences = 20;

/** Returns true while the initial migration follows the schema: after a release, databases have it and it must stay. */
async function isGenerated(): Promise<boolean> {
  const migrations = await listMigrations(migrationsFolder);
  if (migrations.some(({ path }) => path !== initialMigration)) return false;
  const tags = await new Deno.Command("git", { args: ["tag", "--list", "v1.0.0"], cwd: projectRoot }).output()
    .catch(() => undefined);
  return tags === undefined || new TextDecoder().decode(tags.stdout).trim() === "";
}

async function write(): Promise<void> {
  if (!await isGenerated()) {
    throw new StackFailure("1.0.0 is released: write the next migration with `deno task migration <name>`.");
  }
  await Deno.mkdir(migrationsFolder, { recursive: true });
  await Deno.writeTextFile(initialMigration, migrationOf(await readSchema()));
  await writeNeededMigration(migrationsFolder);
  console.log(`Written: ${relative(projectRoot, initialMigration)}`);
}

async function check(): Promise<void> {
  const files = await readSchema();
  if (await isGenerated() && await Deno.readTextFile(initialMigration).catch(() => "") !== migrationOf(files)) {
    throw new StackFailure(
      `${
        relative(projectRoot, initialMigration)
      } does not fit supabase/schemas: run \`deno task schema\` and commit it.`,
    );
  }
  await checkNeededMigration(migrationsFolder);
  await using described = await openScratchDatabase();
  await using migrated = await openScratchDatabase();
  await applySchema(described.url, files);
  await applyMigrations(migrated.url, migrationsFolder);
  const [schema, migrations] = await Promise.all([schemaOf(described.url), schemaOf(migrated.url)]);
  const differences = [
    ...schema.filter((line) => !migrations.includes(line)).map((line) => `only in the schema: ${line}`),
    ...migrations.filter((line) => !schema.includes(line)).map((line) => `only in the migrations: ${line}`),
  ];
  if (differences.length > 0) {
    throw new StackFailure(
      `The migrations do not make the database of supabase/schemas. Write the missing one with ` +
        `\`deno task migration <name>\`:\n${differences.slice(0, maxDifferences).join("\n")}`,
    );
  }
  console.log(`The migrations are current: ${schema.length} objects compared.`);
}

await runCommand(Deno.args.includes("--check") ? check : write);
Deno.exit(0);
