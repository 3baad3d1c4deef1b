/**
 * `deno task test`: the whole test suite against a fresh stack of its own, or against that of a file of settings. Then
 * every operation is compared with its events. The last line says how many tests and steps passed and failed.
 * (Not named test.ts: `deno test` would take it for a test and run itself.)
 */
import { join } from "node:path";
import { loadConfig } from "../platform/config.ts";
import { preparePages } from "./docs_assets.ts";
import { readJunitReport, type TestCounts } from "./junit.ts";
import { messageOf, runCommand, StackFailure } from "../system/failure.ts";
import { environmentOf, readLocalEnv } from "./local_env.ts";
import { inProject, projectRoot } from "../system/paths.ts";
import { compareWithEvents, told } from "../postgres/comparison.ts";
import { startStack } from "../stack.ts";
import { secretsIn } from "../system/secrets_in_log.ts";
import { emptyTestLog, testLog, withErrorsLogged, writeTestLog } from "../system/test_log.ts";
import { filesAndFlags } from "./test_files.ts";

const usage = `Usage: deno task test [words] [options]

  [words]             files, names, or parts of names of test files (default: all)
  --filter <text>     only tests whose names contain the text, and further flags of "deno test"
  --settings <path>   test the stack of this file (supabase/.temp/local.env, say) instead of a new one
  --help              this text`;

/** The settings that tests against a stack of the user's own need. */
const required = ["SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY"];

/** Variables that select the tested stack; none is taken from the user's environment. */
const stackVariables = [...required, "FUNCTIONS_URL", "DATABASE_URL", "DEMO_PASSWORD", "LOCAL_JWT_SECRET"];

async function deno(args: string[], settings: Record<string, string>): Promise<boolean> {
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !stackVariables.includes(name));
  const env = { ...Object.fromEntries(inherited), ...settings };
  const command = new Deno.Command(Deno.execPath(), { args, env, clearEnv: true, cwd: projectRoot, stdin: "null" });
  return (await command.spawn().status).success;
}

