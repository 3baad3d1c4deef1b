/** Figures that the test suite asserts: the same tests, with the full counts. */
import { join } from "node:path";
import { readTestCases } from "../local/commands/junit.ts";
import { testFilesOf } from "../local/commands/test_files.ts";
import { projectRoot } from "../local/system/paths.ts";
import { withErrorsLogged } from "../local/system/test_log.ts";
import type { Figure } from "./figures.ts";

/** A figure and the test that asserts it, by the beginning of its name. */
export interface Asserted {
  figure: string;
  bar: string;
  test: string;
}

/** Runs test files against the stack of `env` and returns how the figures' tests ended; prints what failed. */
export async function runTests(
  files: string[],
  env: Record<string, string>,
  asserted: Asserted[],
): Promise<Figure[]> {
  const folder = await Deno.makeTempDir({ prefix: "mes-reliability-" });
  const report = join(folder, "report.xml");
  try {
    const paths = (await Promise.all(files.map(testFilesOf))).flat();
    const command = new Deno.Command(Deno.execPath(), {
      args: ["test", "--allow-all", "--no-check", "--parallel", `--junit-path=${report}`, ...paths],
      env: { NO_COLOR: "1", ...env },
      cwd: projectRoot,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    // the stack runs in this process, and logs what the tests provoke
    const { stdout, stderr, success } = await withErrorsLogged(() => command.output());
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (!success) console.error(decode(stdout) + decode(stderr));
    const xml = await Deno.readTextFile(report).catch(() => "");
    const tests = readTestCases(xml);
    return asserted.map(({ figure, bar, test }) => {
      const found = tests.find(({ name }) => name.startsWith(test));
      const hasPassed = found?.outcome === "passed";
      // what a test says of itself in a line of its own: "MEASURED ..."
      const beginning = `MEASURED ${test}`;
      const said = found && decode(stdout).split("\n").find((line) => line.startsWith(beginning));
      const measured = found === undefined
        ? "the test did not run"
        : `${said?.slice(beginning.length).replace(/^[^:]*: /, "") ?? (hasPassed ? "asserted" : "FAILED")}, ${
          found.seconds.toFixed(0)
        } s`;
      return { figure, bar, measured, isMet: hasPassed };
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Beginning of the name of the test that compares the lifecycle with its model. */
export const modelTest = "Lifecycle: behaves like the model";

/** Beginning of the name of the test that compares reports with their model. */
export const reportModelTest = "Reports: count like the model of minutes";

export const feed: Asserted[] = [
  {
    figure: "16 writers with rollbacks, 20 readers who come again by feed, SSE and WebSocket",
    bar: "none missed, repeated, out of order or foreign",
    test: "Feed and streams",
  },
];

export const webhooks: Asserted[] = [
  {
    figure: "100 dispatchers killed between sending and acknowledging",
    bar: "none lost, repetitions have one webhook-id",
    test: "Webhooks: lose nothing and repeat the webhook-id",
  },
  {
    figure: "4 dispatchers at once, 2,000 messages",
    bar: "each sent once",
    test: "Webhooks: send each message once",
  },
  {
    figure: "one dead endpoint among 20",
    bar: "p99 of the others grows by less than 1 s",
    test: "Webhooks: serve 19 endpoints without delay",
  },
  {
    figure: "database crashed with 1,000 deliveries pending",
    bar: "1,000 delivered",
    test: "webhook timer: what was pending",
  },
  { figure: "51 hostile URLs", bar: "all refused", test: "POST and PATCH /webhooks/v1/endpoints: answer 422" },
];

export const keys: Asserted[] = [
  {
    figure: "100,000 guessed API keys over 16 connections",
    bar: "all refused in the same words, nothing changed",
    test: "keys: guesses are refused",
  },
];

export const limits: Asserted[] = [
  {
    figure: "20 clients of one user at two isolates",
    bar: "one budget, within 10 %",
    test: "Rate limits: two isolates share one budget",
  },
];

export const concurrency: Asserted[] = [
  {
    figure: "32 clients x 50 reports on one operation",
    bar: "1600 pieces, op_seq without gap",
    test: "POST REPORT_QUANTITY: loses and repeats no piece",
  },
  {
    figure: "500 pairs of STARTs, 500 pairs of FINISHes",
    bar: "one of each wins, the other is told why",
    test: "POST START and FINISH: one of two racing reports",
  },
  {
    figure: "500 pairs START/CANCEL from one ETag",
    bar: "exactly one wins",
    test: "PATCH: one of START and CANCEL succeeds",
  },
  {
    figure: "500 pairs START/CANCEL without condition",
    bar: "ends cancelled, no open run",
    test: "POST CANCEL: leaves no open run",
  },
  {
    figure: "64 STARTs at a workplace of capacity 2",
    bar: "2 run",
    test: "POST START: starts 2 of 64 operations",
  },
  { figure: "20 PATCHes from one ETag", bar: "exactly one succeeds", test: "PATCH: exactly one of 20 succeeds" },
  {
    figure: "50 keys x 32 racers",
    bar: "50 effects, replays byte-identical",
    test: "Idempotency keys: have 50 effects",
  },
];
