import { join, relative } from "node:path";
import postgres from "postgres";
import { connect } from "../postgres/bootstrap.ts";
import { type SqlFile, statementFailure } from "./migrations.ts";
import { inProject, projectRoot } from "../system/paths.ts";

/** The source of the schema: one folder for each subject, in the order in which they depend on each other. */
export const schemaFolder = inProject("supabase", "schemas");

/** The migration that is generated from the schema until 1.0.0 is tagged. */
export const initialMigration = inProject("supabase", "migrations", "20261124000000_initial.sql");

const header =
  `-- Generated from supabase/schemas by \`deno task schema\`. Do not edit: change the schema and run the task again.
`;

/** Reads the files of the schema, \`<subject>/<file>.sql\`, in the order in which they are applied. */
export async function readSchema(): Promise<SqlFile[]> {
  const files: SqlFile[] = [];
  for await (const subject of Deno.readDir(schemaFolder)) {
    if (!subject.isDirectory) continue;
    for await (const { name } of Deno.readDir(join(schemaFolder, subject.name))) {
      if (!name.endsWith(".sql")) continue;
      const path = join(schemaFolder, subject.name, name);
      files.push({ path, text: await Deno.readTextFile(path) });
    }
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Returns the initial migration: all files of the schema, each under its path. */
export function migrationOf(files: SqlFile[]): string {
  const parts = files.map(({ path, text }) => `-- ${relative(projectRoot, path)}\n${text}`);
  return [header, ...parts].join("\n");
}

/** Applies the files of the schema to an empty database, in one transaction; a failure names file and line. */
export async function applySchema(url: string, files: SqlFile[]): Promise<void> {
  const sql: postgres.Sql = connect(url);
  try {
    await sql.begin(async (transaction) => {
      for (const file of files) {
        try {
          await transaction.unsafe(file.text).simple();
        } catch (error) {
          throw statementFailure(file, error);
        }
      }
    });
  } finally {
    await sql.end({ timeout: 1 });
  }
}
