/**
 * `deno task reliability [--short]`: what the API is held to under concurrency and faults, measured against stacks of its
 * own. Ends with a table of the figures, and with exit code 1 when one misses its bar. See README.md.
 */
import { parseArgs } from "node:util";
import { runCommand } from "../local/system/failure.ts";
import { environmentOf } from "../local/commands/local_env.ts";
import { startStack } from "../local/stack.ts";
import { killConnections, killStack, rebuilt, stopDatabase } from "./faults.ts";
import { type Figure, table } from "./figures.ts";
import { abuse } from "./abuse.ts";
import { batches, manyWebhooks } from "./batches.ts";
import { hostile, longForm } from "./hostile.ts";
import { clockSteps, fillDisk, terminate } from "./machine.ts";
import { items as raidItems } from "./raids.ts";
import { concurrency, feed, keys, limits, modelTest, reportModelTest, runTests, webhooks } from "./suites.ts";
import { showHelp } from "../local/system/help.ts";

showHelp(`Usage: deno task reliability [options]

  --short                short forms of the measurements
  --sequences <number>   random sequences of actions (default 2000)
  --plants <number>      random plants for the reports (default 2000)
  --fuzz <number>        generated requests (default 100000)
  --only <text>          only measurements whose names contain the text
  --raids <names>        attacks of the hostile callers (default all)
  --help                 this text`);

const { values: options } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    sequences: { type: "string", default: "2000" },
    plants: { type: "string", default: "2000" },
    fuzz: { type: "string", default: "100000" },
    only: { type: "string", default: "" },
    raids: { type: "string", default: raidItems.join(",") },
  },
});

const began = performance.now();
const figures: Figure[] = [];

/** Measures, prints the figure, and stores it for the table. */
async function measure(what: string, run: () => Promise<Figure | Figure[]>): Promise<void> {
  if (!what.includes(options.only)) return;
  console.error(`${Math.round((performance.now() - began) / 1000).toString().padStart(5)} s  ${what} ...`);
  for (const figure of [await run()].flat()) {
    figures.push(figure);
    console.error(`         ${figure.isMet ? "ok  " : "MISS"} ${figure.figure}: ${figure.measured}`);
  }
}

async function measureAll(): Promise<void> {
  const { short } = options;
  const stack = await startStack({ ephemeral: true, dispatchWebhooks: false, onFunctionLog: () => {} });
  const stopped = () => stack.stop().then(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stopped);
  try {
    const env = {
      ...environmentOf({ url: stack.url, ...stack.keys, databaseUrl: stack.databaseUrl }),
      LOCAL_JWT_SECRET: stack.keys.jwtSecret,
      RELIABILITY: "full",
    };
    // the short form leaves out what the test suite runs by itself
    if (!short) {
      await measure("concurrency", () => runTests(["concurrency_test.ts", "idempotency_test.ts"], env, concurrency));
      await measure("feed", () => runTests(["feed_concurrency_test.ts"], env, feed));
      await measure(
        "webhooks",
        () =>
          runTests(
            ["webhooks_test.ts", "webhook_delivery_test.ts", "webhook_timer_test.ts"],
            env,
            webhooks,
          ),
      );
      await measure("keys", () => runTests(["guessing_test.ts"], env, keys));
      await measure("limits", () => runTests(["rate_limits_test.ts"], env, limits));
      await measure("model", () =>
        runTests(["lifecycle_model_test.ts"], { ...env, SEQUENCES: options.sequences }, [{
          figure: `${options.sequences} random sequences against the model`,
          bar: "no divergence",
          test: modelTest,
        }]));
      await measure("reports", () =>
        runTests(["properties_test.ts"], { ...env, REPORT_PLANTS: options.plants }, [{
          figure: `${options.plants} random plants against the model of reports`,
          bar: "no divergence",
          test: reportModelTest,
        }]));
    }
    await measure("connections killed", () => killConnections(stack, short ? 200 : 1000));
    await measure("database stopped", () => stopDatabase(stack, short ? 1 : 3, short ? 1000 : 5000));
    await measure("stack killed", () => killStack(short ? 1 : 5));
    if (!short) {
      await measure("disk full", fillDisk);
      await measure("clock", clockSteps);
      await measure("terminated", terminate);
      await measure("batches", () => batches(stack));
      await measure("many webhooks", () => manyWebhooks(stack));
      await measure("abuse", () => abuse(stack, 10));
      const wanted = options.raids.split(",");
      const raids = [...raidItems, "further" as const].filter((item) => wanted.includes(item));
      await measure("hostile", () => hostile({ ...longForm, items: raids }));
      await measure("fuzz", () =>
        runTests(["fuzz_test.ts"], { ...env, FUZZ_RUNS: options.fuzz }, [{
          figure: `${options.fuzz} generated requests`,
          bar: "no 5xx, every answer as declared",
          test: "",
        }]));
    }
    await measure("rebuilt from events", () => rebuilt(stack));
  } finally {
    await stack.stop();
  }
  console.log(`\n${table(figures)}\n`);
  const missed = figures.filter(({ isMet }) => !isMet).length;
  console.log(`${figures.length} figures, ${missed} missed, ${Math.round((performance.now() - began) / 1000)} s`);
  Deno.exit(missed > 0 ? 1 : 0);
}

await runCommand(measureAll);
