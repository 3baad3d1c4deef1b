/**
 * Runs a generator in a folder.
 *
 * @module
 */
import { join } from "node:path";
import { inProject } from "../../local/system/paths.ts";
import type { Generator } from "./generators.ts";

/** What became of a run. */
export type Outcome = { result: "works" } | { result: "missing"; program: string } | { result: "failed"; said: string };

/** Returns whether the program can be started. */
async function isInstalled(program: string): Promise<boolean> {
  const probe = program === "go" ? "version" : "--version";
  return await command(".", program, probe).then(() => true, () => false);
}

/** Runs a program to its end. */
export async function command(folder: string, program: string, ...args: string[]): Promise<string> {
  const installed = program === "npx" && Deno.build.os === "windows" ? "npx.cmd" : program;
  const path = program.startsWith("venv/") ? join(folder, program) : installed;
  const { success, stdout, stderr } = await new Deno.Command(path, {
    args,
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${[program, ...args].join(" ")}:\n${decoder.decode(stderr)}${decoder.decode(stdout)}`);
  return decoder.decode(stdout);
}

/** Writes the document and the generated code into the folder. */
export async function generate({ files = {}, generate }: Generator, folder: string): Promise<void> {
  await Deno.copyFile(inProject("docs", "openapi.json"), join(folder, "openapi.json"));
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(folder, name), text);
  for (const step of generate) await command(folder, ...step);
}

/** Generates a client in a new folder, and compiles it. */
export async function tryGenerator(generator: Generator): Promise<Outcome> {
  for (const program of generator.needs) {
    if (!await isInstalled(program)) return { result: "missing", program };
  }
  const folder = await Deno.makeTempDir({ prefix: "mes-client-" });
  try {
    await generate(generator, folder);
    for (const step of generator.compile) await command(folder, ...step);
    return { result: "works" };
  } catch (error) {
    return { result: "failed", said: error instanceof Error ? error.message : String(error) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
