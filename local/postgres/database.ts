import { connect } from "./bootstrap.ts";
import type { DataFolder } from "./data_folder.ts";
import { type DatabaseAccess, embeddedAccess, externalAccess } from "./database_access.ts";
import { messageOf, StackFailure } from "../system/failure.ts";
import { freePortNear } from "../system/free_port.ts";
import type { StackKeys } from "../platform/keys.ts";
import { EmbeddedPostgres, superuser } from "./postgres.ts";
import { postgresMajor } from "./postgres_binaries.ts";

/** The database of a stack, embedded or the user's own. */
export interface Database {
  access: DatabaseAccess;
  isExternal: boolean;
  /** Stops and starts the server alone. */
  server: { stop(): Promise<void>; start(): Promise<void> };
  /** True when no migration has run in it yet. */
  isFresh(): Promise<boolean>;
  /** Empties it. */
  drop(): Promise<void>;
  close(): Promise<void>;
}

async function isFresh(url: string): Promise<boolean> {
  const sql = connect(url);
  try {
    const [row] = await sql`select to_regclass('supabase_migrations.schema_migrations') is null as fresh`;
    return row?.fresh === true;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Drops the database and creates it again from a connection to another database. Disconnects all clients. */
async function recreate(url: string): Promise<void> {
  const address = new URL(url);
  const name = decodeURIComponent(address.pathname.slice(1));
  address.pathname = "/template1";
  const sql = connect(address.href);
  try {
    await sql`drop database if exists ${sql(name)} with (force)`;
    await sql`create database ${sql(name)}`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function openExternal(url: string): Promise<Database> {
  const sql = connect(url);
  try {
    const [row] = await sql`select current_setting('server_version_num')::integer / 10000 as major`;
    if (String(row?.major) !== postgresMajor) {
      throw new StackFailure(`STACK_DATABASE_URL is PostgreSQL ${row?.major}: this project needs ${postgresMajor}.`);
    }
  } catch (error) {
    if (error instanceof StackFailure) throw error;
    const { host, pathname } = new URL(url);
    throw new StackFailure(
      `Cannot use the database of STACK_DATABASE_URL (${host}${pathname}): ${messageOf(error) || "no answer"}. ` +
        "Correct it, or unset STACK_DATABASE_URL to use the embedded PostgreSQL.",
    );
  } finally {
    await sql.end({ timeout: 1 });
  }
  const notOurs = () =>
    Promise.reject(new StackFailure("The server of STACK_DATABASE_URL is not this stack's to stop."));
  return {
    access: externalAccess(url),
    isExternal: true,
    server: { stop: notOurs, start: notOurs },
    isFresh: () => isFresh(url),
    drop: () => recreate(url),
    close: () => Promise.resolve(),
  };
}

/** Opens the database that the stack works on. */
export async function openDatabase(
  folder: DataFolder,
  keys: StackKeys,
  options: { external: string | undefined; durable: boolean; port: number },
): Promise<Database> {
  if (options.external !== undefined) return await openExternal(options.external);
  const server = await EmbeddedPostgres.open(folder, {
    password: keys.databasePassword,
    port: freePortNear(options.port),
    durable: options.durable,
  });
  const access = embeddedAccess(server.port, keys.databasePassword, superuser);
  return {
    access,
    isExternal: false,
    server: { stop: () => server.stop(), start: () => server.start() },
    isFresh: () => isFresh(access.admin),
    drop: () => recreate(access.admin),
    close: () => server.close(),
  };
}
