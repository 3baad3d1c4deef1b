import { messageOf, StackFailure } from "../system/failure.ts";
import { projectRoot } from "../system/paths.ts";

/** The Supabase CLI, at the version that README.md names too: local/tests/versions_test.ts compares the two. */
export const supabasePackage = "supabase@3.1.0";

/** Runs the Supabase CLI, which comes by npx, and returns what it printed. */
export async function supabaseCli(
  args: string[],
  { cwd = projectRoot, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const npx = Deno.build.os === "windows" ? "npx.cmd" : "npx";
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(npx, {
      args: ["-y", supabasePackage, ...args],
      cwd,
      env: { SUPABASE_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
  } catch (error) {
    throw new StackFailure(`Cannot run npx, which brings the Supabase CLI: ${messageOf(error)}. Install Node.js.`);
  }
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (output.success) return decode(output.stdout);
  throw new StackFailure(`supabase ${args[0]} failed: ${decode(output.stderr).trim() || decode(output.stdout).trim()}`);
}
