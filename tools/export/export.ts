/** `deno task export`: a list as CSV, in a file of any size. */
import process from "node:process";
// @ts-types="@types/cli-progress"
import { SingleBar } from "cli-progress";
import { format } from "@std/fmt/bytes.js";
import { messageOf } from "../../local/system/failure.ts";
import { ToolFailure } from "../failure.ts";
import { partReader } from "./api.ts";
import { type ExportOptions, parseExportOptions, usage } from "./options.ts";
import { type Progress, runExport } from "./run.ts";

const plainEvery_ms = 5000;

/** Exports, and prints the summary to standard error: standard output may be the file. */
async function main(): Promise<void> {
  const options = await parseExportOptions(Deno.args);
  if (!options) {
    console.log(usage);
    return;
  }
  const interrupted = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM", "SIGHUP"];
  const goesOn = options.output === "-" ? "." : "; the same command goes on from there.";
  for (const signal of signals) {
    Deno.addSignalListener(signal, () => interrupted.abort(new ToolFailure(`Interrupted${goesOn}`)));
  }
  const started = performance.now();
  const display = Deno.stderr.isTerminal() ? line() : lines();
  const read = partReader(options, interrupted.signal, (reason, pause_ms) => {
    console.error(`${reason}. Trying again in ${(pause_ms / 1000).toFixed(1)} s.`);
  });
  try {
    const summary = await runExport(options, read, display.update);
    display.end();
    console.error(told(summary, options, (performance.now() - started) / 1000));
  } finally {
    display.end();
  }
}

function told(
  { rows, bytes, resumedAt }: Progress & { resumedAt: number },
  { output }: ExportOptions,
  seconds: number,
): string {
  const where = output === "-" ? "" : ` in ${output}`;
  const pace = `${seconds.toFixed(1)} s, ${Math.round((rows - resumedAt) / seconds)} rows/s`;
  return `${rows} rows, ${format(bytes)}${where}\n${pace}${
    resumedAt > 0 ? ` for the last ${rows - resumedAt}, after ${resumedAt} of an earlier attempt` : ""
  }`;
}

interface Display {
  update(progress: Progress): void;
  end(): void;
}

/** One line that changes, on a terminal. */
function line(): Display {
  const shown = new SingleBar({
    format: "{rows} rows, {size}",
    stream: process.stderr,
    hideCursor: true,
    gracefulExit: false,
  });
  shown.start(1, 0, { rows: 0, size: format(0) });
  return {
    update: ({ rows, bytes }) => shown.update(0, { rows, size: format(bytes) }),
    end: () => shown.stop(),
  };
}

/** Lines, for logs. */
function lines(): Display {
  let toldAt = performance.now();
  return {
    update({ rows, bytes }) {
      if (performance.now() - toldAt < plainEvery_ms) return;
      toldAt = performance.now();
      console.error(`${rows} rows, ${format(bytes)}`);
    },
    end: () => {},
  };
}

try {
  await main();
  Deno.exit(0);
} catch (error) {
  console.error(error instanceof ToolFailure ? `error: ${error.message}` : error);
  if (!(error instanceof ToolFailure)) console.error(`error: ${messageOf(error)}`);
  Deno.exit(1);
}
