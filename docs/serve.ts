/**
 * `deno task docs [functions-url]`: Swagger UI and ReDoc on this machine for any project, since Supabase shows pages
 * on custom domains only. The pages come from this checkout, the document and everything that "Try it out" sends go to
 * the project, through this one origin, so that the pages need not reach any other.
 */
import { takeDocsAssets } from "../local/commands/docs_assets.ts";
import { showHelp } from "../local/system/help.ts";
import { runCommand } from "../local/system/failure.ts";
import { forwardingOptions, forwardToProject, functionsPath, serveHere } from "../local/web/forwarding.ts";
import docs from "../supabase/functions/docs/index.ts";

const usage = `Usage: deno task docs [functions-url] [--port <number>]

  functions-url       URL of the functions (default http://127.0.0.1:54321/functions/v1),
                      such as https://<project>.supabase.co/functions/v1
  --port <number>     port of the pages (default 8080; 0 = any free port)
  --help            this text`;

showHelp(usage);

async function serve(): Promise<void> {
  const { functionsUrl, port } = forwardingOptions(usage, 8080);
  await takeDocsAssets();
  const tell = (origin: string) => {
    const base = `${origin}${functionsPath}/docs`;
    console.log(
      `Documentation of ${functionsUrl}\n  Swagger UI  ${base}\n  ReDoc       ${base}/redoc\nCtrl-C stops it.`,
    );
  };
  await serveHere(port, tell, (request) => {
    const { pathname, search, href } = new URL(request.url);
    if (["/", functionsPath, `${functionsPath}/`].includes(pathname)) {
      return Response.redirect(new URL(`${functionsPath}/docs/start`, href));
    }
    const path = pathname.slice(functionsPath.length);
    const isOwn = /^\/functions\/v1\/docs(\/|$)/.test(pathname) && path !== "/docs/openapi.json";
    if (isOwn) return docs.fetch(new Request(new URL(path + search, href), request));
    return forwardToProject(request, functionsUrl) ?? new Response("Not found\n", { status: 404 });
  });
}

await runCommand(serve);
