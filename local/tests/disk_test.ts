import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { connect } from "../postgres/bootstrap.ts";
import { holdsWithin } from "../system/poll.ts";
import { ServerLog } from "../postgres/server_log.ts";
import { call, endBy, startAndWait, withStack } from "./testing.ts";
import { project } from "./testing_project.ts";

const mebibyte = 1024 * 1024;

async function succeeds(program: string, args: string[]): Promise<boolean> {
  const command = new Deno.Command(program, { args, stdout: "null", stderr: "null" });
  return await command.output().then(({ success }) => success, () => false);
}

/** A small disk of its own, where this account may mount one. */
async function withDisk(megabytes: number, run: (folder: string) => Promise<void>): Promise<boolean> {
  const folder = await Deno.makeTempDir({ prefix: "mes-disk-" });
  const options = `size=${megabytes}m,mode=755`;
  const isMounted = await succeeds("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
  try {
    if (isMounted) await run(folder);
  } finally {
    if (isMounted) await succeeds("umount", ["-l", folder]);
    await Deno.remove(folder);
  }
  return isMounted;
}

const canMount = await withDisk(1, () => Promise.resolve());

/** Writes a file until there is no space left. */
async function fill(folder: string): Promise<string> {
  const path = join(folder, "ballast");
  using file = await Deno.open(path, { create: true, write: true });
  try {
    for (let size = mebibyte; size >= 1; size = Math.floor(size / 4)) {
      const chunk = new Uint8Array(size);
      for (;;) if (await file.write(chunk).catch(() => 0) < size) break;
    }
  } catch (error) {
    if (!String(error).includes("No space")) throw error;
  }
  return path;
}

Deno.test({
  name: "disk: a full one is told, survived and recovered from when space is back (needs the right to mount a tmpfs)",
  ignore: !canMount,
  fn: async () => {
    await withDisk(256, async (disk) => {
      const stack = await startAndWait(["--data-dir", join(disk, "data"), "--no-seed"]);
      const { SUPABASE_URL, DATABASE_URL = "" } = stack.settings;
      const health = async () => {
        const { status, json } = await call(`${SUPABASE_URL}/functions/v1/operations/health`);
        return { status, health: json?.status, writes: json?.writes };
      };
      const becomes = (status: number, value?: string) =>
        holdsWithin(20_000, async () => {
          const found = await health();
          return found.status === status && (value === undefined || found.health === value);
        });
      try {
        assertEquals(await health(), { status: 200, health: "ok", writes: "ok" });
        const sql = connect(DATABASE_URL);
        await sql`create table public.acknowledged (id integer)`;
        await sql`insert into public.acknowledged values (1)`;

        const ballast = await fill(disk);
        assert(await becomes(200, "degraded"), `no word of the full disk: ${JSON.stringify(await health())}`);

        // A rule of the database is broken often enough that the log must grow.
        for (let index = 0; index < 200; index++) await sql`select 1 / 0`.catch(() => {});
        assert(
          await holdsWithin(5000, () => /Cannot write .*postgres\.log: .*No space left on device/.test(stack.output())),
          stack.output(),
        );
        // The write-ahead log must grow: the server panics, and cannot recover either.
        const admin = connect(DATABASE_URL.replace("postgres:", "supabase_admin:"));
        for (let index = 0; index < 50; index++) {
          const isUp = await admin`select pg_logical_emit_message(false, 'test', repeat('x', 4000000))`
            .then(() => true, () => false);
          if (!isUp) break;
        }
        await Promise.all([admin.end({ timeout: 0 }), sql.end({ timeout: 0 })]);
        assert(await becomes(503), "the server was expected to be away");
        assert(
          await holdsWithin(20_000, () => stack.output().includes("PostgreSQL does not start: ")),
          stack.output(),
        );

        await Deno.remove(ballast);
        assert(await becomes(200, "ok"), `it does not recover: ${JSON.stringify(await health())}\n${stack.output()}`);
        assertMatch(stack.output(), /PostgreSQL runs again\./);
        const again = connect(DATABASE_URL);
        assertEquals((await again`select id from public.acknowledged`).map(({ id }) => id), [1]);
        // a message within a second of the last failure is dropped, too: the file is opened again for a later one
        const isWritten = await holdsWithin(5000, async () => {
          await again`select 1 / 0`.catch(() => {});
          return stack.output().includes("postgres.log can be written again");
        });
        await again.end();
        assert(isWritten, stack.output());
      } finally {
        await endBy("SIGTERM", stack);
      }
    });
  },
});

Deno.test("database: it is started again until that works, when it ended and cannot start", async () => {
  await withStack(project, async (stack) => {
    const folder = join(stack.dataDir, "postgres");
    const control = join(folder, "global", "pg_control");
    const counters = async () =>
      (await call(`${stack.url}/rest/v1/counters`, { headers: { apikey: stack.keys.secretKey } })).status;
    assertEquals(await counters(), 200);
    const pid = Number((await Deno.readTextFile(join(folder, "postmaster.pid"))).split("\n")[0]);
    await Deno.rename(control, `${control}.away`);
    Deno.kill(pid, "SIGKILL");
    const log = () => Deno.readTextFile(join(stack.dataDir, "postgres.log"));
    const attempts = async () => (await log()).split("could not find the database system").length - 1;
    assert(await holdsWithin(10_000, async () => await attempts() >= 3), await log());
    assertEquals(await counters(), 503);
    await Deno.rename(`${control}.away`, control);
    assert(await holdsWithin(10_000, async () => await counters() === 200), await log());
  });
});

Deno.test("server log: it holds messages and no rows when a statement fails", async () => {
  await withStack(project, async (stack) => {
    const headers = { apikey: stack.keys.secretKey };
    const failed = await call(`${stack.url}/rest/v1/rpc/count_up`, {
      headers,
      body: { p_name: "somebody-private", p_by: 1000 },
    });
    assertEquals(failed.status, 400, failed.text);
    assertStringIncludes(failed.text, "somebody-private");
    const sql = connect(stack.databaseUrl);
    await sql.unsafe("select 'somebody-private', 1 / 0").catch(() => {});
    await sql.end();
    const log = () => Deno.readTextFile(join(stack.dataDir, "postgres.log"));
    for (const message of ["violates check constraint", "division by zero"]) {
      assert(await holdsWithin(2000, async () => (await log()).includes(message)), message);
    }
    for (const word of ["somebody-private", "Failing row", "DETAIL", "STATEMENT"]) {
      assert(!(await log()).includes(word), word);
    }
  });
});

Deno.test("server log: the oldest of its files is removed when the last is full", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mes-log-" });
  const log = new ServerLog(join(folder, "postgres.log"), { files: 3, fileMegabytes: 1 });
  const sizes = async () => {
    const found: [string, number][] = [];
    for await (const { name } of Deno.readDir(folder)) found.push([name, (await Deno.stat(join(folder, name))).size]);
    return found.sort();
  };
  for (let part = 0; part < 60; part++) {
    log.write(new Uint8Array(mebibyte / 10));
    // Messages wait for the disk; what exceeds a mebibyte of them is dropped.
    if (part % 5 === 4) await new Promise((done) => setTimeout(done, 20));
  }
  await log.close();
  const files = await sizes();
  assertEquals(files.map(([name]) => name), ["postgres.log", "postgres.log.1", "postgres.log.2"]);
  assert(files.every(([, size]) => size <= 1.2 * mebibyte), JSON.stringify(files));
  if (Deno.build.os !== "windows") {
    assertEquals(((await Deno.stat(join(folder, "postgres.log.1"))).mode ?? 0) & 0o777, 0o600);
  }
  await Deno.remove(folder, { recursive: true });
});
