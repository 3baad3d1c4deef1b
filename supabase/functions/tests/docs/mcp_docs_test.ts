/** docs/mcp.md: each question gets its answer from the demo plant, the script runs, and the table has every tool. */
import { fileURLToPath } from "node:url";
import { tools } from "../../mcp/tools.ts";
import { newKey } from "../support/api_keys.ts";
import { assert, assertEquals } from "../support/assertions.ts";
import { env, type JsonObject } from "../support/harness.ts";
import { Model } from "../support/model.ts";

const page = await Deno.readTextFile(fileURLToPath(new URL("../../../../docs/mcp.md", import.meta.url)));

/** Returns whether an answer has what an excerpt shows; an array has an element for each one of the excerpt. */
function shows(answer: unknown, excerpt: unknown): boolean {
  if (Array.isArray(excerpt)) {
    return Array.isArray(answer) && excerpt.every((one) => answer.some((other) => shows(other, one)));
  }
  if (typeof excerpt !== "object" || excerpt === null) return answer === excerpt;
  if (typeof answer !== "object" || answer === null) return false;
  return Object.entries(excerpt).every(([name, one]) => shows(Reflect.get(answer, name), one));
}

/** Writes the times of a call: `<now>`, `<6 hours ago>`. */
const withTimes = (json: string) =>
  json.replaceAll(
    /<(?:(\d+) hours ago|now)>/g,
    (_, hours = 0) => new Date(Date.now() - hours * 3_600_000).toISOString(),
  );

Deno.test("docs/mcp.md: the demo plant answers the ten questions as the page says", async (t) => {
  const model = new Model((await newKey({ role: "supervisor", workplaces: ["*"] })).client);
  const questions = page.slice(page.indexOf("## Ten questions"), page.indexOf("## Origins"));
  const asked = [...questions.matchAll(/^\*\*(.+?)\*\*.*?^```json\n(.*?)^```$.*?^```json\n(.*?)^```$/gms)];
  assertEquals(asked.length, 10);
  for (const [, question = "", call = "", excerpt = ""] of asked) {
    await t.step(question, async () => {
      const { name, arguments: args } = JSON.parse(withTimes(call));
      const answer = await model.ask(name, args);
      assert(shows(answer, JSON.parse(excerpt)), JSON.stringify(answer));
    });
  }
});

Deno.test("docs/mcp.md: the table has every tool in its order", () => {
  const rows = [...page.matchAll(/^\| `([a-z_]+)` +\|/gm)].map(([, name]) => name);
  assertEquals(rows, tools.map(({ name }) => name));
});

Deno.test("docs/mcp.md: the script of the official client runs", async () => {
  const [, script = ""] = /```ts\n(.*?)```/s.exec(page) ?? [];
  const { key } = await newKey({ role: "supervisor", workplaces: ["*"] });
  const root = fileURLToPath(new URL("../../../../", import.meta.url));
  const file = await Deno.makeTempFile({ dir: root, prefix: ".mcp-script-", suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, `import process from "node:process";\n${script}`);
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", file],
      env: { FUNCTIONS_URL: env.functionsUrl, MES_TOKEN: key },
    }).output();
    assertEquals(success, true, new TextDecoder().decode(stderr));
    const { queue }: { queue: JsonObject[] } = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals(queue.map(({ workplace_name }) => workplace_name), ["MIG-1"]);
  } finally {
    await Deno.remove(file);
  }
});
