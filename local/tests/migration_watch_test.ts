/** Migrations while a stack runs: new ones are applied, edited ones are reported. */
import { join } from "node:path";
import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { holdsWithin } from "../system/poll.ts";
import { call, withStack } from "./testing.ts";
import { project } from "./testing_project.ts";

Deno.test("stack: applies a new migration and reports an edited one when it runs", async () => {
  const steps: string[] = [];
  await withStack(project, async (stack) => {
    const headers = { apikey: stack.keys.secretKey };
    const folder = join(stack.supabaseDir, "migrations");
    const added = join(folder, "20250103000000_add_colours.sql");
    await Deno.writeTextFile(
      added,
      "create table public.colours (name text primary key); alter table public.colours enable row level security; " +
        "grant select on public.colours to service_role;",
    );
    const answers = () => call(`${stack.url}/rest/v1/colours`, { headers });
    assert(await holdsWithin(10_000, async () => (await answers()).status === 200), steps.join("\n"));
    assertEquals((await answers()).text, "[]");
    assertStringIncludes(steps.join("\n"), "Migrations applied: 20250103000000_add_colours");

    await Deno.writeTextFile(added, "create table public.colours (name text primary key, hue integer);");
    const notice = "Edited after the database had them: 20250103000000_add_colours. `deno task reset`";
    assert(await holdsWithin(10_000, () => steps.some((step) => step.startsWith(notice))), steps.join("\n"));

    await Deno.writeTextFile(join(folder, "20250104000000_fail.sql"), "select * from nowhere");
    const failure = 'fail.sql:1: relation "nowhere" does not exist';
    assert(await holdsWithin(10_000, () => steps.some((step) => step.includes(failure))), steps.join("\n"));
    assertEquals((await answers()).status, 200);
  }, { watch: true, onProgress: (step) => steps.push(step) });
});
