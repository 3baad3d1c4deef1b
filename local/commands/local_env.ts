import { dirname } from "node:path";

/** Addresses and keys of a running stack, for scripts. */
export interface StackAddresses {
  url: string;
  publishableKey: string;
  secretKey: string;
  databaseUrl: string;
  demoPassword: string;
}

/** The settings by their names in the environment. */
export function environmentOf(stack: StackAddresses): Record<string, string> {
  return {
    SUPABASE_URL: stack.url,
    FUNCTIONS_URL: `${stack.url}/functions/v1`,
    SUPABASE_PUBLISHABLE_KEY: stack.publishableKey,
    SUPABASE_SECRET_KEY: stack.secretKey,
    DATABASE_URL: stack.databaseUrl,
    DEMO_PASSWORD: stack.demoPassword,
  };
}

/** Writes the settings as `KEY=value` lines, readable by the owner only. */
export async function writeLocalEnv(file: string, stack: StackAddresses): Promise<void> {
  await Deno.mkdir(dirname(file), { recursive: true });
  const lines = Object.entries(environmentOf(stack)).map(([name, value]) => `${name}=${value}\n`);
  // A file that was there keeps its mode when it is written: it is replaced instead.
  const fresh = `${file}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(fresh, lines.join(""), { mode: 0o600 });
  await Deno.rename(fresh, file);
}
