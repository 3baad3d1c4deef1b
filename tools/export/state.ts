import { z } from "zod";
import type { StateKind } from "../state_file.ts";

const State = z.object({
  /** The list with its filters and its form: a file of another one must not be continued. */
  list: z.string(),
  rows: z.int().min(0),
  /** Length of the text that is written. */
  bytes: z.int().min(0),
  /** Path and query of the next answer. */
  next: z.string(),
});

/** Progress of an export. */
export type State = z.infer<typeof State>;

/** The state file of an export lies beside its output. */
export const exportState: StateKind<State> = { schema: State, subject: "an export", option: "--output" };
