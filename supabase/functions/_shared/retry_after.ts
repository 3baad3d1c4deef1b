/**
 * Reads a `Retry-After` header: a number of seconds, or a date.
 *
 * @returns Milliseconds to wait, never negative; undefined without a usable header.
 */
export function readRetryAfterMs(header: string | null | undefined, nowMs = Date.now()): number | undefined {
  if (!header) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1_000;
  // a date begins with its weekday; the parser takes other texts for dates, too
  const untilMs = /^[A-Z][a-z]{2}/.test(header) ? Date.parse(header) : NaN;
  return Number.isNaN(untilMs) ? undefined : Math.max(0, untilMs - nowMs);
}
