import { createPostgresConnection, PostgresConnection } from "@supabase/lite/postgres";
import { Kysely } from "kysely";
import { ConnectionPool, dialectOf, type Slot } from "./connection_pool.ts";
import { driverTypes } from "../postgres/driver_types.ts";
import { databaseErrorAnswer } from "./postgrest_errors.ts";

type Context = Parameters<PostgresConnection["withContext"]>;
type Introspection = Awaited<ReturnType<PostgresConnection["introspect"]>>;

interface CallerVars {
  auth?: { role?: string; uid?: string; jwt?: Record<string, unknown> };
}

/** The time limit that Supabase gives each role; PostgREST applies it with the role. */
const statementTimeouts: Record<string, string> = { anon: "3s", authenticated: "8s", service_role: "8s" };

/** Time limit for a server that exceeds its own limits, so that the caller gets an answer. */
const answerTimeoutMs = 9500;

/** Everything that PostgREST sets for a request, in one statement: role, claims, request, limits. */
const contextStatement = "select " + [
  "set_config('statement_timeout', $6, true)",
  "set_config('lock_timeout', '8s', true)",
  "set_config('request.jwt.claim.sub', $1, true)",
  "set_config('request.jwt.claim.role', $2, true)",
  "set_config('request.jwt.claims', $3, true)",
  "set_config('request.method', $4, true)",
  "set_config('request.path', $5, true)",
  "set_config('request.headers', $7, true)",
  "set_config('response.status', '', true)",
  "set_config('response.headers', '', true)",
  // Last: from here on, the rights are the caller's.
  "set_config('role', $2, true)",
].join(", ");

/**
 * The library's connection, made faster and closer to PostgREST: the caller's context is one prepared statement sent
 * together with the query (as shipped: nine, each awaited), the catalog is read once and again when it changes, grants
 * are left as the migrations made them, and an unreachable database is answered as such.
 */
export class DataConnection extends PostgresConnection {
  #pool: ConnectionPool;
  #catalogUrl: string;
  readonly #schemas: readonly string[];
  #catalog: Introspection | undefined;
  /** The statement that runs first in each request's transaction, as PostgREST runs its `db-pre-request`. */
  #requestHook: string | undefined;
  #readingPaths: ReadonlySet<string> = new Set();
  #refreshing: Promise<void> | undefined;
  #isOutdated = false;
  #isClosed = false;

