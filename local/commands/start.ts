/** `deno task start`: the whole stack on this machine. */
import { preparePages } from "./docs_assets.ts";
import { keepConsoleQuiet, messageOf, runCommand } from "../system/failure.ts";
import { writeLocalEnv } from "./local_env.ts";
import { parseStartOptions, startUsage } from "./options.ts";
import { inProject } from "../system/paths.ts";
import { startStack } from "../stack.ts";
import { simulate, type Simulation } from "../simulation/simulate.ts";
import { statusTable } from "./status_table.ts";

async function start(): Promise<void> {
  const options = parseStartOptions(Deno.args);
  if (!options) return console.log(startUsage);

  keepConsoleQuiet();
  const started = performance.now();
  const ended = Promise.withResolvers<void>();
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, ended.resolve);

  // A connection that breaks inside a library must not end the stack for all of its users.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    console.error("Unhandled:", event.reason);
  });

  await preparePages((line) => console.log(`  ${line}`));
  const starting = startStack({
    ...options,
    externalDatabase: Deno.env.get("STACK_DATABASE_URL") || undefined,
    watch: true,
    onProgress: (step) => console.log(`  ${step}`),
  });
  const interrupted = ended.promise.then(() => undefined);
  const stack = await Promise.race([starting, interrupted]) ?? await starting;
  const addresses = {
    url: stack.url,
    publishableKey: stack.keys.publishableKey,
    secretKey: stack.keys.secretKey,
    databaseUrl: stack.databaseUrl,
    demoPassword: stack.keys.demoPassword,
  };
  const envFile = options.envFile ?? inProject("supabase", ".temp", "local.env");
  try {
    await writeLocalEnv(envFile, addresses);
    console.log(statusTable(stack, { isEphemeral: options.ephemeral, envFile }));
    console.log(`ready in ${((performance.now() - started) / 1000).toFixed(1)} s; Ctrl-C stops it`);
    if (options.simulation) await playUntil(ended.promise, { ...options.simulation, stack: addresses });
    await ended.promise;
    console.log("Stopping.");
  } finally {
    await stack.stop();
  }
  Deno.exit(0);
}

/** Plays the simulated hall until the stack is told to end. A failure ends the simulation only. */
async function playUntil(ended: Promise<void>, day: Omit<Simulation, "signal">): Promise<void> {
  const leaving = new AbortController();
  ended.then(() => leaving.abort());
  console.log(`Hall 2 works at ${day.speed} simulated minutes in a real one, seed ${day.seed}.`);
  try {
    await simulate({ ...day, signal: leaving.signal });
  } catch (error) {
    console.error(`The simulation ended: ${messageOf(error)}`);
  }
}

await runCommand(start);
