/** Restored backups: the feed notifies a reader who had read further, for every kind of backup. */
import { assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { connect } from "../postgres/bootstrap.ts";
import { type Stack, startStack } from "../stack.ts";
import { call } from "./testing.ts";

const operation = { order_no: "O-1", operation_no: "0010", workplace_name: "Press" };

async function api(stack: Stack, path: string, body?: unknown) {
  const { status, json } = await call(`${stack.url}/functions/v1${path}`, {
    headers: { apikey: stack.keys.secretKey },
    body,
  });
  return { status, json: Object(json) };
}

const quantity = { ...operation, action_type: "REPORT_QUANTITY", qty_good: 1 };

async function report(stack: Stack, events: unknown[]): Promise<void> {
  assertEquals((await api(stack, "/events/v1/batch", { events })).status, 201);
}

/** Reads on from a cursor: status, how many events, where it ends. */
async function read(stack: Stack, after?: string) {
  const { status, json } = await api(stack, `/events/v1/feed${after === undefined ? "" : `?after=${after}`}`);
  return { status, code: json.code, count: json.events?.length, cursor: json.next_cursor };
}

const reset = { status: 410, code: "feed_reset", count: undefined, cursor: undefined };

Deno.test({
  name:
    "feed: after a copy of the data folder is put back, a cursor of what it lacks is feed_reset, also once other events stand there",
  ignore: Deno.build.os === "windows",
}, async () => {
  const folder = await Deno.makeTempDir({ prefix: "mes-restore-" });
  await Deno.chmod(folder, 0o711);
  const dataDir = join(folder, "data");
  const running = async (run: (stack: Stack) => Promise<void>) => {
    const stack = await startStack({ dataDir, seed: false, onFunctionLog: () => {} });
    try {
      await run(stack);
    } finally {
      await stack.stop();
    }
  };
  const copy = async (from: string, to: string) => {
    await Deno.remove(join(folder, to), { recursive: true }).catch(() => {});
    const { success } = await new Deno.Command("cp", { args: ["-a", join(folder, from), join(folder, to)] }).output();
    assertEquals(success, true);
  };
  const last = { ...quantity, id: crypto.randomUUID() };
  try {
    let inBackup = "";
    let beyond = "";
    await running(async (stack) => {
      assertEquals((await api(stack, "/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" })).status, 201);
      assertEquals((await api(stack, "/events/v1", { ...operation, action_type: "START" })).status, 201);
      await report(stack, Array(3).fill(quantity));
      const page = await read(stack);
      assertEquals([page.status, page.count], [200, 4]);
      inBackup = page.cursor;
    });
    await copy("data", "backup");
    await running(async (stack) => {
      await report(stack, [quantity, quantity, quantity, last]);
      const page = await read(stack, inBackup);
      assertEquals([page.status, page.count], [200, 4]);
      beyond = page.cursor;
    });
    await copy("backup", "data");
    await running(async (stack) => {
      // nothing stands where the reader had come to
      assertEquals(await read(stack, beyond), reset);
      // the terminal sends again what was lost, under the same id: it stands there again, but after other events
      await report(stack, [quantity, { ...quantity, qty_good: 2 }, quantity, last]);
      assertEquals(await read(stack, beyond), reset);
      await report(stack, [quantity, quantity]);
      assertEquals(await read(stack, beyond), reset);
      assertEquals((await api(stack, `/stream/v1/events?after=${beyond}`)).status, 410);
      // a reader who had not read beyond the backup has missed nothing
      const page = await read(stack, inBackup);
      assertEquals([page.status, page.count], [200, 6]);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("feed: in another life of the database every old cursor is feed_reset, and reading begins afresh", async () => {
  const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: () => {} });
  try {
    assertEquals((await api(stack, "/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" })).status, 201);
    assertEquals((await api(stack, "/events/v1", { ...operation, action_type: "START" })).status, 201);
    const { cursor } = await read(stack);
    assertEquals((await read(stack, cursor)).status, 200);
    // what a restore of the server leaves behind: another timeline, which is part of the generation, as this is
    const sql = connect(stack.databaseUrl);
    await sql`update app.feed_state set generation = gen_random_uuid()`;
    await sql.end();
    assertEquals(await read(stack, cursor), reset);
    assertEquals((await read(stack)).count, 1);
  } finally {
    await stack.stop();
  }
});
