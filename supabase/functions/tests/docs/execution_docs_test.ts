/** The examples of docs/execution.md, as they stand there. */
import { assert, assertEquals, env, newWorkplace, unique } from "../support/harness.ts";

const guide = new URL("../../../../docs/execution.md", import.meta.url);

Deno.test({
  name: "docs/execution.md: every example runs by copy and paste",
  ignore: Deno.build.os === "windows",
  async fn() {
    const text = await Deno.readTextFile(guide);
    const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block ?? "");
    const examples = blocks.join("\n");
    assert(blocks.length >= 8, `only ${blocks.length} examples`);
    // names of this run, and the settings that the test has already
    const [order, place] = [unique("404300"), newWorkplace()];
    const ids = new Map<string, string>();
    const script = examples
      .replace(/^\. supabase\/\.temp\/local\.env$/m, "")
      .replaceAll("404300", order)
      .replaceAll("MIG-1", place)
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => {
        ids.set(id, ids.get(id) ?? crypto.randomUUID());
        return ids.get(id) ?? id;
      });
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-euo", "pipefail", "-c", script],
      env: { FUNCTIONS_URL: env.functionsUrl, SUPABASE_SECRET_KEY: env.secretKey },
    }).output();
    const answers = new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    assertEquals(answers.filter(({ title }) => title !== undefined), []);
    assertEquals(answers.length, examples.split("\n").filter((line) => /^(api [A-Z]|curl)/.test(line)).length);
  },
});