async function runTests(
  testArgs: string[],
  env: Record<string, string>,
): Promise<{ counts: TestCounts; success: boolean }> {
  const folder = await Deno.makeTempDir({ prefix: "mes-tests-" });
  const report = join(folder, "report.xml");
  try {
    const { files, flags } = await filesAndFlags(testArgs);
    const args = ["test", "--allow-all", "--parallel", `--junit-path=${report}`, ...flags, ...files];
    const success = await withErrorsLogged(() => deno(args, env));
    const counts = readJunitReport(await Deno.readTextFile(report).catch(() => ""));
    // The report lists the tests that a filter leaves out as ignored.
    if (testArgs.some((arg) => arg.startsWith("--filter"))) counts.ignored = [];
    return { success, counts };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns the reason why a run without a failed test is a failure; undefined when it is none. */
function complaint(counts: TestCounts, success: boolean): string | undefined {
  if (!success && counts.passed + counts.failed === 0) return "Deno could not run the tests, see above.";
  if (counts.passed + counts.failed === 0) return "No test ran: check the filter or the file names.";
  if (!success && counts.failed === 0) return "Deno reported an error outside of the tests, see above.";
  const browser = counts.ignored.filter((name) => /browser/i.test(name));
  if (browser.length > 0 && Deno.env.get("CI") === "true") {
    return `In CI the browser tests must run, but Chromium was not found for:\n  ${browser.join("\n  ")}`;
  }
  return undefined;
}

/**
 * Reads the settings of the stack to test.
 *
 * @throws {StackFailure} The file lacks one.
 */
async function settingsOf(file: string): Promise<Record<string, string>> {
  const settings = await readLocalEnv(file);
  const missing = required.filter((name) => !settings[name]);
  if (missing.length > 0) throw new StackFailure(`${file} has no ${missing.join(" and no ")}.`);
  return Object.fromEntries(
    stackVariables.flatMap((name) => settings[name] === undefined ? [] : [[name, settings[name]]]),
  );
}

/** Takes `--settings <path>` out of the arguments; the others are for `deno test`. */
function splitArgs(args: string[]): { settingsFile: string | undefined; testArgs: string[] } {
  const at = args.findIndex((arg) => /^--settings(=|$)/.test(arg));
  if (at < 0) return { settingsFile: undefined, testArgs: args };
  const isOne = args[at]?.includes("=") ?? false;
  const settingsFile = isOne ? args[at]?.replace(/^--settings=/, "") : args[at + 1];
  if (!settingsFile) throw new StackFailure(`--settings needs the path of a file.\n\n${usage}`);
  return { settingsFile, testArgs: args.toSpliced(at, isOne ? 1 : 2) };
}

async function test(): Promise<void> {
  if (Deno.args.includes("--help")) return console.log(usage);
  const { settingsFile, testArgs } = splitArgs(Deno.args);
  emptyTestLog();
  let env: Record<string, string>;
  let stop = () => Promise.resolve();
  if (settingsFile !== undefined) {
    env = await settingsOf(settingsFile);
  } else {
    await preparePages(console.log);
    // the tests of webhooks dispatch by themselves, so that no other dispatcher sends their deliveries
    const stack = await startStack({ ephemeral: true, dispatchWebhooks: false, onFunctionLog: writeTestLog });
    stop = stack.stop;
    await requireFunctions(stack.url);
    env = environmentOf({
      url: stack.url,
      ...stack.keys,
      databaseUrl: stack.databaseUrl,
    });
    // Some tests forge tokens; only this run has the secret.
    env.LOCAL_JWT_SECRET = stack.keys.jwtSecret;
  }
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, () => stop().then(() => Deno.exit(130)));

  let counts: TestCounts = { passed: 0, failed: 0, ignored: [] };
  let problem: string | undefined;
  try {
    const run = await runTests(testArgs, env);
    counts = run.counts;
    problem = complaint(counts, run.success);
    if (env.DATABASE_URL) {
      // compares everything that the tests wrote with its events
      const comparison = await compareWithEvents(env.DATABASE_URL);
      console.log(told(comparison));
      if (comparison.divergences.length > 0) problem ??= "Operations differ from their events, see above.";
    }
    problem ??= loggedSecrets(env);
  } catch (error) {
    problem = messageOf(error);
  } finally {
    await stop();
  }
  if (counts.ignored.length > 0) console.log(`Ignored:\n  ${counts.ignored.join("\n  ")}`);
  if (problem) console.error(problem);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  Deno.exit(problem || counts.failed > 0 ? 1 : 0);
}

/** Returns the complaint about credentials in the log of this run; undefined when it has none. */
function loggedSecrets(env: Record<string, string>): string | undefined {
  const { SUPABASE_SECRET_KEY = "", LOCAL_JWT_SECRET = "", DEMO_PASSWORD = "" } = env;
  const values = { "secret key": SUPABASE_SECRET_KEY, "JWT secret": LOCAL_JWT_SECRET, password: DEMO_PASSWORD };
  const found = secretsIn(Deno.readTextFileSync(inProject(testLog)), values);
  if (found.length === 0) return undefined;
  const places = found.slice(0, 10).map(({ line, kind }) => `  line ${line}: ${kind}`);
  return `The log of the stack, ${testLog}, holds credentials:\n${places.join("\n")}`;
}

/** Fails at once when a function cannot start, which would make hundreds of tests fail. */
async function requireFunctions(url: string): Promise<void> {
  const { functions } = await loadConfig(inProject("supabase", "config.toml"));
  for (const name of functions.keys()) {
    const { status, body } = await fetch(`${url}/functions/v1/${name}`);
    await body?.cancel();
    if (status >= 500) {
      throw new StackFailure(`Function "${name}" cannot be started: see ${testLog}`);
    }
  }
}

await runCommand(test);
