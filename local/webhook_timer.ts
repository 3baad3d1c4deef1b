/** How often something that is due is looked for. */
const interval_ms = 1000;

/**
 * Calls the dispatcher of webhooks once a second, as pg_cron does on Supabase: never beside itself, at once again while
 * it says that there is more. Returns what ends it.
 *
 * @param isThere Whether the project has the function.
 * @param url Where the stack is.
 */
export function startDispatching(isThere: () => boolean, url: string, secretKey: string): () => Promise<void> {
  const ending = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const dispatch = async (): Promise<void> => {
    let hasMore = false;
    if (isThere()) {
      try {
        const response = await fetch(`${url}/functions/v1/webhooks/v1/dispatch`, {
          method: "POST",
          headers: { apikey: secretKey },
          signal: ending.signal,
        });
        const answer: unknown = await response.json();
        hasMore = typeof answer === "object" && answer !== null && "has_more" in answer && answer.has_more === true;
      } catch {
        // the database is away, the functions are loaded again, or the stack ends: the next call does it
      }
    }
    if (!ending.signal.aborted) timer = setTimeout(dispatch, hasMore ? 0 : interval_ms);
  };
  timer = setTimeout(dispatch, interval_ms);

  return () => {
    ending.abort();
    clearTimeout(timer);
    return Promise.resolve();
  };
}
