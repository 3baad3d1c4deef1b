/**
 * Limits the time of a property. fast-check's own limit leaves the run behind that is under way, whose requests then
 * change what the test goes on to compare.
 *
 * @module
 */

/** Returns the run, which does nothing once the time has passed since the call. */
export function withinTime<Drawn extends unknown[]>(
  limitMs: number,
  run: (...drawn: Drawn) => Promise<void>,
): (...drawn: Drawn) => Promise<void> {
  const end = performance.now() + limitMs;
  return async (...drawn) => {
    if (performance.now() < end) await run(...drawn);
  };
}
