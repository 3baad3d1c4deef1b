/**
 * The one call of the database that a request makes.
 *
 * @module
 */
import { createAdminClient, createContextClient } from "@supabase/server/core";
import type { PostgrestError, SupabaseClient } from "@supabase/supabase-js";
import type { Database } from "./database.types.ts";
import type { HealthAnswer } from "./health.ts";
import { isProblemCode, Problem } from "./problems.ts";

/**
 * What the SQL functions answer: the generator knows `Json` only, each resource's schemas.ts adds its own
 * (`declare module`), inferred from the zod schemas that the contract is made of.
 */
export interface Answers {
  health: HealthAnswer;
  require_second_factor: { is_required: boolean };
}

/** The answer of a command: status and body are stored for replays exactly as they are sent. */
export interface Answer<Body> {
  status: number;
  body: Body;
  replayed?: boolean;
  /** The request that was answered so first, when it brought a key. */
  request_id?: string | null;
}

/** A page of a list: `next` is the key of its last item when there are more. */
export interface Page<Item> {
  items: Item[];
  next: (string | number)[] | null;
  total: number | null;
}

type Functions = Database["public"]["Functions"];

/** Calls one SQL function as the caller: one round trip, one transaction. */
export type CallDatabase = <Name extends keyof Functions & keyof Answers>(
  name: Name,
  args: Functions[Name]["Args"],
) => Promise<Answers[Name]>;

// A database that hangs must become a 503 well before a terminal gives up.
const timeout_ms = 9_000;

const boundedFetch: typeof fetch = (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(timeout_ms) });

let asUser: SupabaseClient | undefined;
let asServer: SupabaseClient | undefined;

/**
 * The database for a signed-in user. The client is shared, because making one costs more than the request itself;
 * the token goes with the single call and is kept nowhere.
 *
 * @param token The user's verified access token.
 */
export function databaseOfUser(token: string): CallDatabase {
  asUser ??= createContextClient({ supabaseOptions: { global: { fetch: boundedFetch } } });
  return caller(asUser, `Bearer ${token}`);
}

/** The database for a server that holds the secret key itself, and for the health check. */
export function databaseOfServer(): CallDatabase {
  asServer ??= createAdminClient({ supabaseOptions: { global: { fetch: boundedFetch } } });
  return caller(asServer);
}

// The types are those of CallDatabase: supabase-js cannot derive them for a name that is itself a type parameter.
function caller(client: SupabaseClient, authorization?: string): CallDatabase {
  return async (name, args) => {
    const call = client.rpc(name, args);
    if (authorization !== undefined) call.setHeader("Authorization", authorization);
    const { data, error } = await call;
    if (error !== null) throw problemOf(error);
    return data;
  };
}

/** The token was signed by the project; it is the server's clock that stepped back. */
const tokenOfTheFuture = "The access token was issued later than the server's clock says it is: try again shortly";

/** The problem that an error of the Data API is. */
export function problemOf(error: PostgrestError): Problem | Error {
  if (error.code === "PGRST303" && /future|not yet valid/i.test(error.message)) {
    return new Problem("unavailable", tokenOfTheFuture);
  }
  if (/^PT\d{3}$/.test(error.code) && isProblemCode(error.message)) {
    const { detail, ...more } = JSON.parse(error.details) as { detail: string } & Record<string, unknown>;
    return new Problem(error.message, detail, more);
  }
  const known = sqlstates.find(({ pattern }) => pattern.test(error.code ?? ""));
  if (known !== undefined) return new Problem(known.code, known.detail);
  // fetch failed or was given up: there is no SQLSTATE
  if (!error.code) return new Problem("unavailable", "The database did not answer");
  return new Error(`Data API answered ${error.code}: ${error.message}`);
}

/** SQLSTATEs and PostgREST codes that are not a fault of ours, and what they mean to a client. */
const sqlstates: { pattern: RegExp; code: Problem["code"]; detail: string }[] = [
  // Connection lost, shutting down, starting up, too many connections, lock and statement timeouts, deadlock.
  {
    pattern: /^(08...|57P0[1-5]|57014|55P03|40P01|40001|53...|25006|25P0[34]|PGRST00[0-3])$/,
    code: "unavailable",
    detail: "The database cannot answer now: try again with the same Idempotency-Key",
  },
  { pattern: /^PGRST30[0-3]$/, code: "unauthenticated", detail: "The access token is not valid any more" },
  // The id of another event; every other key of ours is checked by the functions.
  { pattern: /^23505$/, code: "idempotency_conflict", detail: "The id belongs to another event" },
  {
    pattern: /^23...$/,
    code: "integrity_error",
    detail: "A value refers to something that does not exist, or breaks a rule of the database",
  },
  { pattern: /^(54000|54001)$/, code: "malformed_request", detail: "A value is too large or nested too deeply" },
  { pattern: /^(22...)$/, code: "malformed_request", detail: "A value is not of the form that the database takes" },
  { pattern: /^42501$/, code: "forbidden", detail: "Your role may not do this" },
];
