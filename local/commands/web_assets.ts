/** `deno task web:assets`: takes the libraries of the pages in `web/` out of their npm packages. */
import { runCommand } from "../system/failure.ts";
import { showHelp } from "../system/help.ts";
import { takeFiles } from "../system/package_files.ts";
import { inProject } from "../system/paths.ts";

if (import.meta.main) {
  showHelp(`Usage: deno task web:assets

Fetches the libraries of the pages in web/ from their npm packages.`);
}

/**
 * Puts the libraries into place; those that are there already stay.
 *
 * @returns The paths of the files that were taken; empty when all were there, or this project has no pages.
 */
export async function takeWebAssets(): Promise<string[]> {
  if (!await Deno.stat(inProject("web", "packages.ts")).then((info) => info.isFile, () => false)) return [];
  const { packages } = await import("../../web/packages.ts");
  return await takeFiles(packages, inProject("web", "assets"));
}

async function main(): Promise<void> {
  const taken = await takeWebAssets();
  console.log(taken.length > 0 ? `Wrote\n  ${taken.join("\n  ")}` : "All files are there.");
}

if (import.meta.main) await runCommand(main);
