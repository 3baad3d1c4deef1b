/**
 * The project that a command works with: its URL and its key, from the command line, the environment, or the local stack.
 *
 * @module
 */
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { inProject } from "../local/system/paths.ts";
import { ToolFailure } from "./failure.ts";

/** Where requests go, and with which credential. */
export interface Project {
  /** Address of the functions, as in `https://<ref>.supabase.co/functions/v1`. */
  functionsUrl: string;
  /** Secret key, or a user's access token. */
  key: string;
}

/** Returns URL and key. The key in a file of settings belongs to the URL in the same file and to no other. */
export async function projectOf(url: string | undefined, key: string | undefined): Promise<Project> {
  const local = parseEnv(await Deno.readTextFile(inProject("supabase", ".temp", "local.env")).catch(() => ""));
  const fromEnv = Deno.env.get("FUNCTIONS_URL") ?? Deno.env.get("SUPABASE_URL");
  const functionsUrl = functionsUrlOf(url ?? fromEnv ?? local.FUNCTIONS_URL);
  const isLocal = local.FUNCTIONS_URL !== undefined && functionsUrl === functionsUrlOf(local.FUNCTIONS_URL);
  const found = key ?? Deno.env.get("SUPABASE_SECRET_KEY") ?? (isLocal ? local.SUPABASE_SECRET_KEY : undefined);
  if (!found) throw new ToolFailure(`No key for ${functionsUrl}: set SUPABASE_SECRET_KEY, or give --key.`);
  // a header takes nothing else, and a line break at the end comes from a file
  const trimmed = found.trim();
  if (!/^[\x21-\x7e]+$/.test(trimmed)) throw new ToolFailure("The key has characters that no key has.");
  return { functionsUrl, key: trimmed };
}

function functionsUrlOf(text: string | undefined): string {
  if (!text) throw new ToolFailure("Where to? Set SUPABASE_URL, give --url, or start the local stack.");
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new ToolFailure(`"${text}" is not the URL of a project, like https://<ref>.supabase.co.`);
  }
  const base = text.replace(/\/+$/, "");
  return new URL(base).pathname === "/" ? `${base}/functions/v1` : base;
}

/** Returns the headers of a key: an access token has three parts. */
export function credentialOf(key: string): Record<string, string> {
  return /^[^.]+\.[^.]+\.[^.]+$/.test(key) ? { authorization: `Bearer ${key}` } : { apikey: key };
}

/** A path as its writer means it: a task runs in the checkout's folder, wherever it was called. */
export const fromHere = (path: string): string => resolve(Deno.env.get("INIT_CWD") ?? ".", path);

/** Returns the number of an option. */
export function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new ToolFailure(`Cannot use --${name} ${text}: give a number from ${least} to ${most}.`);
}
