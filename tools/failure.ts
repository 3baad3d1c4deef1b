/** Reason why an import cannot continue: printed as it is, without a stack trace. */
export class ImportFailure extends Error {
  override name = "ImportFailure";
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
