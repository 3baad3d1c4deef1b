/**
 * `deno task rebuild`: computes every operation anew from its events and compares it with the stored row. Prints what
 * differs, field by field; exit code 1 when anything does. Nothing is changed.
 */
import { parseEnv } from "node:util";
import { compareWithEvents, told } from "../local/postgres/comparison.ts";
import { inProject } from "../local/system/paths.ts";
import { messageOf } from "../local/system/failure.ts";
import { showHelp } from "../local/system/help.ts";

if (import.meta.main) {
  showHelp(`Usage: deno task rebuild

Computes each operation from its events and compares it with the stored one, in the database of DATABASE_URL or of the
stack that was started last. Changes nothing; exit code 1 when one differs.`);
}

async function main(): Promise<number> {
  const settings = parseEnv(await Deno.readTextFile(inProject("supabase", ".temp", "local.env")).catch(() => ""));
  const databaseUrl = Deno.env.get("DATABASE_URL") ?? settings.DATABASE_URL;
  if (!databaseUrl) {
    console.error("error: Set DATABASE_URL, or start the local stack: deno task start");
    return 1;
  }
  const comparison = await compareWithEvents(databaseUrl);
  console.log(told(comparison));
  return comparison.divergences.length > 0 ? 1 : 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(`error: ${messageOf(error)}`);
    Deno.exit(1);
  }
}
