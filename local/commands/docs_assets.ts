/**
 * `deno task docs:assets`: takes the files that the documentation pages load out of their npm packages, for the local
 * stack and before `supabase functions deploy`. The npm client fetches them, so the user's registry and cache apply.
 */
import { dirname, join } from "node:path";
import { messageOf, runCommand, StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";
import { showHelp } from "../system/help.ts";

if (import.meta.main) {
  showHelp(`Usage: deno task docs:assets

Fetches the files of the documentation pages from their npm packages.`);
}

const docsFolder = inProject("supabase", "functions", "docs");

interface Package {
  name: string;
  version: string;
  integrity: string;
  files: Readonly<Record<string, string>>;
  /** Text of its files -> what stands there instead. */
  replace: Readonly<Record<string, string>>;
}

/**
 * Puts the files into place; those that are there already stay.
 *
 * @returns The names of the files that were taken; empty when all were there, or this project has no pages.
 */
export async function takeDocsAssets(): Promise<string[]> {
  if (!await isFile(join(docsFolder, "packages.ts"))) return [];
  const { packages } = await import("../../supabase/functions/docs/packages.ts");
  const taken = await Promise.all(packages.map(takePackage));
  return taken.flat();
}

/** As {@link takeDocsAssets}, but only reports a missing npm or registry, because everything else works without. */
export async function prepareDocs(tell: (line: string) => void): Promise<void> {
  try {
    const taken = await takeDocsAssets();
    if (taken.length > 0) tell("Documentation pages");
  } catch (error) {
    tell(`Documentation pages are left out: ${messageOf(error)}`);
  }
}

async function takePackage({ name, version, integrity, files, replace }: Package): Promise<string[]> {
  const folder = join(docsFolder, "assets");
  const missing: [path: string, target: string][] = [];
  for (const [path, asset] of Object.entries(files)) {
    if (!await isFile(join(folder, asset))) missing.push([path, join(folder, asset)]);
  }
  if (missing.length === 0) return [];

  const entries = await unpack(await fetchPackage(`${name}@${version}`, integrity));
  for (const [path, target] of missing) {
    const bytes = entries.get(`package/${path}`);
    if (bytes === undefined) throw new StackFailure(`${name}@${version} has no file ${path}.`);
    await Deno.mkdir(dirname(target), { recursive: true });
    // several starts may do the same at once: each file appears whole
    const draft = `${target}.${crypto.randomUUID()}`;
    await Deno.writeTextFile(draft, replaced(new TextDecoder().decode(bytes), replace));
    await Deno.rename(draft, target);
  }
  return missing.map(([, target]) => target);
}

function replaced(text: string, replace: Package["replace"]): string {
  for (const [before, after] of Object.entries(replace)) {
    if (!text.includes(before)) throw new StackFailure(`The documentation's files do not contain ${before} any more.`);
    text = text.replaceAll(before, after);
  }
  return text;
}

async function fetchPackage(spec: string, integrity: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir({ prefix: "mes-docs-" });
  try {
    const npm = Deno.build.os === "windows" ? "npm.cmd" : "npm";
    const { success, stderr } = await new Deno.Command(npm, {
      args: ["pack", spec, "--pack-destination", folder, "--ignore-scripts", "--no-progress"],
      cwd: inProject(),
      stdout: "null",
      stderr: "piped",
    }).output().catch((error) => {
      throw new StackFailure(`Cannot run npm, which brings ${spec}: ${messageOf(error)}`);
    });
    const [archive] = [...Deno.readDirSync(folder)];
    if (!success || archive === undefined) {
      const said = new TextDecoder().decode(stderr).split("\n").filter((line) => line.startsWith("npm error"));
      throw new StackFailure(`npm did not bring ${spec}: ${said.slice(0, 2).join(" ")}`);
    }
    const bytes = await Deno.readFile(join(folder, archive.name));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-512", bytes)).toBase64();
    if (`sha512-${digest}` !== integrity) throw new StackFailure(`${spec} is not the package that is pinned.`);
    return bytes;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The files of a .tgz by their paths: 512-byte headers (POSIX ustar), each with its file's bytes behind it. */
async function unpack(archive: Uint8Array<ArrayBuffer>): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const stream = new Blob([archive]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const textAt = (start: number, length: number) =>
    new TextDecoder().decode(bytes.subarray(start, start + length)).replace(/\0.*$/s, "").trim();
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (let header = 0; header + 512 <= bytes.length && bytes[header] !== 0;) {
    const size = parseInt(textAt(header + 124, 12), 8);
    const prefix = textAt(header + 345, 155);
    const name = textAt(header, 100);
    files.set(prefix ? `${prefix}/${name}` : name, bytes.slice(header + 512, header + 512 + size));
    header += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}

async function main(): Promise<void> {
  const taken = await takeDocsAssets();
  console.log(taken.length > 0 ? `Wrote\n  ${taken.join("\n  ")}` : "All files are there.");
}

if (import.meta.main) await runCommand(main);
