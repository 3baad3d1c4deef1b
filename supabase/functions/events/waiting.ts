/**
 * How many requests of one caller may wait for the feed at once: an event wakes all of them, and each then reads.
 *
 * @module
 */
import type { Session } from "../_shared/auth.ts";
import { Problem } from "../_shared/problems.ts";

const maxOfUser = 10;
const maxOfSecretKey = 50;

const countOf = new Map<string | null, number>();

/**
 * Counts a request that waits, in this isolate.
 *
 * @returns A function that ends the counting.
 * @throws {Problem} `rate_limited` when as many requests of the caller wait already.
 */
export function beginWaiting({ user_id }: Session): () => void {
  const most = user_id === null ? maxOfSecretKey : maxOfUser;
  const count = countOf.get(user_id) ?? 0;
  if (count >= most) {
    throw new Problem("rate_limited", `Cannot wait for the feed: ${count} of at most ${most} of your requests wait`, {
      limit: most,
      retry_after_s: 5,
    });
  }
  countOf.set(user_id, count + 1);
  return () => {
    const rest = (countOf.get(user_id) ?? 1) - 1;
    if (rest > 0) countOf.set(user_id, rest);
    else countOf.delete(user_id);
  };
}
