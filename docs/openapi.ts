/**
 * `deno task openapi` writes docs/openapi.json and docs/errors.md from the functions' own contracts; with `--check` it
 * writes nothing and fails when they are not current.
 */
import { parseArgs } from "node:util";
import { runCommand, StackFailure } from "../local/system/failure.ts";
import { inProject } from "../local/system/paths.ts";
import { openApiDocument } from "./document.ts";
import { errorsMarkdown } from "../supabase/functions/docs/errors.ts";
import { showHelp } from "../local/system/help.ts";

showHelp(`Usage: deno task openapi [--check]

Writes docs/openapi.json and docs/errors.md from the contracts of the endpoints.

  --check   write nothing, and fail when they differ
  --help    this text`);

async function openapi(): Promise<void> {
  const { values: { check } } = parseArgs({ args: Deno.args, options: { check: { type: "boolean", default: false } } });
  const generated = {
    "openapi.json": `${JSON.stringify(await openApiDocument(), null, 2)}\n`,
    "errors.md":
      `<!-- Written by \`deno task openapi\` from supabase/functions/_shared/problems.ts. -->\n\n${errorsMarkdown()}`,
  };
  for (const [name, text] of Object.entries(generated)) {
    const file = inProject("docs", name);
    const isCurrent = await Deno.readTextFile(file).then((present) => present === text, () => false);
    if (isCurrent) continue;
    if (check) {
      throw new StackFailure(`docs/${name} is not current: run \`deno task openapi\` and commit what it writes.`);
    }
    await Deno.writeTextFile(file, text);
    console.log(`Wrote docs/${name}.`);
  }
  // the functions leave a database client behind, which would keep the process alive
  Deno.exit(0);
}

await runCommand(openapi);
