import { getAuthSchemaSql } from "@supabase/lite";
import postgres from "postgres";
import { driverTypes } from "./driver_types.ts";
import { inProject } from "../system/paths.ts";
import { type DatabaseAccess, embeddedRoles } from "./database_access.ts";

/** A short-lived connection for the work at start. */
export function connect(url: string): postgres.Sql {
  return postgres(url, { max: 1, onnotice: () => {}, connect_timeout: 5, ...driverTypes });
}

/**
 * Brings an empty (or already prepared) database to the state in which Supabase hands it out: roles, schemas,
 * privileges, and the tables of the Auth service, which migrations refer to.
 */
export async function bootstrap(access: DatabaseAccess, databasePassword: string | undefined): Promise<void> {
  const sql = connect(access.admin);
  try {
    await sql.unsafe(await Deno.readTextFile(inProject("local", "postgres", "bootstrap.sql"))).simple();
    if (databasePassword !== undefined) {
      for (const role of embeddedRoles) {
        await sql`select format('alter role %I password %L', ${role}::text, ${databasePassword}::text) as statement`
          .then(([row]) => sql.unsafe(row?.statement));
      }
      await sql`alter database postgres owner to postgres`;
    }
    const [row] = await sql`select to_regclass('auth.users') is null as missing`;
    if (row?.missing) {
      await sql.begin(async (tx) => {
        await tx.unsafe("set local role supabase_auth_admin");
        await tx.unsafe(getAuthSchemaSql()).simple();
      });
    }
    await sql.unsafe("grant all on all tables in schema auth to supabase_auth_admin, postgres").simple();
    await sql.unsafe("grant select on auth.users to service_role").simple();
  } finally {
    await sql.end({ timeout: 1 });
  }
}
