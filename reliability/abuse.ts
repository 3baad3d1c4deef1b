/**
 * One caller who does not stop beside operators at work, at functions without a gateway before them: what the limits of
 * requests are worth.
 */
import { join } from "node:path";
import { functionEnvironment } from "../local/functions/functions_env.ts";
import { discoverFunctions, FunctionHost } from "../local/functions/functions.ts";
import { loadConfig } from "../local/platform/config.ts";
import { connect } from "../local/postgres/bootstrap.ts";
import type { Stack } from "../local/stack.ts";
import { inProject } from "../local/system/paths.ts";
import { signUp } from "./accounts.ts";
import type { Figure } from "./figures.ts";
import type { Answers, Flood } from "./flood.ts";
import { hireOperators, type Shift, workShift } from "./operators.ts";

const connections = 50;
const operatorCount = 10;

/** A tenth of the usual limit of reads: one machine with its clients answers a tenth of what a project does. */
const narrow = { units_per_minute: 300, burst: 60 };

/** Time in which the caller uses up the burst. */
const burst_s = 3;

/** Measures the operators' p99 alone, beside a caller without limits, and beside one with a limit. */
export async function abuse(stack: Stack, seconds: number): Promise<Figure[]> {
  const supabaseDir = inProject("supabase");
  const config = await loadConfig(join(supabaseDir, "config.toml"));
  const functions = new FunctionHost({
    discover: () => discoverFunctions(supabaseDir, config),
    env: await functionEnvironment(stack.url, stack.keys, stack.databaseUrl, join(supabaseDir, "functions", ".env")),
    log: () => {},
  });
  try {
    await functions.load();
    const functionsUrl = `http://127.0.0.1:${await functions.port()}`;
    const { publishableKey, secretKey } = stack.keys;
    const address = { supabaseUrl: stack.url, publishableKey, secretKey, functionsUrl };
    const operators = await hireOperators(address, operatorCount);
    const work = () => workShift(operators, seconds);
    const beside = async (isLimited: boolean): Promise<{ shift: Shift; answers: Answers }> => {
      const { user_id, headers } = await signUp(address, `abuser-${crypto.randomUUID()}@example.com`);
      if (isLimited) await limit(stack.databaseUrl, `user:${user_id}`);
      const url = `${functionsUrl}/operations/v1?limit=20`;
      // the first seconds are the burst, which the limits allow
      const flood = start({ url, headers, connections, seconds: burst_s + seconds });
      await new Promise((resume) => setTimeout(resume, burst_s * 1000));
      const shift = await work();
      return { shift, answers: await flood };
    };
    // once, so that everything is compiled, planned and cached
    await work();
    const quiet: Shift = { latencies_ms: [], failures: [], writes: 0 };
    const note = async () => quiet.latencies_ms.push(...(await work()).latencies_ms);
    await note();
    const unlimited = await beside(false);
    await note();
    const limited = await beside(true);
    await note();
    return [figureOf(quiet, unlimited, limited)];
  } finally {
    await functions.close();
  }
}

async function limit(databaseUrl: string, caller: string): Promise<void> {
  const sql = connect(databaseUrl);
  try {
    await sql`
      insert into app.rate_limit_overrides (caller, class, units_per_minute, burst)
      values (${caller}, 'reads', ${narrow.units_per_minute}, ${narrow.burst})`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Starts the caller, at the least priority: the caller's own work happens on a machine of their own. */
async function start(flood: Flood): Promise<Answers> {
  const { stdout } = await new Deno.Command("nice", {
    args: [
      ...["-n", "19", Deno.execPath(), "run", "--allow-net", "--no-check"],
      inProject("reliability", "flood.ts"),
      JSON.stringify(flood),
    ],
    stderr: "inherit",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

function p99(shift: Shift): number {
  const sorted = shift.latencies_ms.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? NaN;
}

const told = (answers: Answers) => Object.entries(answers).map(([status, count]) => `${count} x ${status}`).join(", ");

function figureOf(
  quiet: Shift,
  unlimited: { shift: Shift; answers: Answers },
  limited: { shift: Shift; answers: Answers },
): Figure {
  const failures = limited.shift.failures.length;
  for (const failure of new Set(limited.shift.failures.map((text) => text.slice(0, 200)))) console.error(failure);
  return {
    figure: `One caller over ${connections} connections beside ${operatorCount} operators: the operators' p99`,
    bar: "grows by less than half, no request of theirs fails",
    measured: `${p99(quiet).toFixed(0)} ms -> ${p99(limited.shift).toFixed(0)} ms (${
      (p99(limited.shift) / p99(quiet)).toFixed(2)
    }x; without a limit ${p99(unlimited.shift).toFixed(0)} ms); ${failures} failed; the caller got ${
      told(limited.answers)
    }; without a limit ${told(unlimited.answers)}`,
    isMet: p99(limited.shift) < 1.5 * p99(quiet) && failures === 0,
  };
}
