/**
 * An outsider beside operators at work: what the operators notice, what memory and disk it costs, and whether everything
 * that was acknowledged is there afterwards.
 */
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { join } from "node:path";
import { type DurableStack, startDurableStack } from "../bench/durable_stack.ts";
import { connect } from "../local/postgres/bootstrap.ts";
import { inProject } from "../local/system/paths.ts";
import { residentBytes } from "../local/tests/testing.ts";
import { type Account, signUp } from "./accounts.ts";
import { type Figure, tally } from "./figures.ts";
import { hireOperators, type Operator, type Shift, workShift } from "./operators.ts";
import type { RaidResult } from "./outsider.ts";
import { type Item, items, type Raid } from "./raids.ts";
import { bytesOf, type StackProcesses, stackProcesses } from "./resources.ts";

const outsiderConnections = 50;
const operatorCount = 10;

const mebibyte = 1024 * 1024;
const inMebibytes = (bytes: number) => `${Math.round(bytes / mebibyte)} MB`;

/** Duration of each part, and the raids to run. */
export interface HostileOptions {
  quiet_s: number;
  raid_s: number;
  items: readonly Item[];
}

export const longForm: HostileOptions = { quiet_s: 6, raid_s: 14, items };

const titles: Record<Item, string> = {
  routes: "1 MB bodies on wrong routes",
  uploads: "uploads with bad tokens, 40 MB in chunks",
  rpc: "direct calls with arrays of 600,000 and megabytes to store",
  streams: "1,000 streams, WebSockets that never read",
  newcomer: "what a newcomer should not see, refused batches under keys",
  webhooks: "webhook endpoints",
  further: "sign-ups, wrong passwords, waiting feeds, documents",
};

/** The process that sends what an outsider sends. */
class Outsider {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #results: AsyncIterator<unknown>;

  constructor(readonly stack: DurableStack, readonly account: Account) {
    // at the least priority: an outsider's own work happens on a machine of their own
    this.#process = new Deno.Command("nice", {
      args: [
        "-n",
        "19",
        Deno.execPath(),
        "run",
        "--allow-net",
        "--allow-env",
        "--no-check",
        inProject("reliability", "outsider.ts"),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    this.#results = this.#process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      [Symbol.asyncIterator]();
  }

  async raid(item: Item, seconds: number): Promise<RaidResult> {
    const { supabaseUrl, publishableKey } = this.stack;
    const { token, user_id, email } = this.account;
    const raid: Raid = {
      item,
      seconds,
      connections: outsiderConnections,
      supabaseUrl,
      publishableKey,
      token,
      user_id,
      email,
    };
    await this.#stdin.write(new TextEncoder().encode(`${JSON.stringify(raid)}\n`));
    const { value, done } = await this.#results.next();
    if (done) throw new Error(`The outsider's process ended during "${item}"`);
    return JSON.parse(String(value));
  }

  async leave(): Promise<void> {
    await this.#stdin.close().catch(() => {});
    await this.#process.status;
  }
}

/** Watches how much memory a stack's processes hold. */
class MemoryWatch {
  readonly most = { gateway: 0, functions: 0 };
  #isOver = false;
  readonly #watching: Promise<void>;

  constructor(processes: StackProcesses) {
    this.#watching = (async () => {
      while (!this.#isOver) {
        for (const name of ["gateway", "functions"] as const) {
          this.most[name] = Math.max(this.most[name], await residentBytes(processes[name]));
        }
        await new Promise((resume) => setTimeout(resume, 500));
      }
    })();
  }

  async end(): Promise<{ gateway: number; functions: number }> {
    this.#isOver = true;
    await this.#watching;
    return this.most;
  }
}

