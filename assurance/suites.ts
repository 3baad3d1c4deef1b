/** Figures that the test suite asserts: the same tests, with the full counts. */
import { join } from "node:path";
import { inProject, projectRoot } from "../local/paths.ts";
import type { Figure } from "./figures.ts";

/** A figure and the test that asserts it, by the beginning of its name. */
export interface Asserted {
  figure: string;
  bar: string;
  test: string;
}

const unescape = (text: string) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&apos;", "'")
    .replaceAll("&amp;", "&");

/**
 * Runs test files, named as below `supabase/functions/tests` or from the project's folder with a slash, against the
 * stack of `env` and returns how the figures' tests ended; what failed is printed.
 */
export async function runTests(
  files: string[],
  env: Record<string, string>,
  asserted: Asserted[],
): Promise<Figure[]> {
  const folder = await Deno.makeTempDir({ prefix: "mes-assurance-" });
  const report = join(folder, "report.xml");
  try {
    const paths = files.map((file) =>
      file.includes("/") ? inProject(file) : inProject("supabase/functions/tests", file)
    );
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--allow-all", "--no-check", "--parallel", `--junit-path=${report}`, ...paths],
      env: { NO_COLOR: "1", ...env },
      cwd: projectRoot,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (!success) console.error(decode(stdout) + decode(stderr));
    const xml = await Deno.readTextFile(report).catch(() => "");
    const tests = [...xml.matchAll(/<testcase\b([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g)].map((
      [, tag = "", , body = ""],
    ) => ({
      name: unescape(tag.match(/\bname="([^"]*)"/)?.[1] ?? ""),
      took_s: Number(tag.match(/\btime="([\d.]*)"/)?.[1] ?? NaN),
      hasPassed: !/<(failure|error|skipped)\b/.test(body),
    }));
    return asserted.map(({ figure, bar, test }) => {
      const found = tests.find(({ name }) => name.startsWith(test));
      // what a test says of itself in a line of its own: "MEASURED ..."
      const beginning = `MEASURED ${test}`;
      const said = found && decode(stdout).split("\n").find((line) => line.startsWith(beginning));
      const measured = found === undefined
        ? "the test did not run"
        : `${said?.slice(beginning.length).replace(/^[^:]*: /, "") ?? (found.hasPassed ? "asserted" : "FAILED")}, ${
          found.took_s.toFixed(0)
        } s`;
      return { figure, bar, measured, isMet: found?.hasPassed ?? false };
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

export const feed: Asserted[] = [
  {
    figure: "16 writers with rollbacks, 20 readers who come again by feed, SSE and WebSocket",
    bar: "none missed, repeated, out of order or foreign",
    test: "Feed and streams",
  },
];

export const webhooks: Asserted[] = [
  {
    figure: "100 dispatchers killed between sending and acknowledging",
    bar: "none lost, repetitions have one webhook-id",
    test: "Webhooks: dispatchers killed",
  },
  {
    figure: "4 dispatchers at once, 2,000 messages",
    bar: "each sent once",
    test: "Webhooks: four dispatchers at once",
  },
  {
    figure: "one dead endpoint among 20",
    bar: "p99 of the others grows by less than 1 s",
    test: "Webhooks: one dead endpoint",
  },
  {
    figure: "database crashed with 1,000 deliveries pending",
    bar: "1,000 delivered",
    test: "webhook timer: what was pending",
  },
  { figure: "51 hostile URLs", bar: "all refused", test: "POST and PATCH /webhooks/v1/endpoints: hostile URLs" },
];

export const concurrency: Asserted[] = [
  {
    figure: "32 clients x 50 reports on one operation",
    bar: "1600 pieces, op_seq without gap",
    test: "Racing REPORT_QUANTITY",
  },
  {
    figure: "500 pairs of STARTs, 500 pairs of FINISHes",
    bar: "one of each wins, the other is told why",
    test: "Racing STARTs, then racing FINISHes",
  },
  { figure: "500 pairs START/CANCEL from one ETag", bar: "exactly one wins", test: "START races CANCEL from one ETag" },
  {
    figure: "500 pairs START/CANCEL without condition",
    bar: "ends cancelled, no open run",
    test: "START races CANCEL without a condition",
  },
  {
    figure: "64 STARTs at a workplace of capacity 2",
    bar: "2 run",
    test: "Racing STARTs at a workplace of capacity 2",
  },
  { figure: "20 PATCHes from one ETag", bar: "exactly one succeeds", test: "Racing PATCHes from one ETag" },
  { figure: "50 keys x 32 racers", bar: "50 effects, replays byte-identical", test: "50 keys, 32 racers each" },
];
