/**
 * The time that PostgreSQL spends on a request, beside a floor on the same server: the least that a database could do
 * for the same answer. Part of `deno task bench`; alone: `deno run -A bench/sql.ts [rounds]`.
 *
 * @module
 */
import postgres from "postgres";
import { startDurableStack } from "./durable_stack.ts";
import { median } from "./median.ts";
import { table } from "./table.ts";

/** What one transaction took. */
interface Times {
  /** What PostgreSQL says that its messages took. */
  ms: number;
  /** What its client waited, with the way there and back. */
  waited_ms: number;
}

/** Times of one kind of request. */
export interface SqlFigures extends Times {
  what: string;
  floor?: Times;
  /** The floor's statements on the tables themselves, which have constraints and triggers. */
  guarded?: Times;
  /** The middles of the rounds' ratios. */
  ratio?: number;
  waitedRatio?: number;
  /** The most that the ratio may be. */
  bar?: number;
}

const operationCount = 60_000;
/** The last ones run from the beginning; their STARTs are the events that are listed. */
const runningCount = 3_000;
const firstRunning = operationCount - runningCount;
/** The first page of the list is left as it is. */
const firstToStart = 200;
/** Those that no request touches, for the tables' own part of the cost. */
const firstGuarded = 30_000;
const workplaces = Array.from({ length: 20 }, (_, i) => `Cost ${i + 1}`);
const supervisor = { sub: "5a5a5a5a-0000-4000-8000-000000000001", role: "authenticated", email: "cost@example.com" };

const plant = `
  insert into auth.users (id, email) values ('${supervisor.sub}', '${supervisor.email}');
  insert into public.workplaces (name) select unnest('{${workplaces}}'::text[]);
  update public.profiles set role = 'supervisor', workplace_access = '{${workplaces}}' where id = '${supervisor.sub}';
  insert into public.mes_operations (
    order_no, asset_id, operation_no, workplace_name, workplace_group, activity_code, activity_description, state,
    planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, timestamp_ms, change_type
  )
  select
    'A' || lpad((i / 10)::text, 8, '0'), 1, lpad((i % 10 * 10 + 10)::text, 4, '0'),
    ('{${workplaces}}'::text[])[1 + i / 10 % ${workplaces.length}], 'Group ' || i / 10 % 4,
    'LASER', 'Cut sheet 3 mm, see drawing', 'RELEASED',
    '2026-11-24T08:00Z', '2026-11-24T10:00Z', 90.5, 12, '2026-11-22T15:00Z', 'INSERT'
  from generate_series(0, ${operationCount - 1}) i`;

/** Copies a table: same columns, indexes and rows; no triggers, rules or checks. */
const floorTable = (name: string, columns: string) => `
  create table floor.${name} (like public.${name} including generated including identity including indexes)
    with (fillfactor = 85);
  insert into floor.${name} (${columns}) overriding system value select ${columns} from public.${name}`;

interface Operation {
  order_no: string;
  asset_id: number;
  operation_no: string;
  workplace_name: string;
}

/** The n-th operation of the plant. */
function operationOf(n: number): Operation {
  return {
    order_no: `A${String(Math.floor(n / 10)).padStart(8, "0")}`,
    asset_id: 1,
    operation_no: String(n % 10 * 10 + 10).padStart(4, "0"),
    workplace_name: workplaces[Math.floor(n / 10) % workplaces.length] ?? "",
  };
}

type Value = string | number | null;
type Row = Record<string, Value>;

/** What the Data API sets for a request, the role last. */
const contextStatement = `select set_config('statement_timeout', '8s', true), set_config('lock_timeout', '8s', true),
  set_config('request.jwt.claims', $1, true), set_config('role', 'authenticated', true)`;

/** A connection that adds up what PostgreSQL says that each message took. */
class TimedConnection {
  #ms = 0;
  readonly #sql: postgres.Sql;

