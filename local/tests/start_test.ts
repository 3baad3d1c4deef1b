import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { environmentOf, writeLocalEnv } from "../commands/local_env.ts";
import { databaseUser } from "../system/system_user.ts";
import {
  call,
  copyCheckout,
  descendants,
  endBy,
  haveEnded,
  lendPackages,
  makeProject,
  runStart,
  startAndWait,
} from "./testing.ts";

const isWindows = Deno.build.os === "windows";
const isRoot = !isWindows && Deno.uid() === 0;

async function withTempDir(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mes-start-" });
  // The database's account passes through; a test of its own covers folders that do not let it.
  await Deno.chmod(folder, 0o755);
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("start: the table and the settings file say how to reach the stack, keys are private", () =>
  withTempDir(async (folder) => {
    const stack = await startAndWait(["--data-dir", join(folder, "data"), "--no-seed"]);
    try {
      const { SUPABASE_URL, FUNCTIONS_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY } = stack.settings;
      assertMatch(SUPABASE_URL ?? "", /^http:\/\/127\.0\.0\.1:\d+$/);
      assertEquals(FUNCTIONS_URL, `${SUPABASE_URL}/functions/v1`);
      assertMatch(SUPABASE_PUBLISHABLE_KEY ?? "", /^sb_publishable_/);
      assertMatch(SUPABASE_SECRET_KEY ?? "", /^sb_secret_/);
      assertMatch(stack.settings.DATABASE_URL ?? "", /^postgresql:\/\/postgres:/);
      assert((stack.settings.DEMO_PASSWORD ?? "").length >= 16);
      for (const name of ["SUPABASE_URL", "SUPABASE_SECRET_KEY", "DATABASE_URL"]) {
        assertStringIncludes(stack.output(), stack.settings[name] ?? "?");
      }
      const answer = await call(`${SUPABASE_URL}/rest/v1/profiles`, { headers: { apikey: SUPABASE_SECRET_KEY ?? "" } });
      assertEquals([answer.status, answer.text], [200, "[]"]);
      assertEquals(Object.keys(parseEnv(stack.publicSettings)).sort(), [
        "FUNCTIONS_URL",
        "SUPABASE_PUBLISHABLE_KEY",
        "SUPABASE_URL",
      ]);
      if (!isWindows) {
        assertEquals(stack.settingsMode, 0o600);
        const mode = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;
        assertEquals(await mode(join(folder, "data", "keys.json")), 0o600);
        assertEquals(await mode(join(folder, "data", "postgres")), 0o700);
      }
    } finally {
      await endBy("SIGTERM", stack);
    }
  }));

Deno.test({
  name: "local.env: start and test do what they do without it, when it is exported",
  // packages are lent by a symbolic link
  ignore: isWindows,
  fn: () =>
    withTempDir(async (folder) => {
      // of a stack that is gone: whatever used it would fail
      const exported = environmentOf({
        url: "http://127.0.0.1:9",
        publishableKey: "sb_publishable_gone",
        secretKey: "sb_secret_gone",
        databaseUrl: "postgresql://postgres:gone@127.0.0.1:9/postgres",
        demoPassword: "gone",
      });
      const stack = await startAndWait(["--ephemeral", "--no-seed"], { env: exported });
      await endBy("SIGTERM", stack);

      await copyCheckout(folder, ["docs", "supabase/functions", "supabase/seed.sql", "tools", "web"]);
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-all", "local/commands/run_tests.ts", "reason_codes_test", "--filter=POST"],
        cwd: folder,
        env: { ...exported, NO_COLOR: "1" },
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assertMatch(said, /\b[1-9]\d* passed, 0 failed/);
    }),
});

Deno.test({
  name: "local.env: a shell that reads it exports every variable",
  ignore: isWindows,
  fn: () =>
    withTempDir(async (folder) => {
      const file = join(folder, "local.env");
      const stack = { publishableKey: "p", secretKey: "s", databaseUrl: "postgresql://postgres:x@h:1/postgres" };
      const settings = { ...stack, url: "http://127.0.0.1:1", demoPassword: "d" };
      await writeLocalEnv(file, settings);
      const { stdout } = await new Deno.Command("sh", { args: ["-c", `. ${file}; env`], clearEnv: true }).output();
      const { PWD: _, ...exported } = parseEnv(new TextDecoder().decode(stdout));
      for (const [name, value] of Object.entries(environmentOf(settings))) assertEquals(exported[name], value);
    }),
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  Deno.test({
    name: `start: ${signal} ends everything in under 3 s and leaves no process`,
    ignore: isWindows,
    fn: async () => {
      const stack = await startAndWait(["--ephemeral", "--no-seed"]);
      const dataDir = stack.output().match(/Data folder\s+(\S+)/)?.[1] ?? "?";
      const children = await descendants(stack.process.pid);
      assert(children.length >= 2, "a database and the functions");
      const took = await endBy(signal, stack);
      assert(took < 3000, `it took ${took} ms`);
      assert(await haveEnded(children), "a process was left");
      assert(!await Deno.stat(dataDir).then(() => true, () => false), `${dataDir} was left`);
    },
  });
}

Deno.test({
  name: "start: after SIGKILL the next start ends the orphaned server and has all acknowledged data",
  ignore: isWindows,
  fn: () =>
    withTempDir(async (folder) => {
      const args = ["--data-dir", join(folder, "data"), "--no-seed"];
      const first = await startAndWait(args);
      const children = await descendants(first.process.pid);
      const email = `kept-${crypto.randomUUID()}@example.com`;
      const signUp = await call(`${first.settings.SUPABASE_URL}/auth/v1/signup`, {
        headers: { apikey: first.settings.SUPABASE_PUBLISHABLE_KEY ?? "" },
        body: { email, password: crypto.randomUUID() },
      });
      assertEquals(signUp.status, 200, signUp.text);
      await endBy("SIGKILL", first);

      const second = await startAndWait(args);
      try {
        assert(await haveEnded(children), "processes of the first stack are still there");
        assertEquals(second.settings.SUPABASE_SECRET_KEY, first.settings.SUPABASE_SECRET_KEY);
        const { text } = await call(`${second.settings.SUPABASE_URL}/rest/v1/profiles?email=eq.${email}`, {
          headers: { apikey: second.settings.SUPABASE_SECRET_KEY ?? "" },
        });
        assertStringIncludes(text, email);
      } finally {
        await endBy("SIGTERM", second);
      }
    }),
});

Deno.test("start: a taken port is one sentence and exit code 1", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code, said } = await runStart(["--ephemeral", "--port", String(listener.addr.port)]);
  assertEquals(code, 1);
  assertEquals(said.trim().split("\n").length, 1, said);
  assertStringIncludes(said, `Port ${listener.addr.port} is in use`);
});

