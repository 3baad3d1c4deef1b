import { join } from "node:path";
import { z } from "zod";
import { assertEquals, assertRejects } from "../supabase/functions/tests/support/assertions.ts";
import { ToolFailure } from "./failure.ts";
import { StateFile } from "./state_file.ts";

async function withFile(test: (file: StateFile<{ rows: number }>, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const kind = { schema: z.object({ rows: z.int() }), subject: "an import", option: "--state" };
    await test(new StateFile(join(folder, "feed.json"), kind), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("StateFile: reads what was written last, and nothing before and after", () =>
  withFile(async (file, folder) => {
    assertEquals(await file.read(), undefined);
    await file.write({ rows: 1 });
    await file.write({ rows: 2 });
    assertEquals(await file.read(), { rows: 2 });
    assertEquals(await Array.fromAsync(Deno.readDir(folder), ({ name }) => name), ["feed.json"]);
    await file.remove();
    await file.remove();
    assertEquals(await file.read(), undefined);
  }));

Deno.test("StateFile: says what to do, when the file is another one or cannot be written", () =>
  withFile(async (file, folder) => {
    for (const text of ['{"rows":', '{"list":"/events/v1"}', "order_no,asset_id"]) {
      await Deno.writeTextFile(file.path, text);
      await assertRejects(() => file.read(), ToolFailure, "is not the state of an import: remove it");
    }
    const nowhere = new StateFile(join(folder, "none", "feed.json"), file.kind);
    await assertRejects(() => nowhere.write({ rows: 1 }), ToolFailure, "Place it elsewhere with --state.");
  }));