/** Returns the bytes written to the write-ahead log, plus the size of the other files of the stack. */
async function writtenBytes({ folder, databaseUrl }: DurableStack): Promise<number> {
  const sql = connect(databaseUrl);
  try {
    const [row] = await sql<{ log: string }[]>`select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as log`;
    return Number(row?.log) + await bytesOf(join(folder, "data"), ["pg_wal"]) +
      await bytesOf(join(folder, "stack.log"));
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** A raid, and what the operators met meanwhile. */
interface Raided {
  item: Item;
  result: RaidResult;
  shift: Shift;
  memory: { gateway: number; functions: number };
}

/** Sends an outsider beside operators; see README.md. */
export async function hostile(options: HostileOptions = longForm): Promise<Figure[]> {
  const stack = await startDurableStack("kept", "usual");
  try {
    const operators = await hireOperators(stack, operatorCount);
    const outsider = new Outsider(stack, await signUp(stack, `outsider-${crypto.randomUUID()}@example.com`));
    try {
      return await measure(stack, operators, outsider, options);
    } finally {
      await outsider.leave();
    }
  } finally {
    await stack.stop();
  }
}

async function measure(
  stack: DurableStack,
  operators: Operator[],
  outsider: Outsider,
  { quiet_s, raid_s, items }: HostileOptions,
): Promise<Figure[]> {
  const processes = await stackProcesses(stack.pid);
  const quiet: Shift = { latencies_ms: [], failures: [], writes: 0 };
  const raids: Raided[] = [];
  let quiet_bytes = 0;
  let raids_bytes = 0;

  // once, so that everything is compiled, planned and cached
  await workShift(operators, quiet_s);
  const memory = new MemoryWatch(processes);
  const rest = async () => {
    const before = await writtenBytes(stack);
    const shift = await workShift(operators, quiet_s);
    quiet_bytes += await writtenBytes(stack) - before;
    quiet.latencies_ms.push(...shift.latencies_ms);
    quiet.failures.push(...shift.failures);
    quiet.writes += shift.writes;
  };
  await rest();
  const { gateway, functions } = await memory.end();
  for (const item of items) {
    const before = await writtenBytes(stack);
    const memory = new MemoryWatch(processes);
    const [shift, result] = await Promise.all([workShift(operators, raid_s), outsider.raid(item, raid_s)]);
    raids.push({ item, result, shift, memory: await memory.end() });
    raids_bytes += await writtenBytes(stack) - before;
    console.error(`         ${titles[item]}: ${result.sent} sent: ${counts(result)}`);
    await rest();
  }

  const quiet_p99_ms = percentile(quiet.latencies_ms, 0.99);
  const explained = quiet_bytes / quiet.writes * raids.reduce((sum, { shift }) => sum + shift.writes, 0);
  const grown = {
    gateway: Math.max(...raids.map(({ memory }) => memory.gateway)) - gateway,
    functions: Math.max(...raids.map(({ memory }) => memory.functions)) - functions,
  };
  const failures = raids.flatMap(({ shift }) => shift.failures);
  for (const failure of new Set(failures.map((failure) => failure.replaceAll(/[0-9a-f-]{36}/g, "...")))) {
    console.error(`         ${failure}`);
  }
  return [
    ...raids.map(({ item, result, shift }) => latencyFigure(item, result, shift, quiet_p99_ms)),
    {
      figure: "... requests of the operators that failed",
      bar: "0, raided or not",
      measured: `${failures.length} of ${
        raids.reduce((sum, { shift }) => sum + shift.latencies_ms.length, 0)
      } raided, ${quiet.failures.length} of ${quiet.latencies_ms.length} quiet; ${
        tally(failures.map((failure) => failure.split(" ")[0] ?? ""))
      }`,
      isMet: failures.length + quiet.failures.length === 0,
    },
    {
      figure: "... memory of gateway and functions at its peak",
      bar: "grows by less than 100 MB",
      measured: `${inMebibytes(grown.gateway)} and ${inMebibytes(grown.functions)}; ${
        raids.map(({ item, memory }) =>
          `${item} ${inMebibytes(memory.gateway - gateway)} and ${inMebibytes(memory.functions - functions)}`
        ).join(", ")
      }`,
      isMet: grown.gateway < 100 * mebibyte && grown.functions < 100 * mebibyte,
    },
    {
      figure: "... disk beyond what the operators' writes explain",
      bar: "grows by less than 50 MB",
      measured: `${inMebibytes(raids_bytes - explained)} (${inMebibytes(raids_bytes)}, of which ${
        inMebibytes(explained)
      } are the operators')`,
      isMet: raids_bytes - explained < 50 * mebibyte,
    },
    await integrity(stack, operators),
  ];
}

const counts = ({ answers }: RaidResult) =>
  Object.entries(answers).map(([answer, count]) => `${answer} x ${count}`).join("; ");

function latencyFigure(item: Item, result: RaidResult, shift: Shift, quiet_p99_ms: number): Figure {
  const p99_ms = percentile(shift.latencies_ms, 0.99);
  const held = Object.entries(result.held).map(([name, count]) => `, ${count} held: ${name}`).join("");
  return {
    figure: `Outsider, ${titles[item]}: the operators' p99`,
    bar: "at most doubles",
    measured: `${Math.round(quiet_p99_ms)} ms -> ${Math.round(p99_ms)} ms (${
      (p99_ms / quiet_p99_ms).toFixed(1)
    }x), longest ${Math.round(percentile(shift.latencies_ms, 1))} ms; ${result.sent} sent${held}`,
    isMet: p99_ms <= 2 * quiet_p99_ms,
  };
}

/** Every acknowledged event is there once, and every operation is what its events say. */
async function integrity({ databaseUrl }: DurableStack, operators: Operator[]): Promise<Figure> {
  const sql = connect(databaseUrl);
  try {
    const acknowledged = operators.flatMap(({ acknowledged }) => acknowledged);
    const stored = await sql<{ id: string }[]>`select id from public.operation_events`;
    const isThere = new Set(stored.map(({ id }) => id));
    const missing = acknowledged.filter((id) => !isThere.has(id)).length;
    const [row] = await sql<{ count: number }[]>`select count(*)::integer as count from app.divergent_operations()`;
    const twice = acknowledged.length - new Set(acknowledged).size;
    return {
      figure: "... integrity afterwards",
      bar: "no acknowledged write missing, rebuild: 0 differ",
      measured: `${missing} of ${acknowledged.length} missing, ${row?.count} differ`,
      isMet: missing === 0 && twice === 0 && row?.count === 0,
    };
  } finally {
    await sql.end({ timeout: 1 });
  }
}