  constructor(databaseUrl: string) {
    this.#sql = postgres(databaseUrl, {
      max: 1,
      fetch_types: false,
      onnotice: ({ message }) => this.#ms += Number(/^duration: ([\d.]+) ms/.exec(message ?? "")?.[1] ?? 0),
    });
  }

  /** Lets PostgreSQL tell its times. Commits do not wait for the disk, since the floor's would wait as long. */
  async open(): Promise<void> {
    await this.#sql.unsafe(
      "set synchronous_commit = off; set log_min_messages = panic; set client_min_messages = log; set log_duration = on",
    ).simple();
  }

  /** Runs a prepared statement. */
  async run(query: string, parameters: Value[] = []): Promise<Row[]> {
    return await this.#sql.unsafe<Row[]>(query, parameters, { prepare: true });
  }

  /** Times what a supervisor asks for, as the Data API does, with its commit. */
  async timeRequest(query: string, parameters: Value[]): Promise<Times> {
    await this.run("begin");
    await this.run(contextStatement, [JSON.stringify(supervisor)]);
    return await this.#timed(() => this.run(query, parameters));
  }

  /** Times statements of the owner in one transaction, with its commit. */
  async timeFloor(run: () => Promise<unknown>): Promise<Times> {
    await this.run("begin");
    return await this.#timed(run);
  }

  async #timed(run: () => Promise<unknown>): Promise<Times> {
    this.#ms = 0;
    const began = performance.now();
    await run();
    await this.run("commit");
    return { ms: this.#ms, waited_ms: performance.now() - began };
  }

  async end(): Promise<void> {
    await this.#sql.end();
  }
}

/** A kind of request and its floor. */
interface Case {
  what: string;
  bar?: number;
  /** Per round. */
  calls: number;
  request(): Promise<Times>;
  floor?(): Promise<Times>;
  guarded?(): Promise<Times>;
}

function readingCases(db: TimedConnection): Case[] {
  let at = 0;
  const key = ({ order_no, asset_id, operation_no }: Operation) => [order_no, asset_id, operation_no];
  const page = (table: string, order: string) =>
    db.timeFloor(() =>
      db.run(`select json_agg(to_json(t)) from (select * from public.${table} order by ${order} limit 100) t`)
    );
  return [
    {
      what: "GET one operation",
      bar: 2,
      calls: 200,
      request: () =>
        db.timeRequest(
          "select public.get_operation(order_no => $1, asset_id => $2, operation_no => $3)",
          key(operationOf(at = (at + 7_919) % operationCount)),
        ),
      floor: () =>
        db.timeFloor(() =>
          db.run(
            "select to_json(o) from public.mes_operations o where order_no = $1 and asset_id = $2 and operation_no = $3",
            key(operationOf(at)),
          )
        ),
    },
    {
      what: "list of 100 operations",
      bar: 1.8,
      calls: 20,
      request: () => db.timeRequest("select public.list_operations(skip => $1, take => $2)", [0, 100]),
      floor: () => page("mes_operations", "order_no, operation_no, asset_id"),
    },
    {
      what: "list of 100 events",
      calls: 20,
      request: () => db.timeRequest("select public.list_events(skip => $1, take => $2)", [0, 100]),
      floor: () => page("operation_events", "created_at desc, id desc"),
    },
  ];
}

/** What an action writes: into the event, and into the row of its operation. */
interface Written {
  status_before: string;
  status_after: string;
  phase: string | null;
  qty_good: number;
  set: string;
}

const written: Record<string, Written> = {
  REPORT_QUANTITY: {
    status_before: "IN_PROGRESS",
    status_after: "IN_PROGRESS",
    phase: null,
    qty_good: 1,
    set: "qty_processed = qty_processed + 1, counted_since = clock_timestamp()",
  },
  START: {
    status_before: "RELEASED",
    status_after: "IN_PROGRESS",
    phase: "PROCESSING",
    qty_good: 0,
    set: `state = 'IN_PROGRESS', actual_start_at = clock_timestamp(), running_since = clock_timestamp(),
      running_phase = 'PROCESSING', run_count = 1, worked_until = clock_timestamp(),
      t_actual_processing_min = 0, t_actual_setup_min = 0`,
  },
  FINISH: {
    status_before: "IN_PROGRESS",
    status_after: "FINISHED",
    phase: null,
    qty_good: 0,
    set: `state = 'FINISHED', actual_end_at = clock_timestamp(), running_since = null, running_phase = null,
      worked_until = clock_timestamp(), t_actual_processing_min = 1, t_actual_lead_min = 1, logged_processing_min = 1`,
  },
};

