import { dirname, fromFileUrl, join } from "@std/path/mod.js";

/** The checkout this file belongs to, so that commands work from any working folder. */
export const projectRoot: string = dirname(dirname(fromFileUrl(import.meta.url)));

/** A path below the checkout. */
export function inProject(...parts: string[]): string {
  return join(projectRoot, ...parts);
}
