import { createHash, type Hash } from "node:crypto";
import type { ItemResult } from "../../supabase/functions/_shared/batch.ts";
import { type Chunk, chunksOf } from "./chunks.ts";
import { messageOf } from "../../local/system/failure.ts";
import { StateFile } from "../state_file.ts";
import { ImportFailure } from "./failure.ts";
import type { ImportApi } from "./api.ts";
import type { ImportOptions } from "./options.ts";
import { importState, type State } from "./state.ts";
import type { Position, Progress } from "./progress.ts";
import { type Reject, RejectsReport } from "./rejects.ts";
import { decoded, readCsv, readNdjson, type Row, type TextForm } from "./rows.ts";

/** Counts of the rows by outcome. */
export interface ImportSummary {
  rows: number;
  /** Rows by what became of them: created, updated, ..., rejected. */
  counts: Record<string, number>;
  /** Rows that an earlier attempt had done. */
  resumedAt: number;
  /** Workplaces that rows named and the plant did not know. */
  newWorkplaces: string[];
}

interface Input {
  bytes: ReadableStream<Uint8Array<ArrayBuffer>>;
  size_bytes: number | undefined;
}

/**
 * Carries an import out, from where an earlier attempt stopped.
 *
 * @param options Options of the command line.
 * @param api Takes the chunks.
 * @param show Makes the display, once it is known where to begin.
 * @throws {ToolFailure} when it cannot go on; what is done stays done and is kept in the state file.
 */
export async function runImport(
  options: ImportOptions,
  api: ImportApi,
  show: (first: Position) => Progress,
): Promise<ImportSummary> {
  const file = options.stateFile === undefined ? undefined : new StateFile(options.stateFile, importState);
  const state = await stateOf(options, file);
  const resumedAt = state.rows;
  const input = await open(options.input);
  const position: Position = {
    rows: resumedAt,
    rejected: state.counts.rejected ?? 0,
    bytes: 0,
    size_bytes: input.size_bytes,
  };
  const counted = input.bytes.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        position.bytes += chunk.length;
        controller.enqueue(chunk);
      },
    }),
  );
  const form: TextForm = { hasBom: false, lineEnd: "\n" };
  const text = decoded(counted, options, form);
  const { names, rows } = options.format === "csv"
    ? await readCsv(text, options.separator)
    : { names: [], rows: readNdjson(text) };
  const digest = createHash("sha256");
  const left = skipped(rows, state, digest);
  const chunks = chunksOf(left, { format: options.format, names, maxRows: options.chunk });

  const report = await RejectsReport.open(options.rejectsFile, { ...options, names, text: form }, state.rejects_bytes);
  let progress: Progress | undefined;
  try {
    // while one chunk is on its way, the next is read
    let next = chunks.next();
    for (;;) {
      const { value: chunk, done } = await next;
      if (done) break;
      progress ??= show({ ...position });
      next = chunks.next();
      // it is awaited later, after the request: until then a failure is unhandled
      next.catch(() => {});
      await report.add(await carriedOut(chunk, api, state));
      for (const row of chunk.rows) digest.update(`${row.text}\n`);
      state.rows += chunk.rows.length;
      state.digest = digest.copy().digest("hex");
      state.rejects_bytes = report.length_bytes;
      await file?.write(state);
      position.rows = state.rows;
      position.rejected = state.counts.rejected ?? 0;
      progress.update(position);
    }
  } finally {
    progress?.end();
    report.close();
    await rows.return(undefined);
  }
  await file?.remove();
  return { rows: state.rows, counts: state.counts, resumedAt, newWorkplaces: state.new_workplaces };
}

