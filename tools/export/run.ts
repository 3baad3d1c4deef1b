import { messageOf } from "../../local/system/failure.ts";
import { ToolFailure } from "../failure.ts";
import { StateFile } from "../state_file.ts";
import type { Part } from "./api.ts";
import type { ExportOptions } from "./options.ts";
import { exportState, type State } from "./state.ts";

/** Progress of an export. */
export interface Progress {
  /** Rows that are written, those of an earlier attempt included. */
  rows: number;
  bytes: number;
}

/** What an export has written. */
export interface ExportSummary extends Progress {
  /** Rows that an earlier attempt had written. */
  resumedAt: number;
}

/**
 * Carries an export out, from where an earlier attempt stopped. One part of the list at a time is in memory.
 *
 * @param read Reads a part of the list.
 * @param show Called after each part.
 * @throws {ToolFailure} when it cannot go on; what is written stays written, and the state file says how far it is.
 */
export async function runExport(
  { path, query, output, isResumed, functionsUrl }: ExportOptions,
  read: (path: string) => Promise<Part>,
  show: (progress: Progress) => void,
): Promise<ExportSummary> {
  const stateFile = output === "-" ? undefined : new StateFile(`${output}.export.json`, exportState);
  const partFile = `${output}.part`;
  const first = new URLSearchParams(query);
  first.append("format", "csv");
  const list = `${functionsUrl}${path}?${first}`;
  const known = isResumed ? await stateFile?.read() : undefined;
  if (known !== undefined && known.list !== list) {
    throw new ToolFailure(
      `An export of ${known.list} to ${output} stopped after ${known.rows} rows: finish that one, or begin anew with --no-resume.`,
    );
  }
  const state: State = known ?? { list, rows: 0, bytes: 0, next: `${path}?${first}` };
  const resumedAt = state.rows;
  const file = output === "-" ? undefined : await opened(partFile, state.bytes);
  try {
    for (
      let next: string | undefined = state.next, isFirst = known === undefined;
      next !== undefined;
      isFirst = false
    ) {
      const part = await read(isFirst ? next : continued(next));
      await writeAll(file ?? Deno.stdout, part.bytes);
      state.rows += rowsOf(part.bytes) - (isFirst ? 1 : 0);
      state.bytes += part.bytes.length;
      next = part.next;
      // with the text on the disk first: a state that is ahead of its file would leave rows out
      if (file !== undefined && next !== undefined) {
        await file.syncData();
        await stateFile?.write({ ...state, next });
      }
      show(state);
    }
  } finally {
    file?.close();
  }
  if (output !== "-") {
    await Deno.rename(partFile, output);
    await stateFile?.remove();
  }
  return { rows: state.rows, bytes: state.bytes, resumedAt };
}

/** Parts after the first one have neither header line nor byte order mark. */
function continued(path: string): string {
  const [pathname, search] = path.split("?");
  const query = new URLSearchParams(search);
  query.set("header", "false");
  query.delete("bom");
  return `${pathname}?${query}`;
}

const [quote, carriageReturn] = [0x22, 0x0d];

/** Counts the lines of a CSV; a line end within quotes is none. */
function rowsOf(bytes: Uint8Array): number {
  let rows = 0;
  let isQuoted = false;
  for (const byte of bytes) {
    if (byte === quote) isQuoted = !isQuoted;
    else if (byte === carriageReturn && !isQuoted) rows++;
  }
  return rows;
}

/** Opens the file, without what was written after the state. */
async function opened(path: string, length: number): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path, { write: true, create: true });
    const { size } = await file.stat();
    if (size < length) throw new ToolFailure(`${path} is shorter than its state says: begin anew with --no-resume.`);
    await file.truncate(length);
    await file.seek(0, Deno.SeekMode.End);
    return file;
  } catch (error) {
    if (error instanceof ToolFailure) throw error;
    throw new ToolFailure(`Cannot write ${path}: ${messageOf(error)}`);
  }
}

async function writeAll(file: { write(bytes: Uint8Array): Promise<number> }, bytes: Uint8Array): Promise<void> {
  try {
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
  } catch (error) {
    throw new ToolFailure(`Cannot write: ${messageOf(error)}`);
  }
}
