/** A failure that the user can fix: printed as one sentence, without a stack trace. */
export class StackFailure extends Error {
  override name = "StackFailure";
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Makes the console drop what cannot be written: output that goes to a file on a full disk would throw otherwise. */
export function keepConsoleQuiet(): void {
  for (const name of ["log", "error", "warn"] as const) {
    const write = console[name].bind(console);
    console[name] = (...values) => {
      try {
        write(...values);
      } catch {
        // There is no other place to report it.
      }
    };
  }
}

/** Runs the body of a command; a failure becomes one sentence on stderr and exit code 1. */
export async function runCommand(body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (error instanceof StackFailure) console.error(`error: ${error.message}`);
    else console.error(error);
    Deno.exit(1);
  }
}
