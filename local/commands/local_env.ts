/**
 * Files of the settings of a running stack, for scripts. None of their variables changes what a task does: `start`,
 * `reset` and `lint:sql` read STACK_DATABASE_URL, and `test` reads the file that `--settings` names.
 *
 * @module
 */
import { parseEnv } from "node:util";
import { dirname } from "node:path";
import { messageOf, StackFailure } from "../system/failure.ts";

/** Addresses and keys of a running stack, for scripts. */
export interface StackAddresses {
  url: string;
  publishableKey: string;
  secretKey: string;
  databaseUrl: string;
  demoPassword: string;
}

/** Returns the public settings: the addresses, and the key that browsers send. */
function publicSettings({ url, publishableKey }: StackAddresses): Record<string, string> {
  return { SUPABASE_URL: url, FUNCTIONS_URL: `${url}/functions/v1`, SUPABASE_PUBLISHABLE_KEY: publishableKey };
}

/** Returns the settings by their names in the environment. */
export function environmentOf(stack: StackAddresses): Record<string, string> {
  return {
    ...publicSettings(stack),
    SUPABASE_SECRET_KEY: stack.secretKey,
    DATABASE_URL: stack.databaseUrl,
    DEMO_PASSWORD: stack.demoPassword,
  };
}

/** Returns the path of the file without secrets that stands beside `file`: `local.env` -> `local.public.env`. */
export const publicFileOf = (file: string) => file.replace(/(\.env)?$/, ".public.env");

/** Writes the settings as lines of `export KEY=value`, readable by the owner only, and those without secrets beside it. */
export async function writeLocalEnv(file: string, stack: StackAddresses): Promise<void> {
  await Deno.mkdir(dirname(file), { recursive: true });
  await write(file, environmentOf(stack), 0o600);
  await write(publicFileOf(file), publicSettings(stack), 0o644);
}

async function write(file: string, settings: Record<string, string>, mode: number): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `export ${name}=${value}\n`);
  // A file that was there keeps its mode when it is written: it is replaced instead.
  const fresh = `${file}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(fresh, lines.join(""), { mode });
  await Deno.rename(fresh, file);
}

/**
 * Reads a file of settings.
 *
 * @throws {StackFailure} The file cannot be read.
 */
export async function readLocalEnv(file: string): Promise<Partial<Record<string, string>>> {
  try {
    return parseEnv(await Deno.readTextFile(file));
  } catch (error) {
    throw new StackFailure(`Cannot read the settings of ${file}: ${messageOf(error)}`);
  }
}
