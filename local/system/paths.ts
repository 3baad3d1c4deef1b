import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout this file belongs to, so that commands work from any working folder. */
export const projectRoot: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A path below the checkout. */
export function inProject(...parts: string[]): string {
  return join(projectRoot, ...parts);
}
