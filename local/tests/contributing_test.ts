/** CONTRIBUTING.md: the steps that add a field, applied to a copy of the project as the page writes them. */
import { join } from "node:path";
import { inProject } from "../system/paths.ts";
import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { call, copyCheckout, endBy, startAndWait } from "./testing.ts";

/** One replacement: in the SQL object or file `where`, every `before` becomes `after`. */
interface Edit {
  where: string;
  before: string;
  after: string;
}

/** Reads the diffs of a page. Context or `-` lines after a `+` line begin the next edit. */
function editsOf(page: string): Edit[] {
  const edits: Edit[] = [];
  for (const [, diff = ""] of page.matchAll(/^```diff\n(.*?)^```$/gms)) {
    let where = "";
    let before: string[] = [];
    let after: string[] = [];
    const finish = () => {
      if (after.length > 0) edits.push({ where, before: before.join("\n"), after: after.join("\n") });
      [before, after] = [[], []];
    };
    let last = "";
    for (const line of diff.trimEnd().split("\n")) {
      if (line.startsWith("@@ ") || last === "+" && !line.startsWith("+")) finish();
      last = line.slice(0, 1);
      const text = line.slice(1);
      if (line.startsWith("@@ ")) where = line.slice(3);
      if (last === " " || last === "-") before.push(text);
      if (last === " " || last === "+") after.push(text);
    }
    finish();
  }
  return edits;
}

/** Returns the file that an edit changes, and the part of it: from the object's first line to the next object. */
async function placeOf(root: string, where: string): Promise<{ file: string; from: number; to: number }> {
  if (!where.startsWith("create ")) {
    const { length } = await Deno.readTextFile(join(root, where));
    return { file: join(root, where), from: 0, to: length };
  }
  const schemas = join(root, "supabase", "schemas");
  for await (const subject of Deno.readDir(schemas)) {
    for await (const { name } of Deno.readDir(join(schemas, subject.name))) {
      const file = join(schemas, subject.name, name);
      const text = await Deno.readTextFile(file);
      const from = Math.max(...["(", " (", " as ("].map((opening) => text.indexOf(where + opening)));
      if (from < 0) continue;
      const next = text.indexOf("\ncreate ", from);
      return { file, from, to: next < 0 ? text.length : next };
    }
  }
  throw new Error(`No file of supabase/schemas has "${where}"`);
}

async function apply(root: string, { where, before, after }: Edit): Promise<void> {
  const { file, from, to } = await placeOf(root, where);
  const text = await Deno.readTextFile(file);
  const part = text.slice(from, to);
  assert(part.includes(before), `${where} has no "${before}"`);
  await Deno.writeTextFile(file, text.slice(0, from) + part.replaceAll(before, () => after) + text.slice(to));
}

/** Runs a program of the copy, with the packages of this checkout. */
async function run(root: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--frozen", "--node-modules-dir=manual", ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert(success, said);
  return said;
}

Deno.test({
  name: "CONTRIBUTING.md: a field has five places, and is stored and answered when its steps are applied",
  // packages are lent by a symbolic link
  ignore: Deno.build.os === "windows",
  async fn() {
    const page = await Deno.readTextFile(inProject("CONTRIBUTING.md"));
    const root = await Deno.makeTempDir({ prefix: "mes-contributing-" });
    try {
      await copyCheckout(root, ["docs", "supabase/functions", "supabase/schemas", "supabase/seed.sql", "tools", "web"]);
      assertEquals([...page.matchAll(/^\*\*\d\. /gm)].length, 5);
      for (const edit of editsOf(page)) await apply(root, edit);
      // the types have no part in a request, and would start one more stack
      await run(root, ["local/commands/schema.ts"]);
      await run(root, ["docs/openapi.ts"]);
      const stack = await startAndWait(["--ephemeral"], {
        root,
        denoFlags: ["--node-modules-dir=manual"],
      });
      try {
        const { SUPABASE_URL = "", SUPABASE_SECRET_KEY = "" } = stack.settings;
        const headers = { apikey: SUPABASE_SECRET_KEY };
        const operations = `${SUPABASE_URL}/functions/v1/operations/v1`;
        const path = `${operations}/404711-001/1/0010`;
        const key = { order_no: "404711-001", asset_id: 1, operation_no: "0010" };
        const stored = async () => (await call(path, { headers })).json?.drawing_no;

        const created = await call(operations, { headers, body: { ...key, drawing_no: "D-4711" } });
        assertEquals([created.status, created.json?.drawing_no], [201, "D-4711"], created.text);
        assertEquals(await stored(), "D-4711");

        const changed = await call(path, { method: "PATCH", headers, body: { drawing_no: "D-4712" } });
        assertEquals([changed.status, changed.json?.drawing_no], [200, "D-4712"], changed.text);

        const later = new Date().toISOString();
        const rows = [
          { ...key, drawing_no: "D-4713", timestamp_ms: later, change_type: "UPDATE" },
          { ...key, operation_no: "0020", drawing_no: "D-4714", timestamp_ms: later, change_type: "INSERT" },
        ];
        const imported = await call(`${operations}/import`, { headers, body: rows });
        assertEquals(imported.status, 200, imported.text);
        assertEquals(await stored(), "D-4713");
        assertEquals((await call(path.replace("0010", "0020"), { headers })).json?.drawing_no, "D-4714");

        const settings = join(root, "stack.env");
        await Deno.writeTextFile(
          settings,
          Object.entries(stack.settings).map((setting) => setting.join("=")).join("\n"),
        );
        const said = await run(root, ["local/commands/run_tests.ts", "--settings", settings, "operations_test"]);
        assert(/\b[1-9]\d* passed, 0 failed/.test(said), said);
      } finally {
        await endBy("SIGTERM", stack);
      }
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
});
