import { parseArgs } from "node:util";
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
}

export const startUsage = `Usage: deno task start [options]

  --port <number>     port of the one HTTP address (default 54321; 0 = any free port)
  --data-dir <path>   where keys and database live (default supabase/.temp/data)
  --ephemeral         fresh data in a temporary folder, removed at exit
  --settings <path>   where the settings for scripts go (default supabase/.temp/local.env)
  --no-seed           leave out seed.sql and the demo users
  --help              this text

With STACK_DATABASE_URL set, that PostgreSQL 17 server is used instead of the embedded one.`;

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new StackFailure(`Cannot use port "${text}": give a number from 0 to 65535.`);
}

/** Reads the command line of `start`; undefined when help was asked for. */
export function parseStartOptions(args: string[]): StartOptions | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        port: { type: "string", default: "54321" },
        "data-dir": { type: "string" },
        ephemeral: { type: "boolean", default: false },
        settings: { type: "string" },
        "no-seed": { type: "boolean", default: false },
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
    };
  } catch (error) {
    if (error instanceof StackFailure) throw error;
    throw new StackFailure(`${messageOf(error)}\n\n${startUsage}`);
  }
}
