/**
 * How far an import has come, in a file: written after each chunk, so that whatever ends the import, the next one
 * repeats one chunk at most.
 *
 * @module
 */
import { z } from "zod";
import { messageOf } from "../../local/system/failure.ts";
import { ImportFailure } from "./failure.ts";

const State = z.object({
  /** Part of the chunks' idempotency keys. */
  run: z.string(),
  functionsUrl: z.string(),
  mode: z.string(),
  /** Rows that are done, and the SHA-256 of their text: another file must not be continued. */
  rows: z.int().min(0),
  digest: z.string(),
  /** Length of the report of refused rows. */
  rejects_bytes: z.int().min(0),
  /** Rows by what became of them. */
  counts: z.record(z.string(), z.int()),
  /** Workplaces that the import created. */
  new_workplaces: z.array(z.string()).default([]),
});

/** Progress of an import. */
export type State = z.infer<typeof State>;

/** Reads the file; undefined when there is none. */
export async function readState(path: string): Promise<State | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new ImportFailure(`Cannot read the state file ${path}: ${messageOf(error)}`);
  }
  try {
    return State.parse(JSON.parse(text));
  } catch {
    throw new ImportFailure(`${path} is not the state of an import: remove it, or name another with --state.`);
  }
}

/** Replaces the file as a whole: a kill leaves the old one or the new one. */
export async function writeState(path: string, state: State): Promise<void> {
  try {
    await Deno.writeTextFile(`${path}.new`, `${JSON.stringify(state)}\n`);
    await Deno.rename(`${path}.new`, path);
  } catch (error) {
    throw new ImportFailure(`Cannot write the state file ${path}: ${messageOf(error)}. Name another with --state.`);
  }
}

/** The import is over. */
export async function removeState(path: string): Promise<void> {
  await Deno.remove(path).catch(() => {});
}
