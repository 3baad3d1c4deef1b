/**
 * Functions in a process of their own, whose way to the Data API leads through the test.
 *
 * @module
 */
import { type FunctionsProcess, startFunctions, underTest } from "./functions_process.ts";
import { env } from "./harness.ts";

/** Running functions that tell which calls of the Data API they make. */
export interface WatchedFunctions extends FunctionsProcess {
  /** Returns the calls since it was asked last, as `POST /rest/v1/rpc/health`. */
  takeCalls(): string[];
}

/**
 * Starts functions.
 *
 * @param names Which ones.
 * @param intercept Answers a call in place of the Data API; undefined lets it pass.
 */
export async function watchFunctions(
  names: string[],
  intercept: (call: string) => Response | undefined = () => undefined,
): Promise<WatchedFunctions> {
  let calls: string[] = [];
  const door = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const call = `${request.method} ${pathname}`;
    calls.push(call);
    const body = request.body === null ? undefined : await request.bytes();
    return intercept(call) ?? await fetch(`${env.supabaseUrl}${pathname}${search}`, {
      method: request.method,
      headers: request.headers,
      body,
    });
  });
  const functions = await startFunctions(
    names,
    { SUPABASE_AUTH_ISSUER: `${env.supabaseUrl}/auth/v1` },
    { ...underTest, supabaseUrl: `http://127.0.0.1:${door.addr.port}` },
  );
  return {
    ...functions,
    takeCalls() {
      const taken = calls;
      calls = [];
      return taken;
    },
    async end() {
      await functions.end();
      await door.shutdown();
    },
  };
}
