/**
 * The functions once more, in a process of their own: for what the gateway would hide, and for other environments.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { edgeDeno, edgeFlags } from "../../../../local/functions/edge_deno.ts";
import { keySet } from "../../../../local/platform/keys.ts";
import { inProject } from "../../../../local/system/paths.ts";
import { env } from "./harness.ts";

/** Data API and keys of the functions. */
export interface Surroundings {
  supabaseUrl: string;
  publishableKey: string;
  secretKey: string;
  jwtSecret: string | undefined;
}

/** The stack under test. */
export const underTest: Surroundings = { ...env, jwtSecret: Deno.env.get("LOCAL_JWT_SECRET") };

/** A running process of functions. */
export interface FunctionsProcess {
  url: string;
  port: number;
  /** Its output so far, line by line. */
  log: string[];
  end(): Promise<void>;
}

/**
 * Starts functions.
 *
 * @param names Which ones; a name with a module in place of the function's own.
 * @param environment Variables beside, and instead of, those that every function has.
 */
export async function startFunctions(
  names: (string | [name: string, module: string])[],
  environment: Record<string, string> = {},
  { supabaseUrl, publishableKey, secretKey, jwtSecret }: Surroundings = underTest,
): Promise<FunctionsProcess> {
  const modules = names.map((name) =>
    typeof name === "string" ? [name, import.meta.resolve(`../../${name}/index.ts`)] : name
  );
  const process = new Deno.Command(await edgeDeno(), {
    args: [...edgeFlags, inProject("local", "functions", "functions_host.ts"), JSON.stringify(modules)],
    env: {
      SUPABASE_URL: supabaseUrl,
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: publishableKey }),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: secretKey }),
      ...(jwtSecret === undefined ? {} : { SUPABASE_JWKS: keySet(jwtSecret) }),
      ...environment,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  const port = Promise.withResolvers<number>();
  const follow = async (output: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const line of output.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      log.push(String(line));
      const [, number] = /^listening (\d+)$/.exec(String(line)) ?? [];
      if (number !== undefined) port.resolve(Number(number));
    }
    port.reject(new Error(`The functions ended: ${log.join("\n")}`));
  };
  const following = [follow(process.stdout), follow(process.stderr)];
  const listening = await port.promise;
  return {
    url: `http://127.0.0.1:${listening}`,
    port: listening,
    log,
    async end() {
      await process.stdin.close();
      await process.status;
      await Promise.allSettled(following);
    },
  };
}
