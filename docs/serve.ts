/**
 * `deno task docs [functions-url]`: Swagger UI and ReDoc on this machine for any project, since Supabase shows pages
 * on custom domains only. The pages come from this checkout, the document and everything that "Try it out" sends go to
 * the project, through this one origin, so that the pages need not reach any other.
 */
import { parseArgs } from "node:util";
import { takeDocsAssets } from "../local/commands/docs_assets.ts";
import { showHelp } from "../local/system/help.ts";
import { messageOf, runCommand, StackFailure } from "../local/system/failure.ts";
import docs from "../supabase/functions/docs/index.ts";

const usage = `Usage: deno task docs [functions-url] [--port <number>]

  functions-url       URL of the functions (default http://127.0.0.1:54321/functions/v1),
                      such as https://<project>.supabase.co/functions/v1
  --port <number>     port of the pages (default 8080; 0 = any free port)
  --help            this text`;

showHelp(usage);

const prefix = "/functions/v1";

/** The one path of the project beside its functions: the pages sign in there. */
const signIn = "/auth/v1/token";

function options(): { functionsUrl: string; port: number } {
  try {
    const { values, positionals: [functionsUrl = `http://127.0.0.1:54321${prefix}`, ...more] } = parseArgs({
      args: Deno.args,
      options: { port: { type: "string", default: "8080" } },
      allowPositionals: true,
    });
    const { protocol } = new URL(functionsUrl);
    if (more.length > 0 || !["http:", "https:"].includes(protocol)) throw new Error("Give one http(s) URL.");
    return { functionsUrl: functionsUrl.replace(/\/+$/, ""), port: Number(values.port) };
  } catch (error) {
    throw new StackFailure(`${messageOf(error)}\n\n${usage}`);
  }
}

/** Sends the request to the project and its answer back. */
async function forward(request: Request, target: string): Promise<Response> {
  const headers = new Headers(request.headers);
  for (const name of ["host", "connection", "keep-alive"]) headers.delete(name);
  try {
    return await fetch(target, { method: request.method, headers, body: request.body, redirect: "manual" });
  } catch (error) {
    return new Response(`${target} does not answer: ${messageOf(error)}\n`, { status: 502 });
  }
}

async function serve(): Promise<void> {
  const { functionsUrl, port } = options();
  await takeDocsAssets();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port,
    onListen: (address) => {
      const base = `http://127.0.0.1:${address.port}${prefix}/docs`;
      console.log(
        `Documentation of ${functionsUrl}\n  Swagger UI  ${base}\n  ReDoc       ${base}/redoc\nCtrl-C stops it.`,
      );
    },
  }, (request) => {
    const { pathname, search, href } = new URL(request.url);
    if (["/", prefix, `${prefix}/`].includes(pathname)) return Response.redirect(new URL(`${prefix}/docs/start`, href));
    if (pathname === signIn) return forward(request, new URL(signIn + search, functionsUrl).href);
    if (!pathname.startsWith(`${prefix}/`)) return new Response("Not found\n", { status: 404 });
    const path = pathname.slice(prefix.length);
    const isOwn = /^\/docs(\/|$)/.test(path) && path !== "/docs/openapi.json";
    return isOwn
      ? docs.fetch(new Request(new URL(path + search, href), request))
      : forward(request, functionsUrl + path + search);
  });
  await server.finished;
}

await runCommand(async () => {
  try {
    await serve();
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new StackFailure("The port is in use: choose another with --port, or 0 for any free one.");
  }
});
