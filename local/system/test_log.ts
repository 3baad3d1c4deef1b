/**
 * The log of the stacks that tests start. Tests provoke thousands of lines, which go to a file instead of the terminal.
 *
 * @module
 */
import { format } from "node:util";
import { inProject } from "./paths.ts";

/** The path of the log in the project. */
export const testLog = "supabase/.temp/test-stack.log";

const makeFolder = () => Deno.mkdirSync(inProject("supabase", ".temp"), { recursive: true });

/** Creates the log, or empties it. */
export function emptyTestLog(): void {
  makeFolder();
  Deno.writeTextFileSync(inProject(testLog), "");
}

/** Appends a line to the log. */
export function writeTestLog(line: string): void {
  Deno.writeTextFileSync(inProject(testLog), `${line}\n`, { append: true });
}

/** Runs `run` and appends to the log what `console.error` is given meanwhile. */
export async function withErrorsLogged<Result>(run: () => Promise<Result>): Promise<Result> {
  makeFolder();
  const print = console.error;
  console.error = (...values: unknown[]) => writeTestLog(format(...values));
  try {
    return await run();
  } finally {
    console.error = print;
  }
}
