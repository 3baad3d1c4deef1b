/** docs/decisions: one form for all pages. */
import { assertEquals } from "../support/assertions.ts";

const folder = new URL("../../../../docs/decisions/", import.meta.url);

Deno.test("docs/decisions: every page has its number, a title, and the sections Context, Choice and Consequence", async () => {
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(new URL(name, folder));
    const [title, ...sections] = text.split("\n").filter((line) => /^##? /.test(line));
    assertEquals(title?.match(/^# (\d{4}): \S/)?.[1], name.slice(0, 4), name);
    assertEquals(sections, ["## Context", "## Choice", "## Consequence"], name);
  }
});
