import { demoUsers } from "../schema/demo_users.ts";
import type { Stack } from "../stack.ts";

/** Addresses, keys and demo users of a running stack, as `supabase status` shows them. */
export function statusTable(stack: Stack, { isEphemeral, envFile }: { isEphemeral: boolean; envFile: string }): string {
  const rows: [string, string][] = [
    ["Pages", stack.url],
    ["API", stack.url],
    ["Functions", `${stack.url}/functions/v1`],
    ["Documentation", `${stack.url}/functions/v1/docs`],
    ["Database", stack.databaseUrl],
    ["Publishable key", stack.keys.publishableKey],
    ["Secret key", stack.keys.secretKey],
    ["Data folder", isEphemeral ? `${stack.dataDir} (removed at exit, not synced to disk)` : stack.dataDir],
    ["Settings file", envFile],
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(16)} ${value}`);
  if (!stack.hasDemoUsers) return ["", ...lines, ""].join("\n");
  const width = Math.max(...demoUsers.map(({ email }) => email.length));
  const users = demoUsers.map(({ email, role, workplaces }) =>
    `  ${email.padEnd(width)}  ${role.padEnd(10)}  ${workplaces.join(", ")}`
  );
  return ["", ...lines, "", `Demo users, password ${stack.keys.demoPassword}`, ...users, ""].join("\n");
}
