/** Support for the tests of the stack: small projects, their stacks, and the command line as a user has it. */
import { publicFileOf } from "../commands/local_env.ts";
import { startFlags } from "../commands/start_args.ts";
import { parseEnv } from "node:util";
import { dirname, join } from "node:path";
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { inProject, projectRoot } from "../system/paths.ts";
import { holdsWithin, within } from "../system/poll.ts";
import { withErrorsLogged } from "../system/test_log.ts";
import { type Stack, type StackOptions, startStack } from "../stack.ts";

/** Writes a Supabase project into a temporary folder: file names below `supabase/` to contents. */
export async function makeProject(files: Record<string, string>): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "mes-project-" });
  for (const [name, text] of Object.entries({ "config.toml": 'project_id = "test"\n', ...files })) {
    const path = join(folder, name);
    await Deno.mkdir(join(path, ".."), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
  return folder;
}

/** A stack for one test, with the lines that its functions wrote. */
export interface TestStack extends Stack {
  supabaseDir: string;
  functionLog: string[];
}

/** Starts an ephemeral stack of a small project, and ends both after `run`. The test log gets the errors of the stack. */
export async function withStack(
  files: Record<string, string>,
  run: (stack: TestStack) => Promise<void>,
  options: StackOptions = {},
): Promise<void> {
  const supabaseDir = await makeProject(files);
  const functionLog: string[] = [];
  const stack = await startStack({
    ephemeral: true,
    supabaseDir,
    seed: false,
    onFunctionLog: (line) => functionLog.push(line),
    ...options,
  });
  try {
    await withErrorsLogged(() => run(Object.assign(stack, { supabaseDir, functionLog })));
  } finally {
    await stack.stop();
    await Deno.remove(supabaseDir, { recursive: true });
  }
}

/** A running `deno task start`. */
export interface StartedCommand {
  process: Deno.ChildProcess;
  /** Returns its output until now. */
  output(): string;
  /** The settings that it wrote. */
  settings: Partial<Record<string, string>>;
  /** Mode of the file of the settings. */
  settingsMode: number;
  /** The text of the file without secrets. */
  publicSettings: string;
}

/** Options of the command. */
export interface CommandOptions {
  env?: Record<string, string>;
  /** The checkout to run in; default this one. */
  root?: string;
  uid?: number;
  gid?: number;
  /** Flags of Deno, before the script. */
  denoFlags?: string[];
  /** The Deno to run it; default this one. */
  deno?: string;
}

/** Runs `start` to its end and returns its output: for starts that must fail. */
export async function runStart(args: string[], options: CommandOptions = {}): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await startCommand(args, options).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, said: decode(stdout) + decode(stderr) };
}

