/** `deno task import` as its users have it: a process, files, a server that is not always there. */
import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { inProject } from "../../local/system/paths.ts";
import { env, newUser, type Operation, server, unique } from "../../supabase/functions/tests/support/harness.ts";

interface Run {
  code: number;
  out: string;
  err: string;
}

/** Runs the command, by default against the project under test. */
function command(
  args: string[],
  settings: Record<string, string> = {},
  stdin: "null" | "piped" = "null",
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--frozen", "--no-check", inProject("tools", "import", "import.ts"), ...args],
    env: {
      SUPABASE_URL: env.supabaseUrl,
      FUNCTIONS_URL: env.functionsUrl,
      SUPABASE_SECRET_KEY: env.secretKey,
      INIT_CWD: "/",
      NO_COLOR: "1",
      ...settings,
    },
    stdin,
    stdout: "piped",
    stderr: "piped",
  });
}

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function finished(process: Deno.ChildProcess): Promise<Run> {
  const { code, stdout, stderr } = await process.output();
  return { code, out: decode(stdout), err: decode(stderr) };
}

const run = (args: string[], settings?: Record<string, string>) => finished(command(args, settings).spawn());

/** A folder for the files of one test. */
async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mes-import-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const isThere = (path: string) => Deno.stat(path).then(() => true, () => false);

const header = "order_no,asset_id,operation_no,workplace_name,activity_description,status,qty_desired,timestamp_ms";

/** Lines of a CSV, without the header: operations of one order. */
const csvRows = (order: string, count: number) =>
  Array.from(
    { length: count },
    (_, i) =>
      `${order},1,${String(i + 1).padStart(5, "0")},Import hall,"Cut, bend ""${i}""",RELEASED,50,2026-11-22T15:00:00Z`,
  );

/** Counts the operations of an order. */
async function countOf(order: string): Promise<number> {
  const answer = await server.get<Operation[]>("/operations/v1", {
    query: { order_no: order, limit: 1, count: "exact" },
  });
  return Number(answer.headers.get("x-total-count"));
}

/** The import endpoint behind a door that the test opens and closes. */
async function withProxy(
  answer: (forward: () => Promise<Response>, nth: number) => Promise<Response>,
  test: (url: string) => Promise<void>,
): Promise<void> {
  let requests = 0;
  const proxy = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: () => new Response() },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      const body = await request.bytes();
      return await answer(
        () =>
          fetch(`${env.functionsUrl}${pathname.replace(/^\/functions\/v1/, "")}${search}`, {
            method: request.method,
            headers: request.headers,
            body,
          }),
        ++requests,
      );
    },
  );
  try {
    await test(`http://127.0.0.1:${proxy.addr.port}`);
  } finally {
    await proxy.shutdown();
  }
}

Deno.test("import: a CSV of several chunks, and the same once more", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "feed.csv");
    await Deno.writeTextFile(file, [header, ...csvRows(order, 2_300)].join("\n"));

    const first = await run([file]);
    assertEquals(first.code, 0, first.err);
    assertStringIncludes(first.out, "2300 rows: 2300 created");
    assertEquals(await countOf(order), 2_300);
    assertEquals(await Array.fromAsync(Deno.readDir(folder), ({ name }) => name), ["feed.csv"]);

    const again = await run([file]);
    assertEquals(again.code, 0, again.err);
    assertStringIncludes(again.out, "2300 rows: 2300 skipped_stale");
  }));

Deno.test("import: compressed NDJSON from standard input", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const rows = Array.from({ length: 1_200 }, (_, i) =>
      JSON.stringify({ order_no: order, asset_id: 1, operation_no: `${i + 1}`, timestamp_ms: "2026-11-22T15:00:00Z" }));
    const process = command(
      ["-", "--format", "ndjson", "--gzip", "--rejects", join(folder, "rejects.ndjson")],
      {},
      "piped",
    ).spawn();
    await new Response(rows.join("\n")).body?.pipeThrough(new CompressionStream("gzip")).pipeTo(process.stdin);
    const { code, out, err } = await finished(process);
    assertEquals(code, 0, err);
    assertStringIncludes(out, "1200 rows: 1200 created");
    assertEquals(await countOf(order), 1_200);
  }));

