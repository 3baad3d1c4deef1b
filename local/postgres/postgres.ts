import { dirname, join } from "node:path";
import type { DataFolder } from "./data_folder.ts";
import { messageOf, StackFailure } from "../system/failure.ts";
import { freePort } from "../system/free_port.ts";
import { delay, within } from "../system/poll.ts";
import { findPostgres, type PostgresBinaries, postgresMajor } from "./postgres_binaries.ts";
import { endOrphan } from "./postmaster.ts";
import { ServerLog } from "./server_log.ts";
import type { SystemUser } from "../system/system_user.ts";

/** The role that owns a new cluster, as on Supabase; `postgres` itself is not a superuser there. */
export const superuser = "supabase_admin";

/** Time limit from the start of a server to its first connection, recovery after a crash included. */
const startTimeoutMs = 60_000;

/** The first and the longest pause before a server that ended is started again. */
const minRestartDelayMs = 300;
const maxRestartDelayMs = 5000;

/** The log contains errors, but no rows and no parameters. */
const logSettings = [
  // Omits CONTEXT and DETAIL, which contains "Failing row contains (...)".
  "log_error_verbosity=terse",
  // Omits STATEMENT, which contains values.
  "log_min_error_statement=panic",
  "log_statement=none",
  "log_min_duration_statement=-1",
  "log_parameter_max_length=0",
  "log_parameter_max_length_on_error=0",
];

function run(program: string, args: string[], user: SystemUser | undefined): Deno.Command {
  return new Deno.Command(program, {
    args,
    // The current folder may be one that the account cannot enter.
    cwd: dirname(program),
    // This program parses the messages, so they must not depend on the machine's language.
    env: { LC_ALL: "C", TZ: "UTC" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(user ? { uid: user.uid, gid: user.gid } : {}),
  });
}

async function readVersion(databaseDir: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(join(databaseDir, "PG_VERSION"))).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new StackFailure(
      `Cannot read the database in ${databaseDir}: it belongs to another account of this machine.`,
    );
  }
}

