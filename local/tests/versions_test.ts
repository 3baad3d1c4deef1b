/** Each tool has one version: the documents, CI and the code name the same. */
import { join } from "node:path";
import { supabasePackage } from "../commands/supabase_cli.ts";
import { inProject } from "../system/paths.ts";
import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";

/** Returns the documents that a reader copies commands from, and the scripts of CI. */
async function* filesWithCommands(): AsyncGenerator<string> {
  yield* ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/ci.yml", "supabase/functions/docs/pages.ts"];
  for (const folder of ["docs", "local", "tools", "bench", "reliability"]) {
    for await (const { name } of Deno.readDir(inProject(folder))) if (name.endsWith(".md")) yield join(folder, name);
  }
}

/** Returns each mention of a tool's version with the file that has it. */
async function mentionsOf(tool: RegExp): Promise<[file: string, mention: string][]> {
  const mentions: [string, string][] = [];
  for await (const file of filesWithCommands()) {
    const text = await Deno.readTextFile(inProject(file));
    for (const [mention] of text.matchAll(tool)) mentions.push([file, mention]);
  }
  return mentions;
}

Deno.test("versions: documents and CI name the Supabase CLI of the tasks", async () => {
  const mentions = await mentionsOf(/\bnpx (?:-y )?supabase(?:@[\w.-]+)?/g);
  assert(mentions.some(([file]) => file === "README.md"));
  assertEquals(mentions.filter(([, mention]) => !mention.endsWith(` ${supabasePackage}`)), []);
});

Deno.test("versions: documents and CI name one Deno", async () => {
  const mentions = await mentionsOf(/\bdeno@[\w.-]+/g);
  const [first] = mentions.map(([, mention]) => mention);
  assert(first !== undefined && /^deno@\d+\.\d+\.\d+$/.test(first));
  assertEquals(mentions.filter(([, mention]) => mention !== first), []);
});