Deno.test("import: refused rows are reported with their lines, the others go in", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "feed.csv");
    const rows = csvRows(order, 1_100);
    rows[3] = rows[3]?.replace(",50,", ",-50,") ?? "";
    rows[4] = `${order},1,5" pipe`;
    rows[1_050] = `${rows[1_050]},more`;
    await Deno.writeTextFile(file, [header, ...rows].join("\n"));

    const { code, out } = await run([file]);
    assertEquals(code, 2);
    assertStringIncludes(out, "1100 rows: 1097 created, 3 rejected");
    const report = (await Deno.readTextFile(`${file}.rejected.csv`)).trimEnd().split("\n");
    assertEquals(report[0], `${header},problem_code,problem_detail`);
    assertEquals(report.slice(1), [
      `${rows[3]},validation_failed,"line 5: too_small at /qty_desired: must be at least 0, not -50"`,
      `${rows[4]},malformed_csv,"line 6: A quote is neither doubled nor at an end of its field, or is not closed"`,
      `${rows[1_050]},malformed_csv,"line 1052: The row has 9 fields, the header line 8"`,
    ]);
  }));

Deno.test("import: the report of a file is imported again as it is, and once it is corrected its rows go in", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "export.csv");
    const names = header.split(",").join(";");
    const lines = [
      `\ufeff${names}`,
      `${order};1;0010;Import hall;"Blech; 3 mm";RELEASED;1.000;2026-11-22T15:00:00Z`,
      `${order};1;0020;Import hall;größer;RELEASED;-1;2026-11-22T15:00:00Z`,
      `${order};1;0030;Import hall;5" pipe;RELEASED;1;2026-11-22T15:00:00Z`,
      `${order};1;0040;Import hall;good;RELEASED;1;1795359600000`,
    ];
    await Deno.writeTextFile(file, lines.join("\r\n"));
    const args = ["--separator", ";"];
    const first = await run([file, ...args]);
    assertStringIncludes(first.out, "4 rows: 1 created, 3 rejected");
    const report = `${file}.rejected.csv`;
    const text = await Deno.readTextFile(report);
    const [head, thousand, ...others] = text.trimEnd().split("\r\n");
    assertEquals(head, `\ufeff${names};problem_code;problem_detail`);
    assertEquals(
      thousand,
      `${lines[1]};validation_failed;` +
        '"line 2: unknown_decimal at /qty_desired: ""1.000"" is 1 with --decimal point, 1000 with --decimal comma: give --decimal"',
    );
    assertEquals(others.map((line) => line.startsWith(order)), [true, true]);

    // as it is: refused for the same reasons, which are told once
    const again = await run([report, ...args]);
    assertStringIncludes(again.out, "3 rows: 3 rejected");
    assertEquals(await Deno.readTextFile(`${report}.rejected.csv`), text);
    await Deno.writeTextFile(report, text.replace(";-1;", ";1;").replace('5" pipe', "5 in pipe"));
    const corrected = await run([report, ...args, "--decimal", "comma"]);
    assertEquals(corrected.code, 0, corrected.out);
    assertStringIncludes(corrected.out, "3 rows: 3 created");
    const { body } = await server.get<Operation[]>("/operations/v1", { query: { order_no: order } });
    assertEquals(body.map(({ qty_desired, activity_description }) => [qty_desired, activity_description]), [
      [1000, "Blech; 3 mm"],
      [1, "größer"],
      [1, "5 in pipe"],
      [1, "good"],
    ]);
  }));

Deno.test("import: the report has the encoding of the file", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const line = `${order},1,0010,Import hall,größer €,RELEASED,-1,2026-11-22T15:00:00Z`;
    const content = `${header}\n${line}\n`;
    const files = {
      "windows-1252": Uint8Array.from(content, (character) => character === "€" ? 0x80 : character.charCodeAt(0)),
      "utf-16le": new Uint8Array(Uint16Array.from(content, (character) => character.charCodeAt(0)).buffer),
    };
    for (const [encoding, bytes] of Object.entries(files)) {
      const file = join(folder, `${encoding}.csv`);
      await Deno.writeFile(file, bytes);
      assertEquals((await run([file, "--encoding", encoding])).code, 2);
      const report = new TextDecoder(encoding, { fatal: true }).decode(await Deno.readFile(`${file}.rejected.csv`));
      assertStringIncludes(report, `\n${line},validation_failed,`);
    }
  }));