Deno.test("start: a data folder in use names the stack that uses it", () =>
  withTempDir(async (folder) => {
    const args = ["--data-dir", join(folder, "data"), "--no-seed"];
    const stack = await startAndWait(args);
    try {
      const { code, said } = await runStart(["--port", "0", ...args]);
      assertEquals(code, 1);
      assertStringIncludes(said, `in use by a stack that is running at ${stack.settings.SUPABASE_URL}`);
    } finally {
      await endBy("SIGTERM", stack);
    }
  }));

Deno.test("start: a data folder of another PostgreSQL version is refused", () =>
  withTempDir(async (folder) => {
    await Deno.mkdir(join(folder, "postgres"));
    await Deno.writeTextFile(join(folder, "postgres", "PG_VERSION"), "15\n");
    const { code, said } = await runStart(["--port", "0", "--data-dir", folder]);
    assertEquals(code, 1);
    assertStringIncludes(said, "was made by PostgreSQL 15, this is PostgreSQL 17");
  }));

Deno.test("start: a data folder that cannot be made is one sentence and exit code 1", () =>
  withTempDir(async (folder) => {
    await Deno.writeTextFile(join(folder, "file"), "");
    const { code, said } = await runStart(["--port", "0", "--data-dir", join(folder, "file", "data")]);
    assertEquals(code, 1);
    assertEquals(said.trim().split("\n").length, 1, said);
    assertStringIncludes(said, "Choose one you may write to with --data-dir");
  }));

