/** `deno task export` as its users have it: a process, files, a server that is not always there. */
import { join } from "node:path";
import { inProject } from "../../local/system/paths.ts";
import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { env, newUser, newWorkplace, server, unique } from "../../supabase/functions/tests/support/harness.ts";
import { opened } from "../../supabase/functions/tests/support/stops.ts";

interface Run {
  code: number;
  out: string;
  err: string;
}

function command(args: string[], settings: Record<string, string> = {}): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--frozen", "--no-check", inProject("tools", "export", "export.ts"), ...args],
    env: {
      SUPABASE_URL: env.supabaseUrl,
      FUNCTIONS_URL: env.functionsUrl,
      SUPABASE_SECRET_KEY: env.secretKey,
      INIT_CWD: "/",
      NO_COLOR: "1",
      ...settings,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(args: string[], settings?: Record<string, string>): Promise<Run> {
  const { code, stdout, stderr } = await command(args, settings).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
  return { code, out: out ?? "", err: err ?? "" };
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mes-export-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const namesIn = (folder: string) => Array.fromAsync(Deno.readDir(folder), ({ name }) => name);

/** Operations of one workplace, in answers of 10,000. */
async function plant(count: number) {
  const workplace_name = newWorkplace();
  const order_no = unique("O");
  const numbers = Array.from({ length: count }, (_, index) => String(index).padStart(5, "0"));
  for (let start = 0; start < count; start += 1_000) {
    const rows = numbers.slice(start, start + 1_000).map((operation_no) => ({
      ...{ order_no, asset_id: 1, operation_no, workplace_name },
      activity_description: `Cut, "bend"\r\nand weld`,
      timestamp_ms: "2026-11-22T15:00:00Z",
    }));
    const { status, text } = await server.post("/operations/v1/import", rows);
    assertEquals(status, 200, text);
  }
  return { workplace_name, numbers };
}

/** The functions behind a door that the test opens and closes. */
async function withProxy(
  answer: (forward: () => Promise<Response>, nth: number) => Promise<Response>,
  test: (url: string) => Promise<void>,
): Promise<void> {
  let requests = 0;
  const proxy = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: () => new Response() },
    async ({ url, headers }) => {
      const { pathname, search } = new URL(url);
      const path = `${pathname.replace(/^\/functions\/v1/, "")}${search}`;
      return await answer(() => fetch(`${env.functionsUrl}${path}`, { headers }), ++requests);
    },
  );
  try {
    await test(`http://127.0.0.1:${proxy.addr.port}`);
  } finally {
    await proxy.shutdown();
  }
}

Deno.test("export: one header line and one byte order mark over several answers; killed and retried, it goes on", () =>
  withFolder(async (folder) => {
    const { workplace_name, numbers } = await plant(20_100);
    const file = join(folder, "operations.csv");
    const columns = "columns=operation_no,activity_description";
    const args = ["operations", `workplace_name=${workplace_name}`, columns, "bom=true", "--output", file];
    const expected = `\ufeffoperation_no,activity_description\r\n${
      numbers.map((number) => `${number},"Cut, ""bend""\r\nand weld"\r\n`).join("")
    }`;
    const written = async () => new TextDecoder("utf-8", { ignoreBOM: true }).decode(await Deno.readFile(file));
    const third = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    let isKilled = false;
    await withProxy(async (forward, nth) => {
      if (nth === 2) return new Response("{}", { status: 503, headers: { "retry-after": "1" } });
      if (nth === 4 && !isKilled) {
        third.resolve();
        await over.promise;
      }
      return await forward();
    }, async (url) => {
      const process = command([...args, "--url", url]).spawn();
      await third.promise;
      isKilled = true;
      process.kill("SIGKILL");
      await process.output();
      over.resolve();
      assertEquals((await namesIn(folder)).toSorted(), ["operations.csv.export.json", "operations.csv.part"]);
      // what was written after the state is written again
      await Deno.writeTextFile(`${file}.part`, "half a li", { append: true });

      const other = await run(["events", "--output", file, "--url", url]);
      assertEquals(other.code, 1);
      assertStringIncludes(other.err, "stopped after 20000 rows");

      const resumed = await run([...args, "--url", url]);
      assertEquals(resumed.code, 0, resumed.err);
      assertStringIncludes(resumed.err, "20100 rows");
      assertStringIncludes(resumed.err, "for the last 100, after 20000 of an earlier attempt");
    });
    assertEquals(await namesIn(folder), ["operations.csv"]);
    assertEquals(await written(), expected);

    const piped = await run([...args.slice(0, -1), "-"]);
    assertEquals(piped.code, 0, piped.err);
    assertEquals(piped.out, expected);
  }));

Deno.test("export: writes events, runs, downtimes and workplaces, with the rights of the key", () =>
  withFolder(async (folder) => {
    const { workplace_name } = await plant(2);
    await opened(workplace_name);
    const { client: _, token } = await newUser({ workplaces: [newWorkplace()] });
    for (
      const [list, filter, rows] of [
        ["operations", "workplace_name", 2],
        ["events", "workplace_name", 0],
        ["runs", "workplace_name", 0],
        ["downtimes", "workplace_name", 1],
        ["workplaces", "q", 1],
      ] as const
    ) {
      const file = join(folder, `${list}.csv`);
      const { code, err } = await run([list, `${filter}=${workplace_name}`, "--output", file]);
      assertEquals(code, 0, err);
      assertStringIncludes(err, `${rows} rows`);
    }
    const strange = await run(["operations", `workplace_name=${workplace_name}`, "--output", "-", "--key", token]);
    assertEquals(strange.code, 0, strange.err);
    assertStringIncludes(strange.err, "0 rows");
    assert(strange.out.startsWith("order_no,"));
  }));

Deno.test("export: what cannot be carried out is one sentence", () =>
  withFolder(async (folder) => {
    const output = ["--output", join(folder, "x.csv")];
    for (
      const [args, sentence] of [
        [[], "Name a list: operations, events, runs, downtimes, workplaces."],
        [["orders"], "Name a list"],
        [["toString"], "Name a list"],
        [["operations", "FINISHED", ...output], 'Cannot use "FINISHED"'],
        [["operations", "limit=5", ...output], 'Cannot use "limit=5": the command sets limit itself'],
        [["operations", "status=DONE", ...output], "answered 422 validation_failed"],
        [["operations", "columns=colour", ...output], "which is no column"],
        [["operations", "--url", "example", ...output], '"example" is not the URL of a project'],
        [["operations", "--colour"], "Unknown option '--colour'"],
        [["operations", "--output", join(folder, "missing", "x.csv")], "Cannot write"],
        [["operations", "--url", "http://127.0.0.1:1/", "--patience", "1", ...output], "Gave up after 1 s. No answer"],
      ] as const
    ) {
      const { code, err } = await run([...args]);
      assertEquals(code, 1, err);
      assertStringIncludes(err, "error: ");
      assertStringIncludes(err, sentence);
    }
    const wrong = await run(["operations", ...output], { SUPABASE_SECRET_KEY: "sb_secret_of_another_project" });
    assertStringIncludes(wrong.err, "error: The key is not valid at");
    const help = await run(["--help"]);
    assertEquals(help.code, 0);
    assertStringIncludes(help.out, "deno task export operations");
  }));
