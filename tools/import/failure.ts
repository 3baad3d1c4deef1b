/** Reason why an import cannot continue: printed as it is, without a stack trace. */
export class ImportFailure extends Error {
  override name = "ImportFailure";
}
