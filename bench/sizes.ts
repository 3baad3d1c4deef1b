/** Size of the code: lines by folder, bytes and import time of each function. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { loadConfig } from "../local/platform/config.ts";
import { edgeDeno, edgeFlags } from "../local/functions/edge_deno.ts";
import { discoverFunctions } from "../local/functions/functions.ts";
import { inProject } from "../local/system/paths.ts";
import { median } from "./median.ts";

/** One function, before it answers anything. */
export interface FunctionSize {
  name: string;
  /** All modules that it imports, packages included, as they are. */
  modules: number;
  graph_KiB: number;
  /** Bundled into one file and minified. */
  bundle_KiB: number;
  /** Time of the import in a new process. */
  import_ms: number;
}

/** Lines of the files of ours below a folder that are not empty. */
export interface FolderLines {
  folder: string;
  files: number;
  lines: number;
}

async function deno(args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd: inProject(), stdout: "piped", stderr: "piped" });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(`deno ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

async function graphOf(file: string): Promise<{ modules: number; bytes: number }> {
  const { modules }: { modules: { kind: string; local?: string }[] } = JSON.parse(await deno(["info", "--json", file]));
  const files = modules.flatMap(({ local }) => local ?? []);
  const sizes = await Promise.all(files.map(async (path) => (await Deno.stat(path)).size));
  return { modules: files.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

async function importTime(file: string, times: number): Promise<number> {
  const source = `const t = performance.now(); await import(${JSON.stringify(pathToFileURL(file).href)}); ` +
    "console.log(performance.now() - t); Deno.exit(0);";
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  const env = { SUPABASE_URL: "http://127.0.0.1:1", SUPABASE_SECRET_KEYS: '{"default":"none"}' };
  try {
    await Deno.writeTextFile(script, source);
    const measured: number[] = [];
    for (let i = 0; i < times; i++) {
      const { stdout } = await new Deno.Command(await edgeDeno(), {
        args: [...edgeFlags, script],
        env,
        stdout: "piped",
        stderr: "null",
      }).output();
      measured.push(Number(new TextDecoder().decode(stdout).trim().split("\n").at(-1)));
    }
    return median(measured);
  } finally {
    await Deno.remove(script);
  }
}

/** Each function of the project. */
export async function measureFunctions(): Promise<FunctionSize[]> {
  const functions = await discoverFunctions(
    inProject("supabase"),
    await loadConfig(inProject("supabase", "config.toml")),
  );
  const folder = await Deno.makeTempDir({ prefix: "mes-bundle-" });
  try {
    const sizes: FunctionSize[] = [];
    for (const { name } of functions) {
      const file = inProject("supabase", "functions", name, "index.ts");
      const graph = await graphOf(file);
      const bundle = join(folder, `${name}.js`);
      await deno(["bundle", "--quiet", "--minify", "--platform=deno", "--output", bundle, file]);
      sizes.push({
        name,
        modules: graph.modules,
        graph_KiB: graph.bytes / 1024,
        bundle_KiB: (await Deno.stat(bundle)).size / 1024,
        import_ms: await importTime(file, 5),
      });
    }
    return sizes;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const folders = [
  "supabase/functions",
  "supabase/functions/_shared",
  "supabase/functions/tests",
  "supabase/schemas",
  "local",
  "tools",
  "bench",
  "docs",
];

/** Lines of all folders; what is generated or comes from packages is left out. */
export async function countLines(): Promise<FolderLines[]> {
  const counted: FolderLines[] = [];
  const tracked = new Deno.Command("git", { args: ["ls-files"], cwd: inProject(), stdout: "piped" });
  const files = new TextDecoder().decode((await tracked.output()).stdout).trim().split("\n")
    .filter((path) => /\.(ts|sql)$/.test(path) && !path.endsWith("database.types.ts"));
  for (const folder of folders) {
    // a file counts for the deepest folder of the list
    const own = files.filter((path) => folders.filter((other) => path.startsWith(`${other}/`)).at(-1) === folder);
    for (
      const [kind, matches] of [["", (path: string) => !path.endsWith("_test.ts")], [
        " (tests)",
        (path: string) => path.endsWith("_test.ts"),
      ]] as const
    ) {
      const some = own.filter(matches);
      if (some.length === 0) continue;
      const texts = await Promise.all(some.map((path) => Deno.readTextFile(inProject(path)).catch(() => "")));
      const lines = texts.map((text) => text.split("\n").filter((line) => line.trim() !== "").length);
      counted.push({ folder: folder + kind, files: some.length, lines: lines.reduce((sum, count) => sum + count, 0) });
    }
  }
  return counted;
}