/** Sends what is to be sent, and counts; returns the rows that were refused, in their order. */
async function carriedOut(chunk: Chunk, api: ImportApi, state: State): Promise<Reject[]> {
  // the rows from this one on, in the order of this file, are what the key stands for
  const key = `import-${state.run}-${state.rows}-${chunk.rows.length}`;
  const results = chunk.body === undefined ? [] : await api.send(chunk.body, key);
  if (results.length !== chunk.sent.length) {
    throw new ImportFailure(`The server answered ${results.length} results for ${chunk.sent.length} rows.`);
  }
  const resultOf = new Map<Row, ItemResult | undefined>(chunk.sent.map((row, index) => [row, results[index]]));
  const rejects: Reject[] = [];
  for (const row of chunk.rows) {
    const result = resultOf.get(row);
    const refusal = row.refusal ?? refusalOf(result);
    const outcome = refusal ? "rejected" : result?.outcome ?? "rejected";
    state.counts[outcome] = (state.counts[outcome] ?? 0) + 1;
    if (refusal) rejects.push({ row, ...refusal });
    const workplace = result?.creates_workplace;
    if (workplace !== undefined && !state.new_workplaces.includes(workplace)) state.new_workplaces.push(workplace);
  }
  return rejects;
}

function refusalOf(result: ItemResult | undefined): { code: string; detail: string } | undefined {
  const problem = result?.problem;
  if (!problem) return undefined;
  const errors = problem.errors?.map(({ code, pointer, message }) =>
    `${code} at ${pointer}: ${code === "unknown_decimal" ? asOption(message) : message}`
  ).join("; ");
  return { code: problem.code, detail: errors || problem.detail };
}

/** Says what the endpoint says of its parameter `decimal` with the option of the command. */
const asOption = (message: string) =>
  message.replaceAll("decimal=", "--decimal ").replace("send `decimal`", "give --decimal");

async function stateOf(options: ImportOptions, file: StateFile<State> | undefined): Promise<State> {
  const { functionsUrl, mode, isResumed } = options;
  const known = isResumed ? await file?.read() : undefined;
  if (known === undefined) {
    return {
      run: crypto.randomUUID(),
      functionsUrl,
      mode,
      rows: 0,
      digest: "",
      rejects_bytes: 0,
      counts: {},
      new_workplaces: [],
    };
  }
  if (known.functionsUrl !== functionsUrl || known.mode !== mode) {
    throw new ImportFailure(
      `An import of ${options.input} to ${known.functionsUrl} with mode ${known.mode} stopped after ${known.rows} rows: ` +
        "finish that one, or begin anew with --no-resume.",
    );
  }
  return known;
}

/** The rows after those that are done, once these are known to be the same. */
async function* skipped(groups: AsyncGenerator<Row[]>, state: State, digest: Hash): AsyncGenerator<Row[]> {
  const { rows: done, digest: known } = state;
  const check = () => {
    if (done > 0 && digest.copy().digest("hex") !== known) {
      throw new ImportFailure(
        `The first ${done} rows are not those that were imported before: begin anew with --no-resume.`,
      );
    }
  };
  let seen = 0;
  for await (const rows of groups) {
    if (seen >= done) {
      yield rows;
      continue;
    }
    for (const row of rows.slice(0, done - seen)) digest.update(`${row.text}\n`);
    const rest = rows.slice(done - seen);
    seen += rows.length;
    if (seen < done) continue;
    check();
    yield rest;
  }
  if (seen < done) {
    throw new ImportFailure(
      `The input has ${seen} rows, of which ${done} were imported before: begin anew with --no-resume.`,
    );
  }
}

async function open(input: string): Promise<Input> {
  if (input === "-") return { bytes: Deno.stdin.readable, size_bytes: undefined };
  try {
    const file = await Deno.open(input);
    const { isFile, isDirectory, size } = await file.stat();
    if (isDirectory) throw new ImportFailure(`${input} is a folder.`);
    return { bytes: file.readable, size_bytes: isFile ? size : undefined };
  } catch (error) {
    if (error instanceof ImportFailure) throw error;
    throw new ImportFailure(`Cannot read ${input}: ${messageOf(error)}`);
  }
}
