/** The tasks of deno.json: the README has their descriptions word by word, and their options are those of `--help`. */
import settings from "../../deno.json" with { type: "json" };
import { inProject, projectRoot } from "../system/paths.ts";
import { assert, assertEquals, assertMatch } from "../../supabase/functions/tests/support/assertions.ts";

const tasks: Record<string, { description: string; command: string }> = settings.tasks;

/** Tasks that run other tasks or take no options: `--help` would not reach them, or print another one's. */
const withoutHelp = ["packages", "fuzz", "check", "ok"];

const readme = await Deno.readTextFile(inProject("README.md"));
const rows = new Map(
  [...readme.matchAll(/^\| `([a-z:]+)(?: [^`]+)?` +\| (.+?) +\| *(.*?) *\|$/gm)]
    .map(([, name = "", does = "", options = ""]) => [name, { does, options }]),
);

/** Returns the options that a text names. */
const optionsOf = (text: string) => [...new Set(text.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [])].sort();

/** Returns the help of a task, run as `deno task` runs it. */
async function helpOf(command: string): Promise<string> {
  const [program, ...args] = command.split(" ");
  assertEquals(program, "deno");
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--help"],
    cwd: projectRoot,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert(success, `${command} --help: ${decode(stderr)}`);
  return decode(stdout);
}

Deno.test("README.md: lists every task with the description that deno.json has", () => {
  const listed = [...rows].filter(([name]) => name in tasks);
  assertEquals(listed.map(([name]) => name), Object.keys(tasks));
  for (const [name, { does }] of listed) {
    assertEquals(does.replace(/ \(\[.*\]\(.*\)\)$/, ""), tasks[name]?.description, name);
  }
});

Deno.test("tasks: --help does nothing but print the usage, with the options that the README lists", async (t) => {
  for (const [name, { command }] of Object.entries(tasks)) {
    if (withoutHelp.includes(name)) continue;
    await t.step(name, async () => {
      const help = await helpOf(command);
      assertMatch(help, new RegExp(`^Usage: deno task ${name}(?![\\w:])`));
      const { does, options } = rows.get(name) ?? { does: "", options: "" };
      // a row that links a page leaves the options to --help
      if (!does.includes("](")) {
        assertEquals(optionsOf(options), optionsOf(help).filter((option) => option !== "--help"));
      }
    });
  }
});
