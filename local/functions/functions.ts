import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { TextLineStream } from "@std/streams/text_line_stream.js";
import type { FunctionConfig, ProjectConfig } from "../platform/config.ts";
import { edgeDeno, edgeFlags } from "./edge_deno.ts";
import { StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";
import { within } from "../system/poll.ts";

/** Time limit of the import of the functions. */
const bootTimeoutMs = 30_000;
/** The system reports the end of a process a moment after its connections broke. */
const endNoticedMs = 200;
/** Time limit of a process after the request to end; its streams end first. */
const endMs = 1500;
/** Several files are saved at once: one reload for all of them. */
const reloadDelayMs = 100;

/** A function that the gateway can call. */
export interface FunctionInfo extends FunctionConfig {
  name: string;
  /** Address of its module. */
  module: string;
}

/** The functions of a project: folders with an `index.ts`, except shared code and tests. */
export async function discoverFunctions(supabaseDir: string, config: ProjectConfig): Promise<FunctionInfo[]> {
  const folder = join(supabaseDir, "functions");
  const found: FunctionInfo[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (!isDirectory || name.startsWith("_") || name.startsWith(".") || name === "tests") continue;
      const settings = config.functions.get(name) ?? { enabled: true, verifyJwt: true, entrypoint: undefined };
      const file = settings.entrypoint ? join(supabaseDir, settings.entrypoint) : join(folder, name, "index.ts");
      const isThere = await Deno.stat(file).then((info) => info.isFile, () => false);
      if (settings.enabled && isThere) found.push({ ...settings, name, module: pathToFileURL(file).href });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort((a, b) => a.name < b.name ? -1 : 1);
}

interface HostProcess {
  port: number;
  process: Deno.ChildProcess;
}

/** The running functions, in their own process: the stack survives its end. */
export class FunctionHost {
  #discover: () => Promise<FunctionInfo[]>;
  #env: Record<string, string>;
  #log: (line: string) => void;
  #host: HostProcess | undefined;
  #starting: Promise<void> | undefined;
  #watcher: Deno.FsWatcher | undefined;
  #reloadTimer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #functions = new Map<string, FunctionInfo>();

  constructor(options: {
    discover: () => Promise<FunctionInfo[]>;
    env: Record<string, string>;
    log: (line: string) => void;
  }) {
    this.#discover = options.discover;
    this.#env = options.env;
    this.#log = options.log;
  }

  get functions(): ReadonlyMap<string, FunctionInfo> {
    return this.#functions;
  }

  /** Returns the address of the functions; waits while they restart. */
  async port(): Promise<number | undefined> {
    if (!this.#host) await this.#starting;
    return this.#host?.port;
  }

  /** Address of the functions now, if they listen. */
  get currentPort(): number | undefined {
    return this.#host?.port;
  }

  /** After a request failed: waits until it is known whether the process has ended, so that the next one waits too. */
  async noticeEnd(port: number): Promise<void> {
    if (this.#host?.port === port) await within(endNoticedMs, this.#host.process.status);
  }

  /** Starts the functions; when they run already, the new ones take over and the old ones finish their requests. */
  async load(): Promise<void> {
    const previous = this.#starting;
    this.#starting = (async () => {
      await previous?.catch(() => {});
      if (this.#isClosed) return;
      const functions = await this.#discover();
      const host = await this.#spawn(functions);
      const old = this.#host;
      this.#functions = new Map(functions.map((info) => [info.name, info]));
      this.#host = host;
      if (old) end(old.process);
    })();
    await this.#starting;
  }

  async #spawn(functions: FunctionInfo[]): Promise<HostProcess> {
    const modules = functions.map(({ name, module }) => [name, module]);
    const process = new Deno.Command(await edgeDeno(), {
      args: [...edgeFlags, inProject("local", "functions", "functions_host.ts"), JSON.stringify(modules)],
      clearEnv: true,
      env: this.#env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const port = Promise.withResolvers<number>();
    this.#forward(process.stderr, (line) => this.#log(line));
    this.#forward(process.stdout, (line) => {
      const [, number] = line.match(/^listening (\d+)$/) ?? [];
      if (number) port.resolve(Number(number));
      else this.#log(line);
    });
    process.status.then((status) => {
      port.reject(new StackFailure(`The functions ended while starting (code ${status.code}).`));
      if (this.#host?.process === process) this.#replace(status.code);
    });
    const answer = await within(bootTimeoutMs, port.promise);
    if (answer !== undefined) return { port: answer, process };
    process.kill("SIGKILL");
    throw new StackFailure(`The functions did not start within ${bootTimeoutMs / 1000} s.`);
  }

  async #forward(stream: ReadableStream<Uint8Array>, write: (line: string) => void): Promise<void> {
    const lines = stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      try {
        write(String(line));
      } catch {
        // The line is lost, on a full disk for one; unless the next ones are read, the functions stop at a full pipe.
      }
    }
  }

  #replace(code: number): void {
    this.#host = undefined;
    if (this.#isClosed) return;
    this.#log(`The functions ended unexpectedly (code ${code}), starting them again.`);
    this.load().catch((error) => this.#log(String(error)));
  }

  /** Loads the functions again whenever one of `paths` changes. */
  async watch(paths: string[]): Promise<void> {
    const present: string[] = [];
    for (const path of paths) if (await Deno.stat(path).then(() => true, () => false)) present.push(path);
    this.#watcher = Deno.watchFs(present);
    this.#reloadOnChange(this.#watcher);
  }

  async #reloadOnChange(watcher: Deno.FsWatcher): Promise<void> {
    for await (const event of watcher) {
      const isSource = event.paths.some((path) =>
        /\.(ts|tsx|js|mjs|json|jsonc|html|css|env)$/.test(path) &&
        !/_test\.ts$|[\\/]functions[\\/]tests[\\/]/.test(path)
      );
      if (event.kind === "access" || !isSource) continue;
      clearTimeout(this.#reloadTimer);
      this.#reloadTimer = setTimeout(() => {
        const started = performance.now();
        this.load().then(
          () => this.#log(`Functions reloaded in ${Math.round(performance.now() - started)} ms.`),
          (error) => this.#log(String(error)),
        );
      }, reloadDelayMs);
    }
  }

  /** Announces the end to the functions: streams end, other requests continue. */
  async announceEnd(): Promise<void> {
    const writer = this.#host?.process.stdin.getWriter();
    await writer?.write(new TextEncoder().encode("end\n")).catch(() => {});
    writer?.releaseLock();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#reloadTimer);
    this.#watcher?.close();
    await this.#starting?.catch(() => {});
    const host = this.#host;
    this.#host = undefined;
    if (!host) return;
    end(host.process);
    if (await within(endMs, host.process.status)) return;
    host.process.kill("SIGKILL");
    await host.process.status;
  }
}

/** Lets a host finish its requests; it ends by itself when its input does. */
function end(process: Deno.ChildProcess): void {
  process.stdin.close().catch(() => {});
  process.status.then(() => {}, () => {});
}
