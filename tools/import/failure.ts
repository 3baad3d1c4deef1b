import { ToolFailure } from "../failure.ts";

/** Reason why an import cannot continue. */
export class ImportFailure extends ToolFailure {
  override name = "ImportFailure";
}
