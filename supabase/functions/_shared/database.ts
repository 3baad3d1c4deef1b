/**
 * The database: a request calls one SQL function, in one round trip and one transaction.
 *
 * @module
 */
import { createAdminClient, createContextClient } from "@supabase/server/core";
import type { PostgrestError, SupabaseClient } from "@supabase/supabase-js";
import type { Database } from "./database.types.ts";
import type { ApiKey } from "./api_keys.ts";
import { isProblemCode, Problem } from "./problems.ts";
import { requireRequestHook } from "./request_hook.ts";

/**
 * Answers of the SQL functions. The generator of types knows only `Json`: each resource's schemas.ts adds its answers by
 * `declare module`, inferred from the zod schemas of the contract.
 */
export interface Answers {
  require_second_factor: { is_required: boolean };
}

/** Answer of a command. The database stores status and body exactly as they are sent. */
export interface Answer<Body> {
  status: number;
  body: Body;
  /** Whether this is the stored answer of an earlier request. */
  replayed?: boolean;
  /** Id of the request that got this answer first, when it had a key. */
  request_id?: string | null;
}

/** A page of a list. `next` is the key of its last item when more items follow. */
export interface Page<Item> {
  items: Item[];
  next: (string | number)[] | null;
  total: number | null;
}

type Functions = Database["public"]["Functions"];

/** Calls one SQL function as the caller. */
export type Rpc = <Name extends keyof Functions & keyof Answers>(
  name: Name,
  args: Functions[Name]["Args"],
) => Promise<Answers[Name]>;

// A database that hangs must become a 503 well before a terminal times out.
const timeoutMs = 9_000;

/** Texts of the calls' arguments, by the signal of each call. */
const argumentTexts = new WeakMap<AbortSignal, string>();

// supabase-js writes JSON with a callback for each value: of 1 MiB of numbers that takes ten times as long
const fetchWithArguments: typeof fetch = (input, init) =>
  fetch(input, { ...init, body: (init?.signal && argumentTexts.get(init.signal)) ?? init?.body });

let userClient: SupabaseClient | undefined;
let serverClient: SupabaseClient | undefined;

/**
 * Returns the database as a signed-in user sees it. All users share one client, because creating one costs more than the
 * request: each call carries its own token, which is stored nowhere.
 *
 * @param token The user's verified access token.
 * @param acting The acting token of a person at this terminal. The database verifies it (`app.act_for`).
 */
export function rpcAsUser(token: string, acting?: string): Rpc {
  userClient ??= createContextClient({ supabaseOptions: { global: { fetch: fetchWithArguments } } });
  return rpcWith(userClient, { Authorization: `Bearer ${token}`, ...actingFor(acting) });
}

/** Returns the database as the service role sees it. */
export function rpcAsServer(): Rpc {
  return rpcWith(asServer());
}

/**
 * Returns the database as an API key sees it. The call has the credential of the functions; the database judges the key
 * in the transaction of the call and becomes its caller before anything else (`app.before_request`).
 *
 * @param address Address of the client, which the key may be bound to.
 * @param acting The acting token of a person at this terminal.
 */
export function rpcAsKey({ id, digest }: ApiKey, address: string, acting?: string): Rpc {
  const headers = { "x-mes-key": `${id}.${digest}`, "x-mes-client": address, ...actingFor(acting) };
  const call = rpcWith(asServer(), headers);
  return async (name, args) => {
    requireRequestHook();
    return await call(name, args);
  };
}

const actingFor = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { "x-acting-for": token };

function asServer(): SupabaseClient {
  return serverClient ??= createAdminClient({ supabaseOptions: { global: { fetch: fetchWithArguments } } });
}

// supabase-js cannot derive the types for a name that is itself a type parameter: Rpc states them
function rpcWith(client: SupabaseClient, headers: Record<string, string> = {}): Rpc {
  return async (name, args) => {
    const signal = AbortSignal.timeout(timeoutMs);
    argumentTexts.set(signal, JSON.stringify(args));
    const call = client.rpc(name).abortSignal(signal);
    for (const header of Object.entries(headers)) call.setHeader(...header);
    const { data, error } = await call;
    if (error !== null) throw problemOf(error);
    return data;
  };
}

/** The project signed the token, so the server's clock stepped back. */
const tokenFromFuture = "The access token was issued later than the server's clock shows: try again shortly";

/** The database lacks a SQL function: its schema is older than this code, or the Data API has not seen it yet. */
export class MissingFunction extends Problem {
  constructor() {
    super("unavailable", "The database does not have a function that this request needs: it has to be migrated first");
  }
}

/** Turns an error of the Data API into a problem. */
export function problemOf(error: PostgrestError): Problem | Error {
  if (error.code === "PGRST303" && /future|not yet valid/i.test(error.message)) {
    return new Problem("unavailable", tokenFromFuture);
  }
  if (/^PT\d{3}$/.test(error.code) && isProblemCode(error.message)) {
    const { detail, ...more } = JSON.parse(error.details) as { detail: string } & Record<string, unknown>;
    return new Problem(error.message, detail, more);
  }
  if (error.code === "PGRST202") {
    console.error(JSON.stringify({ warning: error.message }));
    return new MissingFunction();
  }
  const known = sqlstates.find(({ pattern }) => pattern.test(error.code ?? ""));
  const cause = `${error.code ?? ""} ${error.message}`.trim();
  if (known !== undefined) return new Problem(known.code, known.detail, {}, { cause });
  // fetch failed or timed out: there is no SQLSTATE
  if (!error.code) return new Problem("unavailable", "The database did not answer", {}, { cause });
  return new Error(`Data API answered ${error.code}: ${error.message}`);
}

/** SQLSTATEs and PostgREST codes that are no internal errors, with the problems that they are. */
const sqlstates: { pattern: RegExp; code: Problem["code"]; detail: string }[] = [
  // connection lost, shutting down, starting up, too many connections, lock and statement timeouts, deadlock
  {
    pattern: /^(08...|57P0[1-5]|57014|55P03|40P01|40001|53...|25006|25P0[34]|PGRST00[0-3])$/,
    code: "unavailable",
    detail: "The database cannot answer now: try again with the same Idempotency-Key",
  },
  { pattern: /^PGRST30[0-3]$/, code: "unauthenticated", detail: "The access token is not valid any more" },
  // The id of another event: the SQL functions check every other key.
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
