import { parseEnv } from "node:util";
import { keySet, type StackKeys } from "../platform/keys.ts";

/** Variables that a process needs to run at all; nothing else of the user's environment gets in. */
const inherited = [
  "PATH",
  "HOME",
  "USERPROFILE",
  "SystemRoot",
  "TMPDIR",
  "TEMP",
  "TMP",
  "DENO_DIR",
  "DENO_TLS_CA_STORE",
];

/**
 * The environment that functions see: the variables that Supabase gives them, and the project's own from
 * `supabase/functions/.env`, as `supabase functions serve` reads it.
 *
 * @param usual Variables that the file may set otherwise.
 */
export async function functionEnvironment(
  url: string,
  keys: StackKeys,
  databaseUrl: string,
  envFile: string,
  usual: Record<string, string> = {},
): Promise<Record<string, string>> {
  const own = await Deno.readTextFile(envFile).catch(() => "");
  const machine = inherited.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  });
  return {
    ...Object.fromEntries(machine),
    // webhooks may go to programs on this machine, which a deployed project refuses
    WEBHOOKS_ALLOW_LOOPBACK: "true",
    ...usual,
    ...parseEnv(own),
    SUPABASE_URL: url,
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
    SUPABASE_JWKS: keySet(keys.jwtSecret),
    SUPABASE_DB_URL: databaseUrl,
  };
}
