/** `deno task psql`: opens psql on the running stack's database, or prints its address where psql is not installed. */
import { parseEnv } from "node:util";
import { runCommand, StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";
import { showHelp } from "../system/help.ts";

showHelp(`Usage: deno task psql [options of psql]

Opens psql on the stack that was started last, or prints its address where psql is not installed.`);

async function psql(): Promise<void> {
  const settings = parseEnv(await Deno.readTextFile(inProject("supabase", ".temp", "local.env")).catch(() => ""));
  const url = settings.DATABASE_URL;
  if (!url) throw new StackFailure("No stack has been started here yet: run `deno task start` first.");
  try {
    const { code } = await new Deno.Command("psql", { args: [url, ...Deno.args] }).spawn().status;
    Deno.exit(code);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(url);
  }
}

await runCommand(psql);