/** The same report without rules: the row is locked, the event inserted, the row updated. */
async function writeFloor(
  db: TimedConnection,
  operation: Operation,
  action: string,
  schema: "floor" | "public" = "floor",
): Promise<void> {
  const { set, ...event } = written[action] ?? fail(action);
  const [row] = await db.run(
    `select * from ${schema}.mes_operations where order_no = $1 and asset_id = $2 and operation_no = $3 for update`,
    [operation.order_no, operation.asset_id, operation.operation_no],
  );
  await db.run(
    `insert into ${schema}.operation_events (id, operation_id, op_seq, action_type, order_no, asset_id, operation_no,
       workplace_name, user_id, reporter_id, status_before, status_after, phase, qty_good, qty_scrap,
       qty_parked, occurred_at, created_at)
     values (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11, $12, 0,
       0, clock_timestamp(), clock_timestamp())`,
    [
      row?.id ?? null,
      Number(row?.last_op_seq) + 1,
      action,
      operation.order_no,
      operation.asset_id,
      operation.operation_no,
      operation.workplace_name,
      supervisor.sub,
      event.status_before,
      event.status_after,
      event.phase,
      event.qty_good,
    ],
  );
  await db.run(
    `update ${schema}.mes_operations
     set ${set}, last_op_seq = last_op_seq + 1, version = version + 1, updated_at = clock_timestamp()
     where order_no = $1 and asset_id = $2 and operation_no = $3`,
    [operation.order_no, operation.asset_id, operation.operation_no],
  );
}

function fail(action: string): never {
  throw new Error(`No floor is defined for ${action}`);
}

function commandCases(db: TimedConnection): Case[] {
  const command = (
    action_type: string,
    bar: number,
    at: (count: number, first?: number) => number,
    more = {},
  ): Case => {
    let requests = 0;
    let floors = 0;
    let guarded = 0;
    return {
      what: action_type,
      bar,
      calls: 100,
      request: () =>
        db.timeRequest("select public.report_event(report => $1::text::jsonb)", [
          JSON.stringify({ action_type, ...operationOf(at(requests++)), ...more }),
        ]),
      floor: () => db.timeFloor(() => writeFloor(db, operationOf(at(floors++)), action_type)),
      guarded: () =>
        db.timeFloor(() => writeFloor(db, operationOf(at(guarded++, firstGuarded)), action_type, "public")),
    };
  };
  const batch = JSON.stringify(Array.from({ length: 1_000 }, (_, i) => ({
    action_type: "REPORT_QUANTITY",
    ...operationOf(firstRunning + i % 200),
    qty_good: 1,
  })));
  return [
    command("REPORT_QUANTITY", 1.5, (count) => firstRunning + 200 + count % (runningCount - 200), { qty_good: 1 }),
    command("START", 2, (count, first = firstToStart) => first + count),
    // those that START has started
    command("FINISH", 2, (count, first = firstToStart) => first + count),
    {
      what: "batch of 1,000 REPORT_QUANTITY",
      calls: 1,
      request: () => db.timeRequest("select public.report_events(reports => $1::text::jsonb)", [batch]),
    },
  ];
}