Deno.test("start: a wrong option is explained with exit code 1", async () => {
  const { code, said } = await runStart(["--prot", "0"]);
  assertEquals(code, 1);
  assertStringIncludes(said, "--prot");
  assertStringIncludes(said, "Usage: deno task start");
});

Deno.test("start: a STACK_DATABASE_URL that does not answer is one sentence and exit code 1", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = listener.addr.port;
  listener.close();
  const { code, said } = await runStart(["--ephemeral", "--port", "0"], {
    env: { STACK_DATABASE_URL: `postgresql://postgres:secret@127.0.0.1:${port}/postgres` },
  });
  assertEquals(code, 1);
  assertStringIncludes(said, `Cannot use the database of STACK_DATABASE_URL (127.0.0.1:${port}/postgres)`);
  assert(!said.includes("secret"), "the password was printed");
});

Deno.test("start: a migration that fails is named with its line and the database's message", async () => {
  const { startStack } = await import("../stack.ts");
  const supabaseDir = await makeProject({
    "migrations/20250101000000_good.sql": "create table public.good (id integer);",
    "migrations/20250102000000_bad.sql": "create table public.half (id integer);\n\nselect * from nowhere;\n",
  });
  const error = await startStack({ ephemeral: true, supabaseDir }).then(() => undefined, (error) => error);
  await Deno.remove(supabaseDir, { recursive: true });
  assertStringIncludes(String(error), '20250102000000_bad.sql:3: relation "nowhere" does not exist');
});

Deno.test({
  name: "start: works for an account that is not root",
  ignore: !isRoot, // Only root can start it as somebody else; otherwise all the other tests are this test.
  fn: () =>
    withTempDir(async (folder) => {
      const user = await databaseUser();
      if (!user) throw new Error("root runs the database as somebody else");
      await copyCheckout(folder);
      await Deno.remove(join(folder, "supabase"), { recursive: true });
      const supabaseDir = await makeProject({});
      await Deno.rename(supabaseDir, join(folder, "supabase"));
      await new Deno.Command("chown", { args: ["-R", `${user.uid}:${user.gid}`, folder] }).output();
      const stack = await startAndWait(["--data-dir", join(folder, "data")], {
        root: folder,
        deno: await lendPackages(folder),
        uid: user.uid,
        gid: user.gid,
        env: { HOME: folder, DENO_DIR: join(folder, ".deno") },
        // The packages are this checkout's, which that account cannot write to.
        denoFlags: ["--node-modules-dir=manual"],
      });
      try {
        assertEquals((await Deno.stat(join(folder, "data", "postgres"))).uid, user.uid);
        assertEquals((await call(`${stack.settings.SUPABASE_URL}/auth/v1/health`)).status, 401);
      } finally {
        await endBy("SIGTERM", stack);
      }
    }),
});

Deno.test({
  name: "start: as root in a checkout that the database's account cannot enter",
  ignore: !isRoot, // Without root, one account does everything.
  fn: () =>
    withTempDir(async (folder) => {
      await Deno.chmod(folder, 0o700);
      await copyCheckout(folder);
      const stack = await startAndWait(["--ephemeral"], { root: folder, denoFlags: ["--node-modules-dir=manual"] });
      assert(await endBy("SIGTERM", stack) < 3000);

      const { code, said } = await runStart(["--port", "0", "--data-dir", join(folder, "data")]);
      assertEquals(code, 1);
      assertStringIncludes(said, "PostgreSQL does not run as root, and its account");
    }),
});
