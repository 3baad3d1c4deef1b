import { parseArgs } from "node:util";
import { maxSpeed } from "../simulation/simulate.ts";
import { messageOf, StackFailure } from "../system/failure.ts";

/** Options of `deno task start`. */
export interface StartOptions {
  /** Port of the one HTTP address; 0 = any free one. */
  port: number;
  /** Folder of keys and database; undefined = `supabase/.temp/data`. */
  dataDir: string | undefined;
  /** Fresh data in a temporary folder, removed at exit. */
  ephemeral: boolean;
  /** File of the settings for scripts; undefined = `supabase/.temp/local.env`. */
  envFile: string | undefined;
  /** True when a fresh database gets `seed.sql` and the demo users. */
  seed: boolean;
  /** The day that a simulated hall plays; undefined = none. */
  simulation: { speed: number; seed: number } | undefined;
}

export const startUsage = `Usage: deno task start [options]

  --port <number>     port of the one HTTP address (default 54321; 0 = any free port)
  --data-dir <path>   where keys and database live (default supabase/.temp/data)
  --ephemeral         fresh data in a temporary folder, removed at exit
  --settings <path>   where the settings for scripts go (default supabase/.temp/local.env)
  --simulate[=speed]  a simulated hall works, 1 to 60 minutes in a real one (default 60)
  --simulate-seed <n> the same number plays the same day (default 1)
  --no-seed           leave out seed.sql and the demo users
  --help              this text

With STACK_DATABASE_URL set, that PostgreSQL 17 server is used instead of the embedded one.`;

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new StackFailure(`Cannot use port "${text}": give a number from 0 to 65535.`);
}

/** Splits off `--simulate[=speed]`, because `parseArgs` has no options whose value may be left out. */
function takeSpeed(args: string[]): { rest: string[]; speed: number | undefined } {
  const flag = args.find((arg) => /^--simulate(=|$)/.test(arg));
  if (flag === undefined) return { rest: args, speed: undefined };
  const speed = flag === "--simulate" ? maxSpeed : Number(flag.slice("--simulate=".length));
  if (!(speed >= 1 && speed <= maxSpeed)) {
    throw new StackFailure(`Cannot simulate with "${flag}": give a speed from 1 to ${maxSpeed}.`);
  }
  return { rest: args.filter((arg) => arg !== flag), speed };
}

function parseSeed(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new StackFailure(`Cannot use seed "${text}": give a number from 0 to 999999.`);
}

/** Reads the command line of `start`; undefined when help was asked for. */
export function parseStartOptions(args: string[]): StartOptions | undefined {
  try {
    const { rest, speed } = takeSpeed(args);
    const { values } = parseArgs({
      args: rest,
      options: {
        port: { type: "string", default: "54321" },
        "data-dir": { type: "string" },
        ephemeral: { type: "boolean", default: false },
        settings: { type: "string" },
        "no-seed": { type: "boolean", default: false },
        "simulate-seed": { type: "string", default: "1" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return undefined;
    if (values.ephemeral && values["data-dir"] !== undefined) {
      throw new StackFailure("Give either --ephemeral or --data-dir, not both.");
    }
    return {
      port: parsePort(values.port),
      dataDir: values["data-dir"],
      ephemeral: values.ephemeral,
      envFile: values.settings,
      seed: !values["no-seed"],
      simulation: speed === undefined ? undefined : { speed, seed: parseSeed(values["simulate-seed"]) },
    };
  } catch (error) {
    if (error instanceof StackFailure) throw error;
    throw new StackFailure(`${messageOf(error)}\n\n${startUsage}`);
  }
}
