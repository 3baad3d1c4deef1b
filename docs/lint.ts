/**
 * `deno task openapi:lint` holds docs/openapi.json against the recommended rules of Redocly's linter, which runs from
 * its npm package, without a network.
 */
import { createConfig, lint } from "@redocly/openapi-core";
import { runCommand, StackFailure } from "../local/system/failure.ts";
import { inProject } from "../local/system/paths.ts";
import { showHelp } from "../local/system/help.ts";

if (import.meta.main) {
  showHelp(`Usage: deno task openapi:lint

Checks docs/openapi.json with Redocly's rules.`);
}

/** Lints the committed document and returns the findings, warnings included, one line each. */
export async function lintDocument(): Promise<string[]> {
  const found = await lint({
    ref: inProject("docs", "openapi.json"),
    // the document names no licence as long as the project has none
    config: await createConfig({ extends: ["recommended"], rules: { "info-license": "off" } }),
  });
  return found.map(({ severity, ruleId, message, location }) =>
    `${severity} ${ruleId}: ${message} (${location[0]?.pointer ?? "document"})`
  );
}

async function lintOrFail(): Promise<void> {
  const found = await lintDocument();
  if (found.length > 0) throw new StackFailure(`docs/openapi.json:\n  ${found.join("\n  ")}`);
  console.log("docs/openapi.json has no errors and no warnings.");
}

if (import.meta.main) await runCommand(lintOrFail);
