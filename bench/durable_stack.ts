import { parseEnv } from "node:util";
import { join } from "node:path";
import { startFlags } from "../local/commands/start_args.ts";
import { connect } from "../local/postgres/bootstrap.ts";
import { inProject } from "../local/system/paths.ts";

/** A stack in its own process, with new data that is written to disk as in production. */
export interface DurableStack {
  supabaseUrl: string;
  functionsUrl: string;
  publishableKey: string;
  secretKey: string;
  databaseUrl: string;
  /** The process that has gateway and Data API. */
  pid: number;
  /** Its data, and what it printed. */
  folder: string;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts the stack; `--ephemeral` is not used, since that does without fsync.
 *
 * @param errors Where its errors go: to the terminal, or into the file `errors.log` of its folder.
 * @param limits Limits of requests: raised for measurements of one caller, or the usual ones.
 */
export async function startDurableStack(
  errors: "shown" | "kept" = "shown",
  limits: "raised" | "usual" = "raised",
): Promise<DurableStack> {
  const folder = await Deno.makeTempDir({ prefix: "mes-bench-" });
  // PostgreSQL's account passes through
  await Deno.chmod(folder, 0o711);
  const envFile = join(folder, "local.env");
  const log = await Deno.open(join(folder, "stack.log"), { create: true, write: true });
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      ...startFlags,
      inProject("local", "commands", "start.ts"),
      "--port=0",
      `--data-dir=${join(folder, "data")}`,
      `--settings=${envFile}`,
    ],
    env: { STACK_DATABASE_URL: "" },
    stdin: "null",
    stdout: "piped",
    stderr: errors === "shown" ? "inherit" : "piped",
  }).spawn();
  if (errors === "kept") {
    process.stderr.pipeTo((await Deno.create(join(folder, "errors.log"))).writable).catch(() => {});
  }
  const stop = async () => {
    try {
      process.kill("SIGTERM");
    } catch {
      // it has ended already
    }
    await process.status;
    await Deno.remove(folder, { recursive: true });
  };
  for (const signal of Deno.build.os === "windows" ? ["SIGINT"] as const : ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop().finally(() => Deno.exit(1)));
  }
  try {
    await isReady(process.stdout, log);
    const env = parseEnv(await Deno.readTextFile(envFile));
    const setting = (name: string) => {
      const value = env[name];
      if (!value) throw new Error(`The stack did not tell its ${name}`);
      return value;
    };
    if (limits === "raised") await raiseLimits(setting("DATABASE_URL"));
    return {
      supabaseUrl: setting("SUPABASE_URL"),
      functionsUrl: setting("FUNCTIONS_URL"),
      publishableKey: setting("SUPABASE_PUBLISHABLE_KEY"),
      secretKey: setting("SUPABASE_SECRET_KEY"),
      databaseUrl: setting("DATABASE_URL"),
      pid: process.pid,
      folder,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Raises the limits of requests beyond what a machine can send. */
async function raiseLimits(databaseUrl: string): Promise<void> {
  const sql = connect(databaseUrl);
  try {
    await sql`update app.rate_limits set units_per_minute = 100000000, burst = 100000000`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Waits until the stack says so; what it says afterwards, a line per request, goes to a file. */
async function isReady(stdout: ReadableStream<Uint8Array<ArrayBuffer>>, log: Deno.FsFile): Promise<void> {
  const ready = Promise.withResolvers<void>();
  let said = "";
  const decoder = new TextDecoder();
  const reading = stdout.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(bytes, controller) {
        if (said.length < 10_000) said += decoder.decode(bytes, { stream: true });
        if (said.includes("ready in ")) ready.resolve();
        controller.enqueue(bytes);
      },
    }),
  ).pipeTo(log.writable);
  reading.finally(() => ready.reject(new Error(`The stack did not start:\n${said}`))).catch(() => {});
  await ready.promise;
}
