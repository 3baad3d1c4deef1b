/** `deno task types`: the TypeScript types of the database, made by the Supabase CLI from a fresh stack. */
import { dirname } from "node:path";
import { supabaseCli } from "./supabase_cli.ts";
import { runCommand, StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";
import { startStack } from "../stack.ts";
import { showHelp } from "../system/help.ts";

showHelp(`Usage: deno task types [--check]

Writes the TypeScript types of the database.

  --check   write nothing, and fail when they do not fit the migrations
  --help    this text`);

const target = inProject("supabase", "functions", "_shared", "database.types.ts");

async function generate(): Promise<string> {
  const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: () => {} });
  try {
    const remote = `--remote=${stack.databaseUrl}?sslmode=disable`;
    return await format(await supabaseCli(["gen", "types", "--lang", "typescript", "--schema", "public", remote]));
  } finally {
    await stack.stop();
  }
}

/** The CLI's own layout is one line for each table: no diff of it can be read. */
async function format(source: string): Promise<string> {
  const config = `--config=${inProject("deno.json")}`;
  const formatter = new Deno.Command(Deno.execPath(), {
    args: ["fmt", config, "--ext=ts", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = formatter.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source));
  await writer.close();
  const { success, stdout } = await formatter.output();
  if (!success) throw new Error("deno fmt could not format the types");
  return new TextDecoder().decode(stdout);
}

async function types(): Promise<void> {
  const generated = await generate();
  if (!Deno.args.includes("--check")) {
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.writeTextFile(target, generated);
    console.log(`Written: ${target}`);
    Deno.exit(0);
  }
  const current = await Deno.readTextFile(target).catch(() => "");
  if (current !== generated) {
    throw new StackFailure(`${target} does not fit the migrations: run \`deno task types\` and commit it.`);
  }
  console.log("The types are current.");
  Deno.exit(0);
}

await runCommand(types);
