import { connect } from "../postgres/bootstrap.ts";

/** Interval of the search for due messages. */
const interval_ms = 1000;

/** Parts of the stack that the timer needs. */
export interface DispatchOptions {
  /** Returns true when a message is due. */
  isDue: () => Promise<boolean>;
  /** URL of the stack. */
  url: string;
  secretKey: string;
}

/**
 * Calls the dispatcher of webhooks when something is due, as pg_cron does on Supabase: checks once a second, makes one
 * call at a time, and repeats at once while the dispatcher reports more. Returns a function that ends it.
 */
export function startDispatching({ isDue, url, secretKey }: DispatchOptions): () => Promise<void> {
  const ending = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const dispatch = async (): Promise<boolean> => {
    const response = await fetch(`${url}/functions/v1/webhooks/v1/dispatch`, {
      method: "POST",
      headers: { apikey: secretKey },
      signal: ending.signal,
    });
    const answer: unknown = await response.json();
    return typeof answer === "object" && answer !== null && "has_more" in answer && answer.has_more === true;
  };
  const look = async () => {
    // the database is down, the functions reload, or the stack ends: the next check retries
    const hasMore = await isDue().then((isDue) => isDue && dispatch()).catch(() => false);
    if (!ending.signal.aborted) timer = setTimeout(look, hasMore ? 0 : interval_ms);
  };
  timer = setTimeout(look, interval_ms);

  return () => {
    ending.abort();
    clearTimeout(timer);
    return Promise.resolve();
  };
}

/** Asks the database over its own connection for due messages; a project may have no webhooks. */
export function dueDispatches(databaseUrl: string): { isDue: () => Promise<boolean>; close: () => Promise<void> } {
  const sql = connect(databaseUrl);
  return {
    async isDue() {
      const [row] = await sql`select to_regproc('app.is_dispatch_due') is not null as has_webhooks`;
      if (!row?.has_webhooks) return false;
      const [answer] = await sql`select app.is_dispatch_due() as is_due`;
      return answer?.is_due === true;
    },
    close: () => sql.end({ timeout: 1 }),
  };
}
