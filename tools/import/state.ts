import { z } from "zod";
import type { StateKind } from "../state_file.ts";

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

/** The state file of an import. */
export const importState: StateKind<State> = { schema: State, subject: "an import", option: "--state" };
