/**
 * Sends what pages of this machine ask to a deployed project, through their own origin: for `deno task docs` and
 * `deno task web`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { messageOf, StackFailure } from "../system/failure.ts";

/** Path of the functions. */
export const functionsPath = "/functions/v1";

/** Paths of Supabase Auth that the pages use. */
const authPaths = ["/auth/v1/token", "/auth/v1/logout"];

/** Command line of a task that shows pages for a project. */
export interface ForwardingOptions {
  /** URL of the project's functions. */
  functionsUrl: string;
  /** Port of the pages; 0 = any free one. */
  port: number;
}

/**
 * Reads `[functions-url] [--port <number>]`.
 *
 * @throws {StackFailure} An argument is wrong.
 */
export function forwardingOptions(usage: string, defaultPort: number): ForwardingOptions {
  try {
    const { values, positionals: [functionsUrl = `http://127.0.0.1:54321${functionsPath}`, ...more] } = parseArgs({
      args: Deno.args,
      options: { port: { type: "string", default: String(defaultPort) } },
      allowPositionals: true,
    });
    const { protocol } = new URL(functionsUrl);
    if (more.length > 0 || !["http:", "https:"].includes(protocol)) throw new Error("Give one http(s) URL.");
    return { functionsUrl: functionsUrl.replace(/\/+$/, ""), port: Number(values.port) };
  } catch (error) {
    throw new StackFailure(`${messageOf(error)}\n\n${usage}`);
  }
}

/** Forwards a request to the project; undefined when its path is none of the project's. */
export function forwardToProject(request: Request, functionsUrl: string): Promise<Response> | undefined {
  const { pathname, search } = new URL(request.url);
  if (authPaths.includes(pathname)) return forward(request, new URL(pathname + search, functionsUrl).href);
  if (!pathname.startsWith(`${functionsPath}/`)) return undefined;
  return forward(request, functionsUrl + pathname.slice(functionsPath.length) + search);
}

async function forward(request: Request, target: string): Promise<Response> {
  const headers = new Headers(request.headers);
  for (const name of ["host", "connection", "keep-alive"]) headers.delete(name);
  const { method, body, signal } = request;
  try {
    return await fetch(target, { method, headers, body, signal, redirect: "manual" });
  } catch (error) {
    return new Response(`${target} does not answer: ${messageOf(error)}\n`, { status: 502 });
  }
}

/** Serves on this machine until it is stopped. */
export async function serveHere(
  port: number,
  onListen: (origin: string) => void,
  answer: (request: Request) => Response | Promise<Response>,
): Promise<void> {
  try {
    await Deno.serve({
      hostname: "127.0.0.1",
      port,
      onListen: (address) => onListen(`http://127.0.0.1:${address.port}`),
    }, answer).finished;
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new StackFailure("The port is in use: choose another with --port, or 0 for any free one.");
  }
}
