/**
 * The files that the pages load: our own in `static/`, files of npm packages in `assets/` (see packages.ts).
 *
 * @module
 */
import { extname } from "node:path";
import { Problem } from "../_shared/problems.ts";
import { packages } from "./packages.ts";

const contentTypes = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
} as const;

/** Our own files. */
const own = ["redoc.js", "swagger.js", "pages.css", "icon.svg"];

interface Asset {
  bytes: Uint8Array<ArrayBuffer>;
  contentType: string;
  /** Whether the name contains the version of the content. */
  isVersioned: boolean;
}

/**
 * Reads a file by its public name; undefined when no file has this name.
 *
 * @throws {Problem} `unavailable` when the file was not copied from its package.
 */
export async function readAsset(name: string): Promise<Asset | undefined> {
  const isVersioned = packages.some(({ files }) => Object.values<string>(files).includes(name));
  if (!isVersioned && !own.includes(name)) return undefined;
  const extension = extname(name) as keyof typeof contentTypes;
  try {
    const bytes = await Deno.readFile(new URL(`./${isVersioned ? "assets" : "static"}/${name}`, import.meta.url));
    return { bytes, contentType: contentTypes[extension], isVersioned };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Problem("unavailable", `${name} is missing here: run \`deno task docs:assets\` before deploying`);
  }
}