async function fill(owner: postgres.Sql): Promise<void> {
  await owner.unsafe(plant).simple();
  for (let at = 0; at < runningCount; at += 1_000) {
    const starts = Array.from(
      { length: 1_000 },
      (_, i) => ({ action_type: "START", ...operationOf(firstRunning + at + i) }),
    );
    await owner.begin(async (tx) => {
      await tx`set local role service_role`;
      await tx`select public.report_events(${JSON.stringify(starts)}::text::jsonb)`;
    });
  }
  await owner.unsafe("create schema floor").simple();
  for (const name of ["mes_operations", "operation_events"]) {
    const [row] = await owner<{ columns: string }[]>`
      select string_agg(attname, ', ' order by attnum) as columns from pg_attribute
      where attrelid = ${`public.${name}`}::regclass and attnum > 0 and not attisdropped and attgenerated = ''`;
    await owner.unsafe(floorTable(name, row?.columns ?? "")).simple();
    for (const schema of ["public", "floor"]) await owner.unsafe(`vacuum (analyze) ${schema}.${name}`).simple();
  }
}

/**
 * Fills the database with a plant, and measures all kinds of requests and their floors, rounds in turn.
 *
 * @param databaseUrl The database as the owner of all tables, of a server whose superuser is `supabase_admin`.
 */
export async function measureSql(databaseUrl: string, rounds: number): Promise<SqlFigures[]> {
  const superuserUrl = databaseUrl.replace("//postgres:", "//supabase_admin:");
  const owner = postgres(superuserUrl, { max: 1, onnotice: () => {} });
  const db = new TimedConnection(superuserUrl);
  try {
    await fill(owner);
    await db.open();
    const measured = [...readingCases(db), ...commandCases(db)].map((of): Measured => ({
      of,
      requests: [],
      floors: [],
      guarded: [],
    }));
    // the first round is a warm-up
    for (let round = -1; round < rounds; round++) {
      for (const { of: { calls, request, floor, guarded: guard }, requests, floors, guarded } of measured) {
        const [times, floorTimes, guardedTimes]: [Times[], Times[], Times[]] = [[], [], []];
        for (let call = 0; call < calls; call++) {
          times.push(await request());
          if (floor !== undefined) floorTimes.push(await floor());
          if (guard !== undefined) guardedTimes.push(await guard());
        }
        if (round < 0) continue;
        requests.push(middle(times));
        if (floor !== undefined) floors.push(middle(floorTimes));
        if (guard !== undefined) guarded.push(middle(guardedTimes));
      }
    }
    return measured.map(figuresOf);
  } finally {
    await db.end();
    await owner.unsafe("drop schema if exists floor cascade").simple();
    await owner.end();
  }
}

/** Medians of the rounds. */
interface Measured {
  of: Case;
  requests: Times[];
  floors: Times[];
  guarded: Times[];
}

const middle = (times: Times[]): Times => ({
  ms: median(times.map(({ ms }) => ms)),
  waited_ms: median(times.map(({ waited_ms }) => waited_ms)),
});

function figuresOf({ of: { what, bar }, requests, floors, guarded }: Measured): SqlFigures {
  if (floors.length === 0) return { what, ...middle(requests) };
  const ratio = (of: keyof Times) => median(requests.map((times, round) => times[of] / (floors[round]?.[of] ?? NaN)));
  return {
    what,
    ...middle(requests),
    floor: middle(floors),
    guarded: guarded.length > 0 ? middle(guarded) : undefined,
    ratio: ratio("ms"),
    waitedRatio: ratio("waited_ms"),
    bar,
  };
}

const fixed = (value: number | undefined) => value?.toFixed(value < 10 ? 2 : 0);

/** The figures as a table. */
export function sqlTable(figures: SqlFigures[]): string {
  return table(figures.map(({ what, ms, waited_ms, floor, guarded, ratio, waitedRatio, bar }) => ({
    "in SQL": what,
    "ms": fixed(ms),
    "floor ms": fixed(floor?.ms),
    "guarded ms": fixed(guarded?.ms),
    "of the floor": fixed(ratio),
    "waited ms": fixed(waited_ms),
    "floor waited ms": fixed(floor?.waited_ms),
    "of the floor, waited": fixed(waitedRatio),
    "at most": bar?.toFixed(1),
  })));
}

if (import.meta.main) {
  const stack = await startDurableStack();
  try {
    console.log(sqlTable(await measureSql(stack.databaseUrl, Number(Deno.args[0] ?? 7))));
  } finally {
    await stack.stop();
  }
  Deno.exit(0);
}
