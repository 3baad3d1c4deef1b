import { basename, join } from "node:path";
import { StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";

/** Folders with tests. */
const folders = ["supabase/functions", "local", "tools", "web"];

async function testFilesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory && !name.startsWith(".")) files.push(...await testFilesBelow(join(folder, name)));
    else if (name.endsWith("_test.ts")) files.push(join(folder, name));
  }
  return files;
}

/**
 * Finds test files by a path, a name, or a part of either: `lifecycle` finds lifecycle_test.ts and lifecycle_model_test.ts.
 *
 * @throws {StackFailure} No test file has this name.
 */
export async function testFilesOf(word: string): Promise<string[]> {
  if (await Deno.stat(word).then(() => true, () => false)) return [word];
  const all = (await Promise.all(folders.map((folder) => testFilesBelow(inProject(folder))))).flat().sort();
  const matches = (file: string) =>
    word.includes("/")
      ? file.includes(word)
      : word.endsWith(".ts")
      ? basename(file) === word
      : basename(file).includes(word);
  const named = all.filter(matches);
  if (named.length === 0) throw new StackFailure(`No test file has "${word}" in its name: see ${folders.join(", ")}`);
  return named;
}

/** Splits the arguments of `deno task test` into the flags of `deno test` and the test files to run; none is all. */
export async function filesAndFlags(args: readonly string[]): Promise<{ files: string[]; flags: string[] }> {
  const flags: string[] = [];
  const words: string[] = [];
  for (const [index, arg] of args.entries()) {
    const isValue = args[index - 1] === "--filter";
    (arg.startsWith("-") || isValue ? flags : words).push(arg);
  }
  const files = words.length === 0
    ? folders.map((folder) => inProject(folder))
    : (await Promise.all(words.map(testFilesOf))).flat();
  return { files: [...new Set(files)], flags };
}
