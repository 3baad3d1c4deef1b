import { TextLineStream } from "@std/streams/text_line_stream.js";
import { edgeDeno, edgeFlags } from "../local/functions/edge_deno.ts";
import { keySet } from "../local/platform/keys.ts";
import { inProject } from "../local/system/paths.ts";
import type { Stack } from "../local/stack.ts";

/** Starts a program of this folder as the isolate of a function. Resolves when it has printed the port of its server. */
export async function startIsolate(
  program: string,
  stack: Stack,
): Promise<{ isolate: Deno.ChildProcess; base: string }> {
  const isolate = new Deno.Command(await edgeDeno(), {
    args: [...edgeFlags, inProject("bench", program)],
    env: {
      SUPABASE_URL: stack.url,
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: stack.keys.publishableKey }),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: stack.keys.secretKey }),
      SUPABASE_JWKS: keySet(stack.keys.jwtSecret),
    },
    stdout: "piped",
  }).spawn();
  const lines = isolate.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  return { isolate, base: `http://127.0.0.1:${(await lines.read()).value}` };
}
