/** `deno task import`: rows of the ERP's change feed, of any number, from a file or a pipe. */
import { messageOf } from "../../local/system/failure.ts";
import { ToolFailure } from "../failure.ts";
import { ImportFailure } from "./failure.ts";
import { importApi } from "./api.ts";
import { type ImportOptions, parseImportOptions, usage } from "./options.ts";
import { type ImportSummary, runImport } from "./run.ts";
import { bar, lines, type Progress } from "./progress.ts";
import { writtenEncoding } from "./text_encoding.ts";

const outcomes = ["created", "updated", "deleted", "flagged", "skipped_stale", "rejected"];

/** Imports, prints the summary, and returns the exit code. */
async function main(): Promise<number> {
  const options = await parseImportOptions(Deno.args);
  if (!options) {
    console.log(usage);
    return 0;
  }
  const interrupted = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM", "SIGHUP"];
  const goesOn = options.stateFile === undefined ? "." : "; the same command goes on from there.";
  for (const signal of signals) {
    Deno.addSignalListener(signal, () => interrupted.abort(new ImportFailure(`Interrupted${goesOn}`)));
  }
  const started = performance.now();
  let progress: Progress | undefined;
  const api = importApi(options, interrupted.signal, (reason, pause_ms) => {
    const text = `${reason}. Trying again in ${(pause_ms / 1000).toFixed(1)} s.`;
    progress ? progress.say(text) : console.error(text);
  });
  const summary = await runImport(options, api, (first) => {
    if (first.rows > 0) console.error(`Going on after row ${first.rows}.`);
    progress = Deno.stderr.isTerminal() ? bar(first) : lines(first);
    return progress;
  });
  console.log(told(summary, options, (performance.now() - started) / 1000));
  return summary.counts.rejected ? 2 : 0;
}

function told(
  { rows, counts, resumedAt, newWorkplaces }: ImportSummary,
  options: ImportOptions,
  seconds: number,
): string {
  const pace = Math.round((rows - resumedAt) / seconds);
  const encoding = writtenEncoding(options.encoding);
  const written = encoding === options.encoding ? "" : ` (${encoding})`;
  const plural = newWorkplaces.length === 1 ? "" : "s";
  const became = outcomes.flatMap((outcome) => counts[outcome] ? [`${counts[outcome]} ${outcome}`] : []);
  return [
    `${rows} rows${options.isDryRun ? ", nothing changed (dry run)" : ""}: ${became.join(", ") || "nothing to do"}`,
    `${seconds.toFixed(1)} s, ${pace} rows/s${resumedAt > 0 ? ` for the last ${rows - resumedAt}` : ""}`,
    ...newWorkplaces.length > 0 ? [`${newWorkplaces.length} new workplace${plural}: ${newWorkplaces.join(", ")}`] : [],
    ...counts.rejected ? [`The rejected rows are in ${options.rejectsFile}${written}: correct and import them`] : [],
  ].join("\n");
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(error instanceof ToolFailure ? `error: ${error.message}` : error);
  if (!(error instanceof ToolFailure)) console.error(`error: ${messageOf(error)}`);
  Deno.exit(1);
}
