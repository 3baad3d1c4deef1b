import { createPostgresConnection } from "@supabase/lite/postgres";
import {
  type CompiledQuery,
  type DatabaseConnection,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from "kysely";
import type postgres from "postgres";
import { driverTypes } from "../postgres/driver_types.ts";
import { within } from "../system/poll.ts";

/** Longest wait of a request for a connection; PostgREST's own limit is 10 s. */
const acquireTimeoutMs = 5000;
/** Statements that each connection keeps prepared; rarer shapes beyond that are sent plain. */
const preparedStatements = 500;

/** More elements than this in one argument are refused: to write 600,000 as text takes the one event loop 0.4 s. */
const maxElements = 10_000;

/** An argument has too many elements. */
export class TooManyElements extends Error {
  override name = "TooManyElements";
  code = "TOO_MANY_ELEMENTS";
}

/** No connection was free in time. */
export class PoolTimeout extends Error {
  override name = "PoolTimeout";
  code = "PGRST003";
}

/**
 * One database connection, held by one request at a time. Statements are sent at once and in order, without waiting
 * for the answer to the one before. It never reconnects: a transaction must not continue on another connection.
 */
export class Slot implements DatabaseConnection {
  #driver: postgres.Sql;
  #close: () => Promise<void>;
  #prepared = new Set<string>();
  #alive = true;
  /** Builds queries that run on this connection. */
  readonly kysely: Kysely<unknown>;

  constructor(url: string) {
    const connection = createPostgresConnection({
      url,
      postgresOptions: {
        max: 1,
        prepare: true,
        connect_timeout: 3,
        idle_timeout: 0,
        max_lifetime: null,
        onnotice: () => {},
        onclose: () => {
          this.#alive = false;
        },
        connection: { application_name: "local-stack" },
        ...driverTypes,
      },
    });
    this.#driver = connection.driver;
    this.#close = () => connection.driver.end({ timeout: 0 });
    this.kysely = new Kysely({
      dialect: dialectOf({ acquire: () => Promise.resolve(this), release: () => {}, close: () => Promise.resolve() }),
    });
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  /** Runs one statement. */
  async execute(text: string, parameters: readonly unknown[] = []): Promise<postgres.RowList<postgres.Row[]>> {
    if (!this.#alive) throw new Error("CONNECTION_CLOSED before the statement was sent");
    const longest = Math.max(...parameters.map((value) => Array.isArray(value) ? value.length : 0));
    if (longest > maxElements) {
      throw new TooManyElements(`An argument has ${longest} elements, at most ${maxElements} are taken`);
    }
    const prepare = this.#prepared.has(text) || this.#prepared.size < preparedStatements;
    if (prepare) this.#prepared.add(text);
    try {
      // The driver serialises each value by the type that the server names for its parameter.
      const values = [...parameters] as postgres.ParameterOrJSON<never>[];
      return await this.#driver.unsafe(text, values, { prepare });
    } catch (error) {
      // An error that the server itself reported has a severity; anything else means that the connection is gone.
      if (!(error instanceof Error) || !("severity" in error) || error.severity === "FATAL") this.#alive = false;
      throw error;
    }
  }

  async executeQuery<R>(query: CompiledQuery) {
    const rows = await this.execute(query.sql, query.parameters);
    const changes = ["INSERT", "UPDATE", "DELETE", "MERGE"].includes(rows.command);
    // Rows have whatever shape the caller's query gives them; Kysely's drivers all assert it here.
    return { rows: [...rows] as R[], numAffectedRows: changes ? BigInt(rows.count) : undefined };
  }

  // deno-lint-ignore require-yield -- the interface wants it, nothing streams from the database.
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error("Streaming is not supported");
  }

  async close(): Promise<void> {
    this.#alive = false;
    await this.#close().catch(() => {});
  }
}

interface SlotSource {
  acquire(): Promise<Slot>;
  release(slot: Slot): void;
  close(): Promise<void>;
}

/** Lets Kysely run on connections of ours. */
export function dialectOf(source: SlotSource) {
  return {
    createAdapter: () => new PostgresAdapter(),
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
    createDriver: () => ({
      init: () => Promise.resolve(),
      acquireConnection: () => source.acquire(),
      async beginTransaction(slot: Slot) {
        await slot.execute("begin");
      },
      async commitTransaction(slot: Slot) {
        await slot.execute("commit");
      },
      async rollbackTransaction(slot: Slot) {
        await slot.execute("rollback");
      },
      releaseConnection: (slot: Slot) => Promise.resolve(source.release(slot)),
      destroy: () => source.close(),
    }),
  };
}

/**
 * Connections to one database. Built on the driver's single connections, because the driver's own pool loses one for
 * each request that arrives while the server is away: a reservation that failed is still handed a connection later.
 */
export class ConnectionPool implements SlotSource {
  #url: string;
  #size: number;
  #idle: Slot[] = [];
  #held = new Set<Slot>();
  #stale = new WeakSet<Slot>();
  #waiting: ((slot: Slot) => void)[] = [];

  constructor(url: string, size: number) {
    this.#url = url;
    this.#size = size;
  }

  /** A connection for the caller alone, until it is released. */
  async acquire(): Promise<Slot> {
    for (let slot = this.#idle.pop(); slot; slot = this.#idle.pop()) {
      if (slot.isAlive) return this.#hand(slot);
    }
    if (this.#held.size < this.#size) return this.#hand(new Slot(this.#url));
    const { promise, resolve } = Promise.withResolvers<Slot>();
    this.#waiting.push(resolve);
    const slot = await within(acquireTimeoutMs, promise);
    if (slot) return slot;
    const position = this.#waiting.indexOf(resolve);
    if (position < 0) return await promise;
    this.#waiting.splice(position, 1);
    throw new PoolTimeout("Timed out acquiring connection from connection pool.");
  }

  #hand(slot: Slot): Slot {
    this.#held.add(slot);
    return slot;
  }

  /** Gives a connection to the next caller, or puts it aside; one that broke is replaced. */
  release(slot: Slot): void {
    this.#held.delete(slot);
    if (!slot.isAlive || this.#stale.has(slot)) {
      slot.close();
      const next = this.#waiting.shift();
      if (next) next(this.#hand(new Slot(this.#url)));
      return;
    }
    const next = this.#waiting.shift();
    if (next) next(this.#hand(slot));
    else this.#idle.push(slot);
  }

  /** Replaces all connections, each as soon as it is free: what they prepared no longer fits the tables. */
  renew(): void {
    for (const slot of this.#idle.splice(0)) slot.close();
    for (const slot of this.#held) this.#stale.add(slot);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#idle.splice(0), ...this.#held].map((slot) => slot.close()));
  }
}
