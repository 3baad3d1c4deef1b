/**
 * Requests that happen at once.
 *
 * @module
 */

/** True in the long form of the figures of `deno task reliability`: RELIABILITY=full. */
export const isLongForm = Deno.env.get("RELIABILITY") === "full";

/** Starts all of them before the first has ended. */
export function race<Result>(racers: number, run: (racer: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: racers }, (_, racer) => run(racer)));
}

/** Runs `count` rounds, `width` of them at a time. */
export async function rounds(count: number, width: number, run: (round: number) => Promise<void>): Promise<void> {
  let next = 0;
  await race(Math.min(width, count), async () => {
    while (next < count) await run(next++);
  });
}

/** Counts each value. */
export function tally(values: (string | number)[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** Status and, for problems, the machine code. */
export function outcome({ status, body }: { status: number; body: unknown }): string {
  const code = status >= 400 && typeof body === "object" && body !== null && "code" in body ? ` ${body.code}` : "";
  return `${status}${code}`;
}
