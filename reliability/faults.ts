/** Faults: connections killed, the database away, the machine's plug pulled. Nothing acknowledged is lost, nothing twice. */
import { join } from "node:path";
import { connect } from "../local/postgres/bootstrap.ts";
import type { Stack } from "../local/stack.ts";
import { descendants, endBy, haveEnded, startAndWait } from "../local/tests/testing.ts";
import { type Figure, tally } from "./figures.ts";
import {
  type Address,
  type Answered,
  newWrite,
  observe,
  send,
  sendWrite,
  startOperations,
  type Write,
} from "./writer.ts";

/** Outcome of a number of writes. */
export class Account {
  readonly attempted: Write[] = [];
  readonly acknowledged: string[] = [];
  readonly answers: Answered[] = [];
  readonly ids: string[] = [];

  note(write: Write, answer: Answered): boolean {
    this.answers.push(answer);
    const isAcknowledged = answer.status === 201 || answer.status === 200;
    if (isAcknowledged) {
      this.acknowledged.push(write.id);
      this.ids.push(JSON.parse(answer.text).id);
    }
    return isAcknowledged;
  }

  /** Answers that a client cannot simply send again. */
  get unexpected(): Answered[] {
    return this.answers.filter(({ status, hasRetryAfter }) =>
      ![200, 201].includes(status) && !(status === 503 && hasRetryAfter) && !(status === 409 && hasRetryAfter)
    );
  }
}

