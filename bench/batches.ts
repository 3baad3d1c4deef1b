/**
 * `deno task bench:batches`: batches of 1,000 START and STOP, the most that a call takes.
 *
 * One operation with a history of thousands of runs beside 100 operations without one, in turn, and eight terminals that
 * come back at once. Exit code 1 when a bar is missed.
 */
import { parseArgs } from "node:util";
import postgres from "postgres";
import { type DurableStack, startDurableStack } from "./durable_stack.ts";
import { median } from "./median.ts";
import { keyOf, newOperations, type Operation, signUpSupervisor } from "./plant.ts";
import { showHelp } from "../local/system/help.ts";

showHelp(`Usage: deno task bench:batches [options]

  --runs <number>     runs of the one operation (default 5000)
  --rounds <number>   rounds of each measurement (default 5)
  --help              this text`);

const perCall = 1000;
const terminals = 8;
/** The batch on one operation takes at most so many times as long as the one over 100. */
const mostRatio = 1.5;
/** A terminal gives a batch up after so many answers that say "later". */
const mostTries = 30;

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "5000" },
    rounds: { type: "string", default: "5" },
  },
});

const firstInstant = Date.now() - 20 * 24 * 3_600_000;
let seconds = 0;

/** A batch of START and STOP, each a second after the one before, over these operations in turn. */
function startsAndStops(operations: Operation[]): Record<string, unknown>[] {
  return Array.from({ length: perCall }, (_, i) => {
    const operation = operations[Math.floor(i / 2) % operations.length];
    return {
      id: crypto.randomUUID(),
      action_type: i % 2 === 0 ? "START" : "STOP",
      ...(operation && keyOf(operation)),
      occurred_at: new Date(firstInstant + 1000 * seconds++).toISOString(),
    };
  });
}

/** Gives operations their runs, by the same function as a terminal, without a time limit. */
async function makeHistory(stack: DurableStack, operations: Operation[], runs: number): Promise<void> {
  const sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe("set role service_role; set statement_timeout = 0");
    for (let made = 0; made < runs; made += perCall / 2) {
      for (const operation of operations) {
        await sql`select public.report_events(${JSON.stringify(startsAndStops([operation]))}::text::jsonb)`;
      }
      console.error(`${made + perCall / 2} runs each`);
    }
  } finally {
    await sql.end();
  }
}

interface Sent {
  ms: number;
  tries: number;
  /** Longest time until an answer of any kind. */
  longest_ms: number;
}

/** Sends a batch as a terminal does: repeats it with the same key after the seconds of `Retry-After`. */
async function send(stack: DurableStack, headers: Record<string, string>, operations: Operation[]): Promise<Sent> {
  const body = JSON.stringify({ events: startsAndStops(operations) });
  const key = crypto.randomUUID();
  const began = performance.now();
  let longest_ms = 0;
  for (let tries = 1; tries <= mostTries; tries++) {
    const asked = performance.now();
    const response = await fetch(`${stack.functionsUrl}/events/v1/batch`, {
      method: "POST",
      headers: { ...headers, "idempotency-key": key },
      body,
    });
    const text = await response.text();
    longest_ms = Math.max(longest_ms, performance.now() - asked);
    if (response.status === 201) return { ms: performance.now() - began, tries, longest_ms };
    if (response.status !== 503) throw new Error(`${response.status} ${text.slice(0, 500)}`);
    const wait_s = Number(response.headers.get("retry-after"));
    await new Promise((done) => setTimeout(done, wait_s * 1000));
  }
  throw new Error(`No answer but 503 in ${mostTries} tries`);
}

const stack = await startDurableStack();
let isGood = true;
try {
  const headers = await signUpSupervisor(stack);
  const deep = await newOperations(stack, terminals);
  const wide = await newOperations(stack, 100);
  await makeHistory(stack, deep, Number(options.runs));

  const times = { one: [] as number[], many: [] as number[] };
  for (let round = 0; round < Number(options.rounds); round++) {
    times.many.push((await send(stack, headers, wide)).ms);
    times.one.push((await send(stack, headers, deep.slice(0, 1))).ms);
  }
  const ratio = median(times.one) / median(times.many);
  console.log(
    `1,000 events on one operation with ${options.runs} runs: ${Math.round(median(times.one))} ms; ` +
      `over 100 operations: ${Math.round(median(times.many))} ms; ratio ${ratio.toFixed(2)} (at most ${mostRatio})`,
  );
  isGood &&= ratio <= mostRatio;

  const began = performance.now();
  const sent = await Promise.all(deep.map((operation) => send(stack, headers, [operation])));
  console.log(
    `${terminals} such batches at once: all answered after ${Math.round(performance.now() - began)} ms, ` +
      `${sent.reduce((sum, { tries }) => sum + tries - 1, 0)} told to come back later, ` +
      `longest answer ${Math.round(Math.max(...sent.map(({ longest_ms }) => longest_ms)))} ms`,
  );
} finally {
  await stack.stop();
}
if (!isGood) Deno.exit(1);
