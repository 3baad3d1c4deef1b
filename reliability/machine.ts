/** Faults of the machine: a full disk, a clock that steps, SIGTERM. */
import { join } from "node:path";
import { connect } from "../local/postgres/bootstrap.ts";
import { endBy, startAndWait, type StartedCommand } from "../local/tests/testing.ts";
import { signUp } from "./accounts.ts";
import { Account, divergent, pause } from "./faults.ts";
import { type Figure, tally } from "./figures.ts";
import {
  type Address,
  type Answered,
  newWrite,
  observe,
  type RunningOperation,
  send,
  sendWrite,
  startOperations,
} from "./writer.ts";

/** A figure that cannot be measured on this machine: named, and no miss. */
const skipped = (figure: string, bar: string, why: string): Figure => ({
  figure,
  bar,
  measured: `skipped: ${why}`,
  isMet: true,
});

/** Runs a command and returns true when it succeeded. */
async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

function addressOf({ settings }: StartedCommand): Address & { databaseUrl: string; publishableKey: string } {
  const { SUPABASE_URL: url = "", SUPABASE_SECRET_KEY: secretKey = "" } = settings;
  const { DATABASE_URL: databaseUrl = "", SUPABASE_PUBLISHABLE_KEY: publishableKey = "" } = settings;
  return { url, secretKey, databaseUrl, publishableKey };
}

/** Writes until the file system has no room, and returns the file that takes it all. */
async function fill(folder: string): Promise<string> {
  const path = join(folder, "filling");
  const file = await Deno.open(path, { create: true, write: true });
  try {
    for (let bytes = new Uint8Array(1024 * 1024); bytes.length > 0;) {
      try {
        await file.write(bytes);
      } catch {
        bytes = bytes.subarray(0, Math.floor(bytes.length / 2));
      }
    }
  } finally {
    file.close();
  }
  return path;
}

const writesBar = "acknowledged <= observed <= attempted, nothing twice, 0 differ";
const noRoom = "Disk of 200 MB full for 10 s while 8 clients write: answers";

