/**
 * Takes the few built files that browsers load out of npm packages. The npm client fetches the packages, so the user's
 * registry and cache apply.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { messageOf, StackFailure } from "./failure.ts";
import { inProject } from "./paths.ts";

/** A package and its files that are needed. */
export interface FilesOfPackage {
  name: string;
  version: string;
  /** Checksum of the package, as the registry states it. */
  integrity: string;
  /** Paths in the package -> paths in the target folder. */
  files: Readonly<Record<string, string>>;
  /** Text of its files -> what stands there instead. */
  replace: Readonly<Record<string, string>>;
}

/**
 * Puts files of packages into a folder; those that are there already stay.
 *
 * @returns The paths of the files that were taken.
 */
export async function takeFiles(packages: readonly FilesOfPackage[], folder: string): Promise<string[]> {
  return (await Promise.all(packages.map((one) => takePackage(one, folder)))).flat();
}

async function takePackage(
  { name, version, integrity, files, replace }: FilesOfPackage,
  folder: string,
): Promise<string[]> {
  const targets = Object.values(files).map((file) => join(folder, file));
  if ((await Promise.all(targets.map(isFile))).every(Boolean)) return [];

  const entries = await unpack(await fetchPackage(`${name}@${version}`, integrity));
  const texts = Object.keys(files).map((path) => {
    const bytes = entries.get(`package/${path}`);
    if (bytes === undefined) throw new StackFailure(`${name}@${version} has no file ${path}.`);
    return new TextDecoder().decode(bytes);
  });
  for (const before of Object.keys(replace)) {
    if (texts.some((text) => text.includes(before))) continue;
    throw new StackFailure(`The files of ${name}@${version} do not contain ${before} any more.`);
  }
  for (const [index, target] of targets.entries()) {
    await Deno.mkdir(dirname(target), { recursive: true });
    // several starts may do the same at once: each file appears whole
    const draft = `${target}.${crypto.randomUUID()}`;
    await Deno.writeTextFile(draft, replaced(texts[index] ?? "", replace));
    await Deno.rename(draft, target);
  }
  return targets;
}

function replaced(text: string, replace: FilesOfPackage["replace"]): string {
  return Object.entries(replace).reduce((result, [before, after]) => result.replaceAll(before, after), text);
}

async function fetchPackage(spec: string, integrity: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir({ prefix: "mes-package-" });
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