Deno.test("import: the report of NDJSON has the rows with two members more, and is imported again", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "feed.ndjson");
    const bad = {
      order_no: order,
      asset_id: 1,
      operation_no: "0010",
      qty_desired: -1,
      timestamp_ms: "2026-11-22T15:00:00Z",
    };
    await Deno.writeTextFile(file, `${JSON.stringify(bad)}\n{}\n{"order_no":\n`);
    assertEquals((await run([file])).code, 2);
    const report = `${file}.rejected.ndjson`;
    const text = await Deno.readTextFile(report);
    const [first, second, third] = text.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(first, {
      ...bad,
      problem_code: "validation_failed",
      problem_detail: "line 1: too_small at /qty_desired: must be at least 0, not -1",
    });
    assertEquals(Object.keys(second), ["problem_code", "problem_detail"]);
    assertEquals([third.row, third.problem_code], ['{"order_no":', "malformed_json"]);
    const [line = ""] = text.split("\n");
    await Deno.writeTextFile(report, `${line.replace('"qty_desired":-1', '"qty_desired":1')}\n`);
    const corrected = await run([report]);
    assertStringIncludes(corrected.out, "1 rows: 1 created");
  }));

Deno.test("import: names the workplaces that are new, and --unknown-workplaces reject keeps their rows out", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const workplace = unique("New place");
    const file = join(folder, "feed.csv");
    const rows = csvRows(order, 2);
    await Deno.writeTextFile(file, [header, rows[0], rows[1]?.replace("Import hall", workplace)].join("\n"));
    const refused = await run([file, "--unknown-workplaces", "reject", "--rejects", join(folder, "r.csv")]);
    assertEquals(refused.code, 2);
    assertStringIncludes(await Deno.readTextFile(join(folder, "r.csv")), "unknown_workplace at /workplace_name");
    for (const args of [["--dry-run"], []]) {
      assertStringIncludes((await run([file, ...args])).out, `1 new workplace: ${workplace}`);
    }
  }));

Deno.test("import --dry-run: tells what would happen, changes nothing", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "feed.csv");
    await Deno.writeTextFile(file, [header, ...csvRows(order, 20)].join("\n"));
    const { code, out } = await run([file, "--dry-run"]);
    assertEquals(code, 0);
    assertStringIncludes(out, "20 rows, nothing changed (dry run): 20 created");
    assertEquals(await countOf(order), 0);
  }));

Deno.test("import: killed in the middle, the same command goes on", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "feed.csv");
    const rows = csvRows(order, 1_000);
    rows[30] = `${order},1,refused`;
    await Deno.writeTextFile(file, [header, ...rows].join("\n"));
    const third = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    await withProxy(async (forward, nth) => {
      const response = await forward();
      if (nth === 3) {
        // carried out, but the answer never arrives
        await response.body?.cancel();
        third.resolve();
        await over.promise;
        return new Response(null, { status: 503 });
      }
      return response;
    }, async (url) => {
      const args = [file, "--chunk", "100", "--url", url];
      const process = command(args).spawn();
      await third.promise;
      process.kill("SIGKILL");
      await finished(process);
      over.resolve();
      assertEquals(JSON.parse(await Deno.readTextFile(`${file}.import.json`)).rows, 200);

      const moved = await run([file]);
      assertEquals(moved.code, 1);
      assertStringIncludes(moved.err, "stopped after 200 rows");

      const resumed = await run(args);
      assertEquals(resumed.code, 2, resumed.err);
      assertStringIncludes(resumed.err, "Going on after row 200.");
      // the chunk whose answer was lost has its first answer: created, not skipped_stale
      assertStringIncludes(resumed.out, "1000 rows: 999 created, 1 rejected");
      assertEquals((await Deno.readTextFile(`${file}.rejected.csv`)).trimEnd().split("\n").length, 2);
      assertEquals(await countOf(order), 999);
      assertEquals(await isThere(`${file}.import.json`), false);
    });
  }));

Deno.test("import: another file under the same name is not continued", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "feed.csv");
    const rows = csvRows(order, 300);
    await Deno.writeTextFile(file, [header, ...rows].join("\n"));
    await withProxy(
      (forward, nth) => nth === 2 ? Promise.resolve(new Response("{}", { status: 403 })) : forward(),
      async (url) => {
        const args = [file, "--chunk", "100", "--url", url];
        assertEquals((await run(args)).code, 1);
        await Deno.writeTextFile(file, [header, ...rows.toReversed()].join("\n"));
        const other = await run(args);
        assertEquals(other.code, 1);
        assertStringIncludes(other.err, "The first 100 rows are not those that were imported before");
        const anew = await run([...args, "--no-resume"]);
        assertEquals(anew.code, 0, anew.err);
        assertStringIncludes(anew.out, "300 rows: 200 created, 100 skipped_stale");
      },
    );
  }));