  /**
   * @param options `catalogUrl`: a login that sees the whole catalog; the API's own sees almost nothing of it.
   * `schemas`: those that are served.
   */
  constructor(options: { url: string; catalogUrl: string; poolSize: number; schemas: readonly string[] }) {
    super({ url: options.url });
    this.#pool = new ConnectionPool(options.url, options.poolSize);
    this.#catalogUrl = options.catalogUrl;
    this.#schemas = options.schemas;
    this.kysely = new Kysely({ dialect: dialectOf(this.#pool) });
  }

  override async introspect(): Promise<Introspection> {
    if (!this.#catalog) await this.refreshCatalog();
    if (!this.#catalog) throw new Error("The database's catalog cannot be read");
    return this.#catalog;
  }

  /** Reads tables and functions again. Until that is done, and when it fails, the ones known before are used. */
  async refreshCatalog(): Promise<void> {
    // A change during the reading may be missing: read once more afterwards.
    const before = this.#refreshing;
    if (before) this.#isOutdated = true;
    const reading = before ?? this.#readUntilCurrent().finally(() => this.#refreshing = undefined);
    this.#refreshing = reading;
    await reading;
  }

  async #readUntilCurrent(): Promise<void> {
    do {
      this.#isOutdated = false;
      await this.#readCatalog();
    } while (this.#isOutdated && !this.#isClosed);
  }

  async #readCatalog(): Promise<void> {
    if (this.#isClosed) return;
    const reader = createPostgresConnection({
      url: this.#catalogUrl,
      postgresOptions: { max: 1, onnotice: () => {}, ...driverTypes },
    });
    try {
      // The library only prints why it cannot read; this query shows whether the server answers.
      await reader.driver`select 1`;
      const catalog = await reader.introspect();
      // The library answers with an empty catalog when it could not read.
      if (catalog.tables.length === 0) return;
      this.#catalog = this.#served(catalog);
      const [hook] = await reader.driver.unsafe<{ name: string }[]>(requestHookQuery);
      this.#requestHook = hook && `select ${hook.name}()`;
      const readers = await reader.driver.unsafe<{ path: string }[]>(readingPathsQuery);
      this.#readingPaths = new Set(readers.map(({ path }) => path));
      // Earlier prepared statements may no longer fit the tables.
      this.#pool.renew();
    } finally {
      await reader.driver.end({ timeout: 0 });
    }
  }

  /** Returns what is served: the library goes through all columns and views at each request. */
  #served(catalog: Introspection): Introspection {
    const isServed = ({ schema }: { schema?: string | null }) => this.#schemas.includes(schema ?? "public");
    return {
      ...catalog,
      tables: catalog.tables.filter(isServed),
      columns: catalog.columns.filter(isServed),
      views: catalog.views.filter(isServed),
    };
  }

  override async withContext<T>(
    vars: Context[0],
    run: (db: PostgresConnection["kysely"]) => Promise<T>,
    options?: Context[2],
  ): Promise<T> {
    if (!vars || options?.transaction || options?.forceRollback) return await super.withContext(vars, run, options);
    const context = contextOf(vars, options);
    try {
      const received = performance.now();
      const slot = await this.#pool.acquire();
      const patience = setTimeout(() => slot.close(), answerTimeoutMs - (performance.now() - received));
      try {
        return await inTransaction(slot, context, this.#requestHook, this.#isReading(options), run);
      } finally {
        clearTimeout(patience);
        this.#pool.release(slot);
      }
    } catch (error) {
      const answer = databaseErrorAnswer(error, context.role);
      // The Data API's handler, the only caller with vars, has the Response as its result type.
      if (answer) return answer as T;
      throw error;
    }
  }

  #isReading(options: Context[2]): boolean {
    const { readOnly = false, path = "" } = options?.rpc ?? {};
    return readOnly || this.#readingPaths.has(path);
  }

  override async close(): Promise<void> {
    this.#isClosed = true;
    await this.#refreshing?.catch(() => {});
    await Promise.all([this.#pool.close(), super.close()]);
  }
}

/** Name of PostgREST's `db-pre-request` function, as `alter role authenticator set pgrst.db_pre_request` stores it. */
const requestHookQuery = `
  select split_part(setting, '=', 2) as name
  from pg_db_role_setting s, unnest(s.setconfig) setting
  where s.setrole = 'authenticator'::regrole and setting like 'pgrst.db_pre_request=%'
    and (s.setdatabase = 0 or s.setdatabase = (select oid from pg_database where datname = current_database()))
  order by s.setdatabase desc
  limit 1`;

/**
 * Paths of the functions that PostgREST calls in READ ONLY transactions, by POST too: those that are not volatile. The
 * arguments choose among functions of one name, so all of them must be such.
 */
const readingPathsQuery = `
  select '/rpc/' || p.proname as path
  from pg_proc p
  where p.pronamespace = 'public'::regnamespace
  group by p.proname
  having bool_and(p.provolatile in ('s', 'i'))`;

interface SessionContext {
  role: string;
  parameters: string[];
}

function contextOf(vars: CallerVars, options: Context[2]): SessionContext {
  const { role = "anon", uid, jwt } = vars.auth ?? {};
  const { method = "", path = "", requestHeaders = {} } = options?.rpc ?? {};
  const claims = JSON.stringify(jwt ?? { role });
  const timeout = statementTimeouts[role] ?? "8s";
  return { role, parameters: [uid ?? "", role, claims, method, path, timeout, JSON.stringify(requestHeaders)] };
}

async function inTransaction<T>(
  slot: Slot,
  context: SessionContext,
  requestHook: string | undefined,
  readOnly: boolean,
  run: (db: Slot["kysely"]) => Promise<T>,
): Promise<T> {
  // Not awaited one by one: they travel together with the query itself.
  const prepared = Promise.all([
    slot.execute(readOnly ? "begin read only" : "begin"),
    slot.execute(contextStatement, context.parameters),
    requestHook && slot.execute(requestHook),
  ]);
  prepared.catch(() => {});
  try {
    const answer = await run(slot.kysely);
    await prepared;
    await slot.execute("commit");
    return answer;
  } catch (error) {
    if (slot.isAlive) await slot.execute("rollback").catch(() => {});
    // When the context failed, that is the cause; the query's own error only says that something before it failed.
    await prepared;
    throw error;
  }
}
