/**
 * `deno task docs:assets`: takes the files that the documentation pages load out of their npm packages, for the local
 * stack and before `supabase functions deploy`.
 */
import { join } from "node:path";
import { messageOf, runCommand } from "../system/failure.ts";
import { takeFiles } from "../system/package_files.ts";
import { inProject } from "../system/paths.ts";
import { showHelp } from "../system/help.ts";
import { takeWebAssets } from "./web_assets.ts";

if (import.meta.main) {
  showHelp(`Usage: deno task docs:assets

Fetches the files of the documentation pages from their npm packages.`);
}

const docsFolder = inProject("supabase", "functions", "docs");

/**
 * Puts the files into place; those that are there already stay.
 *
 * @returns The paths of the files that were taken; empty when all were there, or this project has no pages.
 */
export async function takeDocsAssets(): Promise<string[]> {
  if (!await Deno.stat(join(docsFolder, "packages.ts")).then((info) => info.isFile, () => false)) return [];
  const { packages } = await import("../../supabase/functions/docs/packages.ts");
  return await takeFiles(packages, join(docsFolder, "assets"));
}

/**
 * Takes the files of all pages, and only reports a missing npm or registry, because everything else works without.
 */
export async function preparePages(tell: (line: string) => void): Promise<void> {
  const kinds = [["Documentation pages", takeDocsAssets], ["Pages of web/", takeWebAssets]] as const;
  await Promise.all(kinds.map(async ([name, take]) => {
    try {
      if ((await take()).length > 0) tell(name);
    } catch (error) {
      tell(`${name} are left out: ${messageOf(error)}`);
    }
  }));
}

async function main(): Promise<void> {
  const taken = await takeDocsAssets();
  console.log(taken.length > 0 ? `Wrote\n  ${taken.join("\n  ")}` : "All files are there.");
}

if (import.meta.main) await runCommand(main);
