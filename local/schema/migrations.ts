import { splitSqlStatements } from "@supabase/lite";
import { join } from "node:path";
import postgres from "postgres";
import { connect } from "../postgres/bootstrap.ts";
import { messageOf, StackFailure } from "../system/failure.ts";

/** A file of SQL statements. */
export interface SqlFile {
  path: string;
  text: string;
}

/** One file of `supabase/migrations`: `<version>_<name>.sql`. */
interface Migration {
  version: string;
  name: string;
  path: string;
}

/** Lists the migrations of a folder, oldest first. */
export async function listMigrations(folder: string): Promise<Migration[]> {
  const found: Migration[] = [];
  try {
    for await (const { name: file, isFile } of Deno.readDir(folder)) {
      const [, version, name] = file.match(/^(\d+)_(.*)\.sql$/) ?? [];
      if (isFile && version && name) found.push({ version, name, path: join(folder, file) });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort((a, b) => a.version < b.version ? -1 : a.version > b.version ? 1 : 0);
}

/** Returns the failure that names file and line of the statement that the server rejected. */
export function statementFailure({ path, text }: SqlFile, error: unknown): StackFailure {
  if (!(error instanceof postgres.PostgresError)) return new StackFailure(`Cannot apply ${path}: ${messageOf(error)}`);
  const position = Number(error.position);
  const line = position > 0 ? `:${text.slice(0, position).split("\n").length}` : "";
  const more = [error.detail, error.hint, error.where].filter((part) => part).join("; ");
  return new StackFailure(`Cannot apply ${path}${line}: ${error.message}${more ? ` (${more})` : ""}`);
}

/** The history table as the Supabase CLI makes it. */
const historyTable = `
  create schema if not exists supabase_migrations;
  create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
  alter table supabase_migrations.schema_migrations add column if not exists statements text[];
  alter table supabase_migrations.schema_migrations add column if not exists name text;
`;

/** Result of {@link applyMigrations}: names of migrations. */
export interface MigrationResult {
  applied: string[];
  /** Migrations whose file was edited after the database had them: the database no longer fits the files. */
  edited: string[];
}

/** The statements without what a splitter may drop. */
const bare = (statements: string) => statements.replaceAll(/[\s;]/g, "");

/**
 * Applies the migrations of `folder` that the database does not have yet, each in one transaction together with its
 * line in the history, so that `supabase db push` and this agree on what is there.
 */
export async function applyMigrations(url: string, folder: string): Promise<MigrationResult> {
  const sql = connect(url);
  const applied: string[] = [];
  const edited: string[] = [];
  try {
    await sql.unsafe(historyTable).simple();
    const rows = await sql<{ version: string; statements: string[] | null }[]>`
      select version, statements from supabase_migrations.schema_migrations`;
    const known = new Map(rows.map(({ version, statements }) => [version, statements]));
    for (const { version, name, path } of await listMigrations(folder)) {
      const text = await Deno.readTextFile(path);
      if (known.has(version)) {
        const statements = known.get(version)?.join("");
        const current = splitSqlStatements(text).join("");
        if (statements !== undefined && bare(statements) !== bare(current)) edited.push(`${version}_${name}`);
        continue;
      }
      try {
        await sql.begin(async (tx) => {
          await tx.unsafe(text).simple();
          await tx`
            insert into supabase_migrations.schema_migrations (version, name, statements)
            values (${version}, ${name}, ${splitSqlStatements(text)})`;
        });
      } catch (error) {
        throw statementFailure({ path, text }, error);
      }
      applied.push(`${version}_${name}`);
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
  return { applied, edited };
}

/** Runs the seed files that exist, each in one transaction. */
export async function applySeeds(url: string, files: string[]): Promise<string[]> {
  const sql = connect(url);
  const applied: string[] = [];
  try {
    for (const file of files) {
      let text: string;
      try {
        text = await Deno.readTextFile(file);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) continue;
        throw error;
      }
      try {
        await sql.begin((tx) => tx.unsafe(text).simple());
      } catch (error) {
        throw statementFailure({ path: file, text }, error);
      }
      applied.push(file);
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
  return applied;
}