export const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** Counts the operations that differ from their events. */
export async function divergent(databaseUrl: string): Promise<number> {
  const sql = connect(databaseUrl);
  try {
    const [row] = await sql<{ count: number }[]>`select count(*)::integer as count from app.divergent_operations()`;
    return row?.count ?? NaN;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Operations that differ from what their events say. */
export async function rebuilt({ databaseUrl }: { databaseUrl: string }): Promise<Figure> {
  const count = await divergent(databaseUrl);
  return {
    figure: "Every operation rebuilt from its events",
    bar: "0 differ",
    measured: `${count} differ`,
    isMet: count === 0,
  };
}

/** The Data API's connections are killed at random while clients write and try again. */
export async function killConnections(stack: Stack, writes: number): Promise<Figure> {
  const address = { url: stack.url, secretKey: stack.keys.secretKey };
  const operations = await startOperations(address, 20);
  const account = new Account();
  let killed = 0;
  let isOver = false;
  const sql = connect(stack.databaseUrl.replace("postgres:", "supabase_admin:"));
  const killer = (async () => {
    while (!isOver) {
      const rows = await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where usename = 'authenticator' order by state = 'active' desc, random() limit ${
        1 + Math.floor(Math.random() * 3)
      }`;
      killed += rows.length;
      await pause(20 + Math.random() * 60);
    }
  })();
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (account.attempted.length < writes) {
      const operation = operations[account.attempted.length % operations.length];
      if (operation === undefined) throw new Error("There are no operations");
      const write = newWrite(operation);
      account.attempted.push(write);
      while (!account.note(write, await sendWrite(address, write))) {
        // again, with the same key
      }
    }
  }));
  isOver = true;
  await killer;
  await sql.end({ timeout: 1 });
  const { pieces, ids, isInSequence } = await observe(address, operations);
  const [acknowledged, attempted] = [account.acknowledged.length, account.attempted.length];
  const isThere = new Set(ids);
  const isMet = acknowledged === attempted && pieces === attempted && ids.length === attempted &&
    account.acknowledged.every((id) => isThere.has(id)) && isInSequence && account.unexpected.length === 0 &&
    killed > 20;
  return {
    figure: `Connections killed during ${writes} writes`,
    bar: "acknowledged <= observed <= attempted, nothing twice",
    measured: `${acknowledged} <= ${pieces} <= ${attempted}, ${ids.length} events; ${killed} killed; ${
      tally(account.answers.map(({ status }) => status))
    }`,
    isMet,
  };
}

async function functionsProcess(): Promise<string> {
  const pids = await descendants(Deno.pid);
  const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "pid=,args="], stdout: "piped" }).output();
  return new TextDecoder().decode(stdout).split("\n").map((line) => line.trim())
    .filter((line) => line.includes("functions_host.ts") && pids.includes(Number.parseInt(line)))
    .map((line) => String(Number.parseInt(line))).join(" ");
}

/** The database is stopped under load and started again. */
export async function stopDatabase(stack: Stack, outages: number, away_ms: number): Promise<Figure[]> {
  const address = { url: stack.url, secretKey: stack.keys.secretKey };
  const operations = await startOperations(address, 8);
  const account = new Account();
  const reads: Answered[] = [];
  let isOver = false;
  const before = await functionsProcess();
  const load = Promise.all(Array.from({ length: 16 }, async (_, index) => {
    const operation = operations[index % operations.length];
    if (operation === undefined) throw new Error("There are no operations");
    const { order_no, asset_id, operation_no } = operation;
    for (let turn = 0; !isOver; turn++) {
      const write = newWrite(operation);
      account.attempted.push(write);
      while (!account.note(write, await sendWrite(address, write)) && !isOver) await pause(50);
      reads.push(await send(address, "GET", `/operations/v1/${order_no}/${asset_id}/${operation_no}`));
    }
  }));
  let slowestReturn = 0;
  let unavailable = 0;
  for (let outage = 0; outage < outages; outage++) {
    await pause(1000);
    const stopped = performance.now();
    await stack.database.stop();
    await pause(away_ms);
    await stack.database.start();
    const returned = performance.now();
    // a rejected request after the restart counts
    await pause(5500);
    const all = [...account.answers, ...reads].filter(({ at }) => at > stopped);
    const refused = all.filter(({ status }) => status >= 500 || status === 0).map(({ at }) => at);
    unavailable += refused.length;
    slowestReturn = Math.max(slowestReturn, Math.max(...refused, returned) - returned);
    if (!all.some(({ at, status }) => status < 300 && at > returned)) slowestReturn = Infinity;
  }
  isOver = true;
  await load;
  const after = await functionsProcess();
  const answers = [...account.answers, ...reads];
  const slowest = Math.max(...answers.map(({ took_ms }) => took_ms));
  const others = answers.filter(({ status, hasRetryAfter }) =>
    ![200, 201].includes(status) && !([409, 503].includes(status) && hasRetryAfter)
  );
  const { pieces, ids } = await observe(address, operations);
  const isThere = new Set(ids);
  const lost = account.acknowledged.filter((id) => !isThere.has(id)).length;
  return [
    {
      figure: `Database stopped ${outages}x for ${away_ms / 1000} s under load: answers`,
      bar: "only 503 with Retry-After in between",
      measured: `${tally(answers.map(({ status }) => status))}; ${others.length} others`,
      isMet: others.length === 0 && unavailable > 0,
    },
    {
      figure: "... slowest answer",
      bar: "< 10 s",
      measured: `${(slowest / 1000).toFixed(1)} s`,
      isMet: slowest < 10_000,
    },
    {
      figure: "... normal again after its return",
      bar: "< 5 s, functions not restarted",
      measured: `${(slowestReturn / 1000).toFixed(1)} s, ${before === after ? "the same process" : "RESTARTED"}`,
      isMet: slowestReturn < 5000 && before === after && before !== "",
    },
    {
      figure: "... writes",
      bar: "acknowledged <= observed <= attempted, nothing twice",
      measured: `${account.acknowledged.length} <= ${pieces} <= ${account.attempted.length}, ${lost} lost`,
      isMet: lost === 0 && pieces === ids.length && account.acknowledged.length <= pieces &&
        pieces <= account.attempted.length,
    },
  ];
}

/** Every process of a stack is killed at once while clients write; its data folder is started again. */
export async function killStack(kills: number): Promise<Figure[]> {
  const folder = await Deno.makeTempDir({ prefix: "mes-reliability-" });
  // the database's account passes through
  await Deno.chmod(folder, 0o755);
  const args = ["--data-dir", join(folder, "data"), "--no-seed"];
  const account = new Account();
  let operations: Awaited<ReturnType<typeof startOperations>> = [];
  let slowestStart = 0;
  let lost = 0;
  let inFlight = 0;
  let differing = 0;
  let counts = "";
  let isAllThere = true;
  try {
    for (let kill = 0; kill <= kills; kill++) {
      const began = performance.now();
      const started = await startAndWait(args);
      if (kill > 0) slowestStart = Math.max(slowestStart, performance.now() - began);
      const { SUPABASE_URL: url = "", SUPABASE_SECRET_KEY: secretKey = "", DATABASE_URL = "" } = started.settings;
      const address: Address = { url, secretKey };
      if (kill === 0) operations = await startOperations(address, 8);
      const seen = new Set((await observe(address, operations)).ids);
      lost += account.acknowledged.filter((id) => !seen.has(id)).length;
      // those that were not answered are sent again, as a terminal does
      const open = account.attempted.filter(({ id }) => !account.acknowledged.includes(id));
      inFlight += open.length;
      for (const write of open) account.note(write, await sendWrite(address, write));
      if (kill === kills) {
        const { pieces, ids, isInSequence } = await observe(address, operations);
        differing = await divergent(DATABASE_URL);
        counts =
          `${account.acknowledged.length} acknowledged, ${pieces} observed, ${account.attempted.length} attempted`;
        isAllThere = isInSequence && pieces === account.attempted.length && ids.length === pieces &&
          account.acknowledged.length === pieces;
        await endBy("SIGTERM", started);
        break;
      }
      let isOver = false;
      const writing = Promise.all(operations.map(async (operation) => {
        while (!isOver) {
          const write = newWrite(operation);
          account.attempted.push(write);
          if (!account.note(write, await sendWrite(address, write))) return;
        }
      }));
      await pause(500 + Math.random() * 1500);
      const processes = [...await descendants(started.process.pid)];
      started.process.kill("SIGKILL");
      for (const pid of processes) {
        try {
          Deno.kill(pid, "SIGKILL");
        } catch {
          // it has ended with its parent
        }
      }
      isOver = true;
      await Promise.all([writing, started.process.status]);
      if (!await haveEnded(processes)) throw new Error("A process of the killed stack is still there");
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return [
    {
      figure: `Stack killed with SIGKILL ${kills}x during writes`,
      bar: "no acknowledged write lost, nothing twice",
      measured: `${lost} lost; ${counts}; ${inFlight} in flight, sent again`,
      isMet: lost === 0 && isAllThere && differing === 0,
    },
    {
      figure: "... started again on the same data",
      bar: "works by itself",
      measured: `${(slowestStart / 1000).toFixed(1)} s at most`,
      isMet: true,
    },
  ];
}
