/**
 * Limits the requests of a caller that wait for the event feed: an event wakes all of them, and each one reads.
 *
 * @module
 */
import type { Session } from "../_shared/auth.ts";
import { Problem } from "../_shared/problems.ts";

const maxOfUser = 10;
const maxOfSecretKey = 50;

const countOf = new Map<string | null, number>();

/**
 * Counts a waiting request, in this isolate.
 *
 * @returns A function that ends the counting.
 * @throws {Problem} `rate_limited` when the largest allowed number of the caller's requests wait.
 */
export function beginWaiting({ user_id }: Session): () => void {
  const limit = user_id === null ? maxOfSecretKey : maxOfUser;
  const count = countOf.get(user_id) ?? 0;
  if (count >= limit) {
    throw new Problem("rate_limited", `Cannot wait for the feed: ${count} of at most ${limit} of your requests wait`, {
      limit,
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
