/**
 * Limits of requests that a test sets for its own callers, and what answers say of them.
 *
 * @module
 */
import { clientNetwork } from "../../_shared/client_network.ts";
import type { RateClass } from "../../_shared/rate_budget.ts";
import { withDatabase } from "./database_connection.ts";

/** Limits one caller, from the next settlement of each isolate on. */
export const limitCaller = (caller: string, rateClass: RateClass, unitsPerMinute: number, burst: number) =>
  withDatabase(async (sql) => {
    await sql`
      insert into app.rate_limit_overrides (caller, class, units_per_minute, burst)
      values (${caller}, ${rateClass}, ${unitsPerMinute}, ${burst})
      on conflict (caller, class) do update set units_per_minute = excluded.units_per_minute, burst = excluded.burst`;
  });

/** Limits the refused credentials of an address to so many, which come back one per minute. */
export const limitRefused = (address: string, burst: number) =>
  limitCaller(`address:${clientNetwork(address)}`, "unauthenticated", 1, burst);

/** An address that no other test has: from the network for documentation. */
export const newAddress = () => `2001:db8:${crypto.randomUUID().slice(0, 4)}:${crypto.randomUUID().slice(0, 4)}::1`;

/** Returns the headers of the limit. */
export const rateHeadersOf = ({ headers }: { headers: Headers }) => ({
  policy: headers.get("ratelimit-policy"),
  limit: headers.get("ratelimit"),
});

/** Returns the class that a request was charged to; undefined for an answer without limits. */
export const rateClassOf = (answer: { headers: Headers }) =>
  /^"(\w+)";q=\d+;w=\d+$/.exec(rateHeadersOf(answer).policy ?? "")?.[1];

/** Returns the units that are left. */
export const unitsLeft = (answer: { headers: Headers }) =>
  Number(/;r=(\d+);/.exec(rateHeadersOf(answer).limit ?? "")?.[1]);
