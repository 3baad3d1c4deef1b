/**
 * `deno task clients [name...]` generates clients from docs/openapi.json with the generators of generators.ts, or those
 * whose names contain a word, and compiles them. A generator whose language is not installed is named, not tried.
 */
import { runCommand, StackFailure } from "../../local/system/failure.ts";
import { showHelp } from "../../local/system/help.ts";
import { generators } from "./generators.ts";
import { tryGenerator } from "./run.ts";

showHelp(`Usage: deno task clients [word...]

Generates a client from docs/openapi.json with each of these generators, or with those whose
names contain a word, and compiles it:
  ${generators.map(({ name }) => name).join("\n  ")}`);

async function tryAll(): Promise<void> {
  const chosen = generators.filter(({ name }) =>
    Deno.args.length === 0 || Deno.args.some((word) => name.includes(word))
  );
  if (chosen.length === 0) {
    throw new StackFailure(`The generators are ${generators.map(({ name }) => name).join(", ")}.`);
  }
  const failed: string[] = [];
  for (const generator of chosen) {
    const outcome = await tryGenerator(generator);
    const told = outcome.result === "missing" ? `not tried: ${outcome.program} is not installed` : outcome.result;
    console.log(`${generator.language}  ${generator.name} ${generator.version}: ${told}`);
    if (outcome.result === "failed") failed.push(`${generator.name}: ${outcome.said}`);
  }
  if (failed.length > 0) throw new StackFailure(failed.join("\n"));
}

await runCommand(tryAll);