/** Creates the database files. They get their name when complete, so that a kill leaves no partial database. */
async function initialise(folder: DataFolder, binaries: PostgresBinaries, password: string, durable: boolean) {
  const fresh = `${folder.databaseDir}.new`;
  const passwordFile = join(folder.path, "initdb-password");
  await Deno.remove(fresh, { recursive: true }).catch(() => {});
  await Deno.mkdir(fresh, { mode: 0o700 });
  await Deno.writeTextFile(passwordFile, password, { mode: 0o600 });
  try {
    if (folder.user) {
      await Deno.chown(fresh, folder.user.uid, folder.user.gid);
      await Deno.chown(passwordFile, folder.user.uid, folder.user.gid);
    }
    const args = [
      `--pgdata=${fresh}`,
      `--username=${superuser}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      // Text sorts by code point everywhere, whatever locales the machine has.
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      ...(durable ? [] : ["--no-sync"]),
    ];
    const { success, stderr } = await run(binaries.initdb, args, folder.user).output();
    if (!success) {
      throw new StackFailure(
        `PostgreSQL could not make its files in ${fresh}: ${new TextDecoder().decode(stderr).trim()}`,
      );
    }
    await Deno.rename(fresh, folder.databaseDir);
  } finally {
    await Deno.remove(passwordFile);
  }
}

/** The embedded PostgreSQL server of one stack. */
export class EmbeddedPostgres {
  #folder: DataFolder;
  #binaries: PostgresBinaries;
  #durable: boolean;
  #process: Deno.ChildProcess | undefined;
  #log: ServerLog;
  #lastLines = "";
  #wanted = false;
  /** The same for the whole life of the stack, so that clients find a restarted server again. */
  port: number;
  /** True when this start created the database. */
  readonly isNew: boolean;

  private constructor(folder: DataFolder, binaries: PostgresBinaries, port: number, durable: boolean, isNew: boolean) {
    this.#folder = folder;
    this.#binaries = binaries;
    this.#durable = durable;
    this.#log = new ServerLog(folder.databaseLog);
    this.port = port;
    this.isNew = isNew;
  }

  /**
   * Starts the server of a data folder, making the database first where there is none.
   * Not `durable`: no fsync, for data that is thrown away at exit.
   */
  static async open(
    folder: DataFolder,
    options: { password: string; port: number; durable: boolean },
  ): Promise<EmbeddedPostgres> {
    const binaries = await findPostgres(folder.user);
    const version = await readVersion(folder.databaseDir);
    if (version !== undefined && version !== postgresMajor) {
      throw new StackFailure(
        `The data folder ${folder.path} was made by PostgreSQL ${version}, this is PostgreSQL ${postgresMajor}: ` +
          "choose another folder with --data-dir, or move that one away.",
      );
    }
    if (version === undefined) await initialise(folder, binaries, options.password, options.durable);
    else await endOrphan(folder.databaseDir);
    const server = new EmbeddedPostgres(folder, binaries, options.port, options.durable, version === undefined);
    await server.start();
    return server;
  }

  /** Starts the server again after `stop`. */
  async start(): Promise<void> {
    this.#wanted = true;
    for (let attempt = 1;; attempt++) {
      if (await this.#launch()) return;
      // Another process took the free port before the server listened on it.
      const portTaken = /could not (bind|create any TCP\/IP sockets)/.test(this.#lastLines);
      // A server that was killed a moment ago holds its files until the system has cleared its processes away.
      const isHeld = /lock file .* already exists|pre-existing shared memory block/.test(this.#lastLines);
      if (!portTaken && !isHeld || attempt === 5) {
        throw new StackFailure(`PostgreSQL did not start: ${this.#lastReason} (more in ${this.#folder.databaseLog}).`);
      }
      if (isHeld) await delay(500);
      else this.port = freePort();
    }
  }

  /** Returns the server's last message about the cause of its end. */
  get #lastReason(): string {
    const reason = this.#lastLines.match(/(FATAL|PANIC):\s*(.*)/)?.[2] ?? (this.#lastLines.trim() || "no answer");
    return reason.replaceAll(/\s+/g, " ").replace(/\.$/, "");
  }

  async #launch(): Promise<boolean> {
    this.#lastLines = "";
    const settings = [
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "timezone=UTC",
      "log_timezone=UTC",
      "max_connections=100",
      "wal_level=logical",
      "jit=off",
      ...logSettings,
      ...(this.#durable ? [] : ["fsync=off", "full_page_writes=off"]),
    ];
    const args = ["-D", this.#folder.databaseDir, "-p", String(this.port), ...settings.flatMap((s) => ["-c", s])];
    const process = run(this.#binaries.postgres, args, this.#folder.user).spawn();
    this.#process = process;
    process.stdout.cancel();
    const ready = Promise.withResolvers<boolean>();
    const drained = this.#drain(process.stderr, () => ready.resolve(true));
    let wasReady = false;
    process.status.then(async () => {
      // Its last messages contain the cause.
      await within(1000, drained);
      ready.resolve(false);
      if (this.#process !== process) return;
      this.#process = undefined;
      if (wasReady) await this.#restart();
    });
    const isReady = await within(startTimeoutMs, ready.promise);
    if (isReady === undefined) await this.#end();
    wasReady = isReady === true;
    return wasReady;
  }

  /** Reads all output of the server: a full pipe would stop the server. */
  async #drain(stderr: ReadableStream<Uint8Array>, ready: () => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stderr) {
      this.#log.write(chunk);
      this.#lastLines = (this.#lastLines + decoder.decode(chunk, { stream: true })).slice(-4000);
      if (this.#lastLines.includes("ready to accept connections")) ready();
    }
  }

  /** Restarts a server that ended by itself until it runs: somebody may free a full disk later. */
  async #restart(): Promise<void> {
    let told: string | undefined;
    const tell = (text: string) => {
      if (text !== told) console.error(text);
      told = text;
    };
    for (let pauseMs = minRestartDelayMs;; pauseMs = Math.min(2 * pauseMs, maxRestartDelayMs)) {
      // Ctrl-C in a terminal reaches the server and this process at the same time.
      await delay(pauseMs);
      if (!this.#wanted || this.#process) return;
      if (told === undefined) {
        tell(`PostgreSQL ended unexpectedly, starting it again (see ${this.#folder.databaseLog}).`);
      }
      const hasStarted = await this.#launch().catch((error) => {
        this.#lastLines = messageOf(error);
        return false;
      });
      if (hasStarted) return tell("PostgreSQL runs again.");
      if (this.#wanted) tell(`PostgreSQL does not start: ${this.#lastReason}. It is tried again until it does.`);
    }
  }

  /** Stops the server: running transactions are rolled back, everything acknowledged is on disk. */
  async stop(): Promise<void> {
    this.#wanted = false;
    await this.#end();
  }

  async #end(): Promise<void> {
    const process = this.#process;
    if (!process) return;
    this.#process = undefined;
    // Fast shutdown, immediate shutdown, the end; Windows has only the last.
    const signals = Deno.build.os === "windows" ? ["SIGKILL"] as const : ["SIGINT", "SIGQUIT", "SIGKILL"] as const;
    for (const signal of signals) {
      try {
        process.kill(signal);
      } catch {
        // It has ended already.
      }
      if (await within(1500, process.status)) return;
    }
  }

  /** Stops the server and closes its log. */
  async close(): Promise<void> {
    await this.stop();
    await this.#log.close();
  }
}
