/**
 * `deno task web [functions-url]`: the pages of `web/` on this machine for any project. What they ask goes to the project
 * through this one origin. There are no demo users here.
 */
import { publicFileOf, readLocalEnv } from "../../local/commands/local_env.ts";
import { takeWebAssets } from "../../local/commands/web_assets.ts";
import { runCommand, StackFailure } from "../../local/system/failure.ts";
import { showHelp } from "../../local/system/help.ts";
import { inProject } from "../../local/system/paths.ts";
import { forwardingOptions, forwardToProject, functionsPath, serveHere } from "../../local/web/forwarding.ts";
import { Pages } from "../../local/web/pages.ts";

const usage = `Usage: deno task web [functions-url] [--port <number>]

  functions-url       URL of the functions (default http://127.0.0.1:54321/functions/v1),
                      such as https://<project>.supabase.co/functions/v1
  --port <number>     port of the pages (default 8081; 0 = any free port)
  --help            this text

SUPABASE_PUBLISHABLE_KEY is the project's publishable key. The stack that was started last on this machine
has left its own in supabase/.temp/local.public.env.`;

showHelp(usage);

/** Returns the publishable key: that of the environment, or that of the local stack with this URL. */
async function publishableKeyOf(functionsUrl: string): Promise<string> {
  const given = Deno.env.get("SUPABASE_PUBLISHABLE_KEY");
  if (given) return given;
  const settings = await readLocalEnv(publicFileOf(inProject("supabase", ".temp", "local.env"))).catch(() => undefined);
  if (settings?.FUNCTIONS_URL === functionsUrl && settings.SUPABASE_PUBLISHABLE_KEY) {
    return settings.SUPABASE_PUBLISHABLE_KEY;
  }
  throw new StackFailure(`Set SUPABASE_PUBLISHABLE_KEY to the publishable key of ${functionsUrl}.`);
}

async function serve(): Promise<void> {
  const { functionsUrl, port } = forwardingOptions(usage, 8081);
  const publishableKey = await publishableKeyOf(functionsUrl);
  await takeWebAssets();
  const pages = new Pages();
  const config = { functions_url: functionsPath, auth_url: "/auth/v1", publishable_key: publishableKey };
  const tell = (origin: string) => console.log(`Pages for ${functionsUrl}\n  ${origin}\nCtrl-C stops it.`);
  await serveHere(
    port,
    tell,
    async (request) =>
      await forwardToProject(request, functionsUrl) ?? await pages.answer(request, config) ??
        new Response("Not found\n", { status: 404 }),
  );
}

await runCommand(serve);
