/** `deno task reset`: drops all data, migrates and seeds again; a stack that is running does it itself and goes on. */
import { loadKeys } from "../platform/keys.ts";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { folderHolder, resolveDataPath } from "../postgres/data_folder.ts";
import { messageOf, runCommand, StackFailure } from "../system/failure.ts";
import { startStack } from "../stack.ts";

const usage = `Usage: deno task reset [options]

Drops all data, applies the migrations and the seed again; a stack that is running does it itself and goes on.

  --data-dir <path>   where keys and database live (default supabase/.temp/data)
  --no-seed           leave out seed.sql and the demo users
  --yes               needed when STACK_DATABASE_URL names the database
  --help              this text`;

function readOptions() {
  try {
    return parseArgs({
      args: Deno.args,
      options: {
        "data-dir": { type: "string" },
        "no-seed": { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new StackFailure(`${messageOf(error)}\n\n${usage}`);
  }
}

async function reset(): Promise<void> {
  const options = readOptions();
  if (options.help) return console.log(usage);

  const dataDir = await resolveDataPath(options["data-dir"]);
  const holder = await folderHolder(dataDir);
  if (holder) {
    const keys = await loadKeys(join(dataDir, "keys.json"));
    const response = await fetch(`${holder.url}/local/reset`, {
      method: "POST",
      headers: { apikey: keys.secretKey },
    });
    if (!response.ok) throw new StackFailure(`The stack at ${holder.url} could not reset: ${await response.text()}`);
    return console.log(`The stack at ${holder.url} has fresh data now.`);
  }
  const external = Deno.env.get("STACK_DATABASE_URL") || undefined;
  if (external && !options.yes) {
    const { host, pathname } = new URL(external);
    throw new StackFailure(`This drops the database ${host}${pathname} of STACK_DATABASE_URL: say so with --yes.`);
  }
  const stack = await startStack({
    dataDir,
    seed: !options["no-seed"],
    externalDatabase: external,
    onProgress: (step) => console.log(`  ${step}`),
    emptyFirst: true,
  });
  await stack.stop();
  console.log("The database is fresh.");
  Deno.exit(0);
}

await runCommand(reset);