Deno.test("import: waits for a server that is away, as long as it asks for", () =>
  withFolder(async (folder) => {
    const order = unique("O");
    const file = join(folder, "feed.csv");
    await Deno.writeTextFile(file, [header, ...csvRows(order, 150)].join("\n"));
    await withProxy(async (forward, nth) => {
      if (nth === 1) return new Response("{}", { status: 503, headers: { "retry-after": "2" } });
      if (nth === 2) return new Response("{}", { status: 429 });
      if (nth === 3) return new Response("bad gateway", { status: 502 });
      return await forward();
    }, async (url) => {
      const started = performance.now();
      const { code, out, err } = await run([file, "--chunk", "100", "--url", url]);
      assertEquals(code, 0, err);
      assert(performance.now() - started > 2_000, "it did not wait for the 2 s that were asked for");
      assertEquals(err.match(/Trying again/g)?.length, 3);
      assertStringIncludes(out, "150 rows: 150 created");
    });
    const closed = await run([file, "--url", "http://127.0.0.1:1/", "--patience", "1"]);
    assertEquals(closed.code, 1);
    assertStringIncludes(closed.err, "Gave up after 1 s. No answer from http://127.0.0.1:1/functions/v1");
  }));

Deno.test(
  "import: Ctrl-C ends it, the same command goes on",
  { ignore: Deno.build.os === "windows" },
  () =>
    withFolder(async (folder) => {
      const order = unique("O");
      const file = join(folder, "feed.csv");
      await Deno.writeTextFile(file, [header, ...csvRows(order, 300)].join("\n"));
      const second = Promise.withResolvers<void>();
      await withProxy(async (forward, nth) => {
        if (nth !== 2) return await forward();
        second.resolve();
        return new Response("{}", { status: 503, headers: { "retry-after": "100" } });
      }, async (url) => {
        const args = [file, "--chunk", "100", "--url", url];
        const process = command(args).spawn();
        await second.promise;
        process.kill("SIGINT");
        const { code, err } = await finished(process);
        assertEquals(code, 1);
        assertStringIncludes(err, "error: Interrupted; the same command goes on from there.");
        const resumed = await run(args);
        assertEquals(resumed.code, 0, resumed.err);
        assertStringIncludes(resumed.out, "300 rows: 300 created");
      });
    }),
);

Deno.test("import: keys that may not are told so", () =>
  withFolder(async (folder) => {
    const file = join(folder, "feed.csv");
    await Deno.writeTextFile(file, [header, ...csvRows(unique("O"), 3)].join("\n"));
    const wrong = await run([file], { SUPABASE_SECRET_KEY: "sb_secret_of_another_project" });
    assertEquals(wrong.code, 1);
    assertStringIncludes(wrong.err, "error: The key is not valid at");
    const operator = await newUser({ role: "operator", workplaces: ["*"] });
    const forbidden = await run([file, "--key", operator.token]);
    assertEquals(forbidden.code, 1);
    assertStringIncludes(forbidden.err, "Importing operations needs the role supervisor");
    const supervisor = await newUser({ role: "supervisor", workplaces: ["*"] });
    assertEquals((await run([file, "--key", supervisor.token])).code, 0);
  }));

Deno.test("import: a command that cannot be carried out is one sentence", () =>
  withFolder(async (folder) => {
    for (
      const [args, sentence] of [
        [[], "Name one file"],
        [[join(folder, "missing.csv")], "Cannot read"],
        [[join(folder, "feed.xlsx")], "Cannot tell the format"],
        [["-", "--format", "csv", "--chunk", "1001"], "Cannot use --chunk 1001"],
        [["-", "--format", "csv", "--url", "example"], '"example" is not the URL of a project'],
        [["-", "--format", "csv", "--decimal", "dot"], "Cannot use --decimal dot"],
        [["-", "--format", "csv", "--unknown-workplaces", "no"], "Cannot use --unknown-workplaces no"],
        [[join(folder, "a.csv"), "--rejects", join(folder, "a.csv")], "The report of refused rows cannot replace"],
        [["-", "--format", "csv", "--colour"], "Unknown option '--colour'"],
      ] as const
    ) {
      const { code, err } = await run([...args]);
      assertEquals(code, 1, err);
      assertStringIncludes(err, `error: ${sentence}`);
    }
    const help = await run(["--help"]);
    assertEquals(help.code, 0);
    assertStringIncludes(help.out, "Exit codes: 0");
  }));
