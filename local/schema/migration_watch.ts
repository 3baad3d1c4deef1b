import { messageOf } from "../system/failure.ts";

/** Several files are saved at once: one call for all of them. */
const delayMs = 100;

/**
 * Applies migrations whenever a file of their folder changes, one call after the other. A failure is reported and the
 * watch goes on.
 *
 * @returns A function that ends the watch.
 */
export function watchMigrations(
  folder: string,
  apply: () => Promise<void>,
  report: (line: string) => void,
): () => Promise<void> {
  const watcher = Deno.watchFs(folder);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let applying = Promise.resolve();
  const applyInTurn = () => applying = applying.then(apply).catch((error) => report(messageOf(error)));
  const watching = (async () => {
    for await (const { kind, paths } of watcher) {
      if (kind === "access" || !paths.some((path) => path.endsWith(".sql"))) continue;
      clearTimeout(timer);
      timer = setTimeout(applyInTurn, delayMs);
    }
  })();
  return async () => {
    clearTimeout(timer);
    watcher.close();
    await Promise.all([watching, applying]);
  };
}
