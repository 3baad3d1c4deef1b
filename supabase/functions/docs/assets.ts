/**
 * The files that the pages load: our own in `static/`, those of npm packages in `assets/` (see packages.ts).
 *
 * @module
 */
import { Problem } from "../_shared/problems.ts";
import { packages } from "./packages.ts";

const contentTypes = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
} as const;

/** Our own files. */
const own = ["swagger.js", "redoc.js", "pages.css", "icon.svg"];

interface Asset {
  bytes: Uint8Array<ArrayBuffer>;
  contentType: string;
  /** True when another content would have another name. */
  isVersioned: boolean;
}

/**
 * Reads a file by its public name; undefined when there is none of this name.
 *
 * @throws {Problem} `unavailable` when it was not taken from its package.
 */
export async function readAsset(name: string): Promise<Asset | undefined> {
  const isVersioned = packages.some(({ files }) => Object.values<string>(files).includes(name));
  if (!isVersioned && !own.includes(name)) return undefined;
  const extension = name.split(".").at(-1) as keyof typeof contentTypes;
  try {
    const bytes = await Deno.readFile(new URL(`./${isVersioned ? "assets" : "static"}/${name}`, import.meta.url));
    return { bytes, contentType: contentTypes[extension], isVersioned };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Problem("unavailable", `${name} is missing here: run \`deno task docs:assets\` before deploying`);
  }
}
