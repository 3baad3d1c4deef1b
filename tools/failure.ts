/** Reason why a command cannot continue: printed as it is, without a stack trace. */
export class ToolFailure extends Error {
  override name = "ToolFailure";
}