/** A stack on a disk of 200 MB, which is filled while clients write, and emptied again. */
export async function fillDisk(): Promise<Figure[]> {
  const folder = await Deno.makeTempDir({ prefix: "mes-reliability-disk-" });
  await Deno.chmod(folder, 0o755);
  if (!await succeeds("mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "tmpfs", folder)) {
    await Deno.remove(folder);
    return [skipped(noRoom, "only 2xx, 4xx and 503", "mounting is not allowed here")];
  }
  try {
    const started = await startAndWait(["--data-dir", join(folder, "data"), "--no-seed"]);
    try {
      return await writeWithoutRoom(addressOf(started), folder);
    } finally {
      await endBy("SIGTERM", started);
    }
  } finally {
    // its processes may need a moment to let go of it
    for (let attempt = 0; attempt < 20 && !await succeeds("umount", folder); attempt++) await pause(250);
    await Deno.remove(folder).catch(() => {});
  }
}

async function writeWithoutRoom(address: ReturnType<typeof addressOf>, folder: string): Promise<Figure[]> {
  const operations = await startOperations(address, 8);
  const account = new Account();
  const health: { at: number; text: string }[] = [];
  let isOver = false;
  const writing = Promise.all(operations.map(async (operation) => {
    while (!isOver) {
      const write = newWrite(operation);
      account.attempted.push(write);
      while (!account.note(write, await sendWrite(address, write)) && !isOver) await pause(100);
    }
  }));
  const asking = (async () => {
    while (!isOver) {
      const { at, status, text } = await send(address, "GET", "/operations/health");
      health.push({ at, text: `${status} ${/"status": *"?(\w+)/.exec(text)?.[1] ?? ""}` });
      await pause(250);
    }
  })();
  await pause(1000);
  const filled = performance.now();
  const path = await fill(folder);
  // what the server has in reserve is used up, so that it needs room at once
  const isRefused = () => account.answers.some(({ at, status }) => at > filled && status >= 500);
  while (!isRefused() && performance.now() - filled < 20_000) {
    const sql = connect(address.databaseUrl.replace("postgres:", "supabase_admin:"));
    await sql`select pg_switch_wal()`.catch(() => {});
    await sql.end({ timeout: 1 }).catch(() => {});
    await pause(200);
  }
  await pause(10_000);
  await Deno.remove(path);
  const freed = performance.now();
  await pause(15_000);
  isOver = true;
  await Promise.all([writing, asking]);

  const others = account.answers.filter(({ status }) => status === 0 || status >= 500 && status !== 503);
  const refused = account.answers.filter(({ at, status }) => at > filled && (status >= 500 || status === 0));
  const lastRefused = Math.max(...refused.map(({ at }) => at), freed);
  const worksAgain = account.answers.some(({ at, status }) => at > lastRefused && status < 300);
  const firstRefused = Math.min(...refused.map(({ at }) => at));
  // it may have been asked a moment before
  const meanwhile = health.filter(({ at }) => at > firstRefused + 5_000 && at < freed).map(({ text }) => text);
  return [
    {
      figure: noRoom,
      bar: "only 2xx, 4xx and 503",
      measured: `${tally(account.answers.map(({ status }) => status))}; ${others.length} others${
        others[0] === undefined ? "" : `, such as ${others[0].text.slice(0, 200)}`
      }`,
      isMet: others.length === 0 && refused.length > 0,
    },
    {
      figure: "... in service again once there is room",
      bar: "< 10 s, by itself",
      measured: worksAgain ? `${((lastRefused - freed) / 1000).toFixed(1)} s` : "never",
      isMet: worksAgain && lastRefused - freed < 10_000,
    },
    {
      figure: "... health meanwhile",
      bar: "degraded or 503 while writes are refused, ok afterwards",
      measured: `${tally(meanwhile)}; afterwards ${health.at(-1)?.text}`,
      isMet: meanwhile.length > 0 && !meanwhile.includes("200 ok") && health.at(-1)?.text === "200 ok",
    },
    worksAgain ? await writesThere(address, account, operations) : {
      figure: "... writes",
      bar: writesBar,
      measured: "not to be seen: the database does not answer",
      isMet: false,
    },
  ];
}

async function writesThere(
  address: ReturnType<typeof addressOf>,
  account: Account,
  operations: RunningOperation[],
): Promise<Figure> {
  const { pieces, ids } = await observe(address, operations);
  const isThere = new Set(ids);
  const lost = account.acknowledged.filter((id) => !isThere.has(id)).length;
  const differing = await divergent(address.databaseUrl);
  const [acknowledged, attempted] = [account.acknowledged.length, account.attempted.length];
  return {
    figure: "... writes",
    bar: writesBar,
    measured: `${acknowledged} <= ${pieces} <= ${attempted}, ${lost} lost, ${differing} differ`,
    isMet: lost === 0 && differing === 0 && pieces === ids.length && acknowledged <= pieces && pieces <= attempted,
  };
}

const stepsBack = "Server clock 10 minutes back while operations run";

/** Returns the library of Debian's package faketime; undefined where it is not installed. */
async function faketimeLibrary(): Promise<string | undefined> {
  const candidates = [
    Deno.env.get("FAKETIME_LIBRARY") ?? "",
    ...["x86_64", "aarch64"].map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`),
  ];
  for (const path of candidates) {
    if (path !== "" && await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
}

/** A stack whose database and gateway have a clock that steps back while work is running. */
export async function clockSteps(): Promise<Figure[]> {
  const library = await faketimeLibrary();
  if (library === undefined) {
    return [skipped(stepsBack, "everything reported is recorded", "faketime is not installed")];
  }
  const folder = await Deno.makeTempDir({ prefix: "mes-reliability-clock-" });
  await Deno.chmod(folder, 0o755);
  const clock = join(folder, "clock");
  const setClock = async (offset: string) => {
    await Deno.writeTextFile(clock, `${offset}\n`);
    await Deno.chmod(clock, 0o644);
    await pause(200);
  };
  try {
    await setClock("+0");
    const started = await startAndWait(["--data-dir", join(folder, "data"), "--no-seed"], {
      env: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
        DONT_FAKE_MONOTONIC: "1",
      },
    });
    try {
      return await reportAcrossSteps(addressOf(started), setClock);
    } finally {
      await setClock("+0");
      await endBy("SIGTERM", started);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function reportAcrossSteps(
  address: ReturnType<typeof addressOf>,
  setClock: (offset: string) => Promise<void>,
): Promise<Figure[]> {
  const operations = await startOperations(address, 6);
  const { headers } = await signUp(
    { supabaseUrl: address.url, publishableKey: address.publishableKey },
    "a@example.com",
  );
  const before = await clockOf(address);
  await setClock("-10m");
  const stepped_min = (await clockOf(address) - before) / 60_000;

  const report = (body: Record<string, unknown>) => send(address, "POST", "/events/v1", body, crypto.randomUUID());
  const untimed: Answered[] = [];
  const timed: Answered[] = [];
  for (const operation of operations) {
    for (
      const action of [{ action_type: "REPORT_QUANTITY", qty_good: 1 }, { action_type: "STOP" }, {
        action_type: "START",
      }]
    ) {
      untimed.push(await report({ ...operation, ...action }));
    }
    // as a terminal does whose own clock is right
    timed.push(await report({ ...operation, action_type: "STOP", occurred_at: new Date().toISOString() }));
    untimed.push(await report({ ...operation, action_type: timed.at(-1)?.status === 201 ? "START" : "STOP" }));
  }
  const response = await fetch(`${address.url}/functions/v1/profiles/v1`, { headers });
  const text = await response.text();
  await setClock("+0");
  const differing = await divergent(address.databaseUrl);

  const told = (answers: Answered[]) => {
    const refused = answers.find(({ status }) => status !== 201);
    return `${tally(answers.map(({ status }) => status))}${
      refused === undefined ? "" : `; ${refused.text.slice(0, 300)}`
    }`;
  };
  return [
    {
      figure: stepsBack,
      bar: "everything reported is recorded, 0 differ",
      measured: `${told(untimed)} after a step of ${stepped_min.toFixed(1)} min, ${differing} differ`,
      isMet: untimed.every(({ status }) => status === 201) && differing === 0 && stepped_min < -9,
    },
    {
      figure: "... reports with the time of a terminal whose clock is right",
      bar: "recorded",
      measured: told(timed),
      isMet: timed.every(({ status }) => status === 201),
    },
    {
      figure: "... a token of before the step, issued in the future of the server",
      bar: "accepted, or 503 with Retry-After",
      measured: `${response.status} ${text.slice(0, 200)}`,
      isMet: response.ok || response.status === 503 && response.headers.has("retry-after"),
    },
  ];
}

/** The database's clock, in milliseconds. */
async function clockOf({ databaseUrl }: { databaseUrl: string }): Promise<number> {
  const sql = connect(databaseUrl);
  try {
    const [row] = await sql<{ ms: number }[]>`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`;
    return Number(row?.ms);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Sends SIGTERM to a stack while requests are in flight, then starts its data again. */
export async function terminate(rounds = 3): Promise<Figure[]> {
  const folder = await Deno.makeTempDir({ prefix: "mes-reliability-" });
  await Deno.chmod(folder, 0o755);
  const args = ["--data-dir", join(folder, "data"), "--no-seed"];
  const account = new Account();
  const inFlight: Answered[] = [];
  const afterwards: Answered[] = [];
  let slowest_ms = 0;
  let lost = 0;
  let differing = 0;
  try {
    for (let round = 0; round <= rounds; round++) {
      const started = await startAndWait(args);
      const address = addressOf(started);
      if (round > 0) {
        const sql = connect(address.databaseUrl);
        const stored = await sql<{ id: string }[]>`select id from public.operation_events`;
        await sql.end({ timeout: 1 });
        const isThere = new Set(stored.map(({ id }) => id));
        lost = account.acknowledged.filter((id) => !isThere.has(id)).length;
        differing += await divergent(address.databaseUrl);
      }
      if (round === rounds) {
        await endBy("SIGTERM", started);
        break;
      }
      const operations = await startOperations(address, 12);
      let told = Infinity;
      const keep = (sent: number, answer: Answered) => {
        if (sent < told && answer.at > told) inFlight.push(answer);
        else if (sent >= told) afterwards.push(answer);
      };
      const writing = operations.map(async (operation, index) => {
        while (performance.now() < told) {
          const sent = performance.now();
          const write = newWrite(operation);
          if (index >= 4) {
            const answer = await sendWrite(address, write);
            account.note(write, answer);
            keep(sent, answer);
          } else {
            // a few that take long
            const events = Array.from({ length: 200 }, () => newWrite(operation).body);
            const answer = await send(address, "POST", "/events/v1/batch", { events }, crypto.randomUUID());
            if (answer.status === 201) account.acknowledged.push(...events.map(({ id }) => id));
            keep(sent, answer);
          }
        }
        // one more, that comes too late
        const sent = performance.now();
        keep(sent, await sendWrite(address, newWrite(operation)));
      });
      await pause(2000);
      told = performance.now();
      slowest_ms = Math.max(slowest_ms, await endBy("SIGTERM", started));
      await Promise.all(writing);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const unanswered = inFlight.filter(({ status }) => ![200, 201, 503].includes(status));
  const unclean = afterwards.filter(({ status, text }) =>
    ![200, 201, 503].includes(status) && !/refused|closed|reset/i.test(text)
  );
  return [
    {
      figure: `SIGTERM ${rounds}x with requests in flight`,
      bar: "each is answered, 2xx or 503; later ones are answered or refused",
      measured: `${inFlight.length} in flight: ${tally(inFlight.map(({ status }) => status))}; later ${
        tally(afterwards.map(({ status }) => status))
      }${unanswered[0] === undefined ? "" : `; ${unanswered[0].text.slice(0, 200)}`}`,
      isMet: unanswered.length === 0 && unclean.length === 0 && inFlight.length > 0,
    },
    {
      figure: "... stopped",
      bar: "< 8 s; no acknowledged write lost, 0 differ",
      measured: `${
        (slowest_ms / 1000).toFixed(1)
      } s at most; ${lost} of ${account.acknowledged.length} lost, ${differing} differ`,
      isMet: slowest_ms < 8000 && lost === 0 && differing === 0,
    },
  ];
}