function startCommand(args: string[], options: CommandOptions): Deno.Command {
  const { root = projectRoot, env = {}, denoFlags = [], deno = Deno.execPath(), uid, gid } = options;
  return new Deno.Command(deno, {
    args: [
      "run",
      "--allow-all",
      "--frozen",
      ...startFlags,
      ...denoFlags,
      join(root, "local", "commands", "start.ts"),
      ...args,
    ],
    cwd: root,
    // A test run may have a database of its own.
    env: { STACK_DATABASE_URL: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(uid === undefined ? {} : { uid, gid }),
  });
}

/** Starts the command on a free port and waits until it says that it is ready. */
export async function startAndWait(args: string[], options: CommandOptions = {}): Promise<StartedCommand> {
  const envFile = join(await Deno.makeTempDir({ prefix: "mes-env-" }), "local.env");
  if (options.uid !== undefined) await Deno.chown(dirname(envFile), options.uid, options.gid ?? null);
  const process = startCommand(["--port", "0", "--settings", envFile, ...args], options).spawn();
  const lines: string[] = [];
  const ready = Promise.withResolvers<void>();
  for (const stream of [process.stdout, process.stderr]) {
    const reading = (async () => {
      for await (const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
        lines.push(String(line));
        if (String(line).startsWith("ready in ")) ready.resolve();
      }
    })();
    reading.catch(ready.reject);
  }
  process.status.then(({ code }) => ready.reject(new Error(`start ended with code ${code}:\n${lines.join("\n")}`)));
  await within(60_000, ready.promise);
  const settings = parseEnv(await Deno.readTextFile(envFile));
  const publicSettings = await Deno.readTextFile(publicFileOf(envFile));
  const settingsMode = ((await Deno.stat(envFile)).mode ?? 0) & 0o777;
  await Deno.remove(dirname(envFile), { recursive: true });
  return { process, settings, settingsMode, publicSettings, output: () => lines.join("\n") };
}

/** Sends a signal and returns how many milliseconds it took the process to end. */
export async function endBy(signal: Deno.Signal, { process }: StartedCommand): Promise<number> {
  const sent = performance.now();
  process.kill(signal);
  await process.status;
  return performance.now() - sent;
}

/** The numbers of all processes that `pid` started, and those that these started. */
export async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "pid=,ppid="], stdout: "piped" }).output();
  const pairs = new TextDecoder().decode(stdout).trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const found: number[] = [];
  const parents = [pid];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const [child, itsParent] of pairs) {
      if (itsParent !== parent || child === undefined) continue;
      found.push(child);
      parents.push(child);
    }
  }
  return found;
}

/** Returns the memory that a process holds now, in bytes; 0 when it has ended. */
export async function residentBytes(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ps", { args: ["-o", "rss=", "-p", String(pid)], stderr: "null" }).output();
  return Number(new TextDecoder().decode(stdout)) * 1024;
}

/** Returns true when all of these processes have ended, or end within a second. */
export async function haveEnded(pids: number[]): Promise<boolean> {
  return await holdsWithin(1000, async () => {
    const args = ["-o", "stat=", "-p", pids.join(",")];
    const { stdout } = await new Deno.Command("ps", { args, stdout: "piped", stderr: "null" }).output();
    // A zombie has ended; only its parent has not asked about it yet.
    return new TextDecoder().decode(stdout).trim().split("\n").every((state) => state === "" || state.startsWith("Z"));
  });
}

/** The files of a checkout that a start needs. */
const startFiles = [
  "deno.json",
  "deno.lock",
  "import_map.json",
  "local",
  "supabase/config.toml",
  "supabase/migrations",
];

/** Copies the files that a start needs, and further ones, to `target`, with the same installed packages. */
export async function copyCheckout(target: string, further: string[] = []): Promise<void> {
  for (const name of [...startFiles, ...further]) await copy(inProject(name), join(target, name));
  await Deno.symlink(inProject("node_modules"), join(target, "node_modules"));
}

/**
 * Gives an account that may enter neither this checkout nor the folder of Deno its own packages and its own program,
 * in `target`. Linked where that is possible, so they must not be given to that account.
 *
 * @returns The path of Deno.
 */
export async function lendPackages(target: string): Promise<string> {
  await Deno.remove(join(target, "node_modules"));
  const lend = async (from: string, to: string) => {
    for (const how of ["-al", "-a"]) {
      if ((await new Deno.Command("cp", { args: [how, from, to], stderr: "null" }).output()).success) return;
    }
    throw new Error(`cp -a ${from} ${to} failed`);
  };
  await lend(inProject("node_modules"), join(target, "node_modules"));
  await lend(await Deno.realPath(Deno.execPath()), join(target, "deno"));
  return join(target, "deno");
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(join(to, ".."), { recursive: true });
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  for await (const { name } of Deno.readDir(from)) await copy(join(from, name), join(to, name));
}

/** Sends JSON, and returns status and JSON. */
export async function call(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: unknown } = {},
) {
  const response = await fetch(url, {
    method: options.method ?? (options.body === undefined ? "GET" : "POST"),
    headers: { "content-type": "application/json", ...options.headers },
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: text ? tryParse(text) : undefined };
}

function tryParse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : { value };
  } catch {
    return {};
  }
}
