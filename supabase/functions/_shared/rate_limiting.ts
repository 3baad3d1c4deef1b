/**
 * Limits the requests of each caller: `429 rate_limited` before a body is read, `RateLimit` headers on every answer. See
 * docs/limits.md and decision 0087.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import { wasAdmitted } from "./admitted_keys.ts";
import { apiKeysIn, bearerOf, parseApiKey } from "./api_keys.ts";
import type { Authenticated, Session } from "./auth.ts";
import { clientAddress } from "./client_address.ts";
import { clientNetwork } from "./client_network.ts";
import { rpcAsServer } from "./database.ts";
import { Problem, problemResponse } from "./problems.ts";
import type { Budget, RateClass } from "./rate_budget.ts";
import { type CountedRate, RateLimiter, type SettledRate } from "./rate_limiter.ts";
import { rateLimits, sendRateLimits } from "./rate_limit_settings.ts";
import { RefusedCredentials } from "./refused_credentials.ts";
import { knownSession } from "./verified_tokens.ts";

declare module "./database.ts" {
  interface Answers {
    settle_rates: SettledRate[];
  }
}

/** What a request of an endpoint costs. */
export interface RateCost {
  class: RateClass;
  /** Units of a request; further ones are charged by {@link chargeRows}. */
  units?: number;
}

/** Variables that the middleware sets for the handlers. */
export interface RateLimited extends Authenticated {
  /** Budget of the request; undefined while nothing is limited. */
  rateBudget: Budget | undefined;
}

const reads: RateCost = { class: "reads" };
const writes: RateCost = { class: "writes" };

/** Costs that endpoints declare, by method and path. */
const declaredCosts = new Map<string, RateCost>();

/** Declares what a request of an endpoint costs. */
export function declareCost(method: string, path: string, cost: RateCost): void {
  declaredCosts.set(`${method.toUpperCase()} ${path}`, cost);
}

/** Longest text of an IPv6 address, with a zone. */
const maxAddressLength = 64;

/** How long the answer to a caller is held who repeats a refused request at once, and how many are held. */
const holdMs = 250;
const maxHeldRefusals = 500;
let heldRefusals = 0;

const limiter = new RateLimiter(async (counted: CountedRate[], sweeps) => {
  await sendRateLimits();
  return await rpcAsServer()("settle_rates", { counted: counted.map((one) => ({ ...one })), sweeps });
});

const refusedCredentials = new RefusedCredentials();

/** Returns who has a budget: a user, or a secret key. */
export function callerOf({ user_id, api_key, secret_key = "default" }: Session): string {
  if (api_key !== undefined) return `key:${api_key.key.id}`;
  return user_id === null ? `secret_key:${secret_key}` : `user:${user_id}`;
}

/** Returns the client's address as a caller. Where the platform does not tell it, nobody is limited by it. */
function addressOf(c: Context): string | undefined {
  const address = rateLimits.areOn ? clientAddress(c.req.raw.headers) : "";
  return address === "" || address.length > maxAddressLength ? undefined : `address:${clientNetwork(address)}`;
}

/** Limits an authenticated caller. Stands after the authentication, and before a body is read. */
export const rateLimit = createMiddleware<{ Variables: RateLimited }>((c, next) => {
  if (!rateLimits.areOn) return next();
  const { class: rateClass, units = 1 } = costOf(c);
  const budget = limiter.budget(c.get("rateCaller") ?? callerOf(c.get("session")), rateClass);
  c.set("rateBudget", budget);
  return answerWithin(c, budget, units, next);
});

/**
 * Limits what a request costs beyond its class, once its body says so. Returns the refusal; undefined when it may go on.
 */
export async function limitFurther(
  c: Context,
  { class: rateClass, units = 1 }: RateCost,
): Promise<Response | void> {
  if (!rateLimits.areOn) return;
  const budget = limiter.budget(c.get("rateCaller") ?? callerOf(c.get("session")), rateClass);
  c.set("rateBudget", budget);
  const { isAllowed, retryAfterMs } = await limiter.admit(budget, units);
  if (!isAllowed) return await refuse(c, budget, retryAfterMs);
}

/** Limits callers of endpoints without a credential, by their address. */
export const addressRateLimit: MiddlewareHandler = (c, next) => {
  const address = addressOf(c);
  return address === undefined ? next() : answerWithin(c, limiter.budget(address, "reads"), 1, next);
};

/**
 * Authenticates callers, and limits the refused credentials of an address. An address beyond its limit is refused before
 * a credential is verified; credentials that were verified before pass.
 */
export const withinAddress = (authentication: MiddlewareHandler): MiddlewareHandler => (c, next) => {
  const address = addressOf(c);
  if (address === undefined) return authentication(c, next);
  const limited = limiter.peek(address, "unauthenticated");
  const over = limited !== undefined && limiter.isUsedUp(limited) ? limited : undefined;
  if (over !== undefined && needsVerification(c)) return refuse(c, over);
  const repeated = refusedCredentials.overBudget(c.req.raw);
  if (repeated !== undefined) return refuse(c, repeated);
  // an error of what comes after the authentication does not get here: it is an answer already
  return authentication(c, next).catch((error: unknown) => answerRefused(c, address, error, over));
};

/** Answers a request whose credential was refused, and counts it. */
async function answerRefused(c: Context, address: string, error: unknown, over?: Budget): Promise<Response> {
  if (!(error instanceof Problem) || error.code !== "unauthenticated" || "credential" in error.more) throw error;
  if (over !== undefined) {
    refusedCredentials.note(c.req.raw, over.limit);
    return await refuse(c, over);
  }
  const budget = countRefused(c, address);
  await limiter.known(budget);
  const response = problemResponse(c, error);
  setRateHeaders(response.headers, budget);
  return response;
}

/**
 * Charges the rows of a batch, an import or an answer, when they are known. The request itself was charged for the first.
 *
 * The request is not refused: its caller waits before the next one instead.
 */
export function chargeRows(c: { var: Pick<RateLimited, "rateBudget"> }, rows: number): void {
  const budget = c.var.rateBudget;
  if (rows > 1 && budget !== undefined) limiter.count(budget, rows - 1);
}

/** Charges what the request costs once more, for a further page that it reads. */
export function chargeAgain(c: Context): void {
  const budget: Budget | undefined = c.get("rateBudget");
  if (budget !== undefined) limiter.count(budget, costOf(c).units ?? 1);
}

/** Returns whether the credential can be judged only by a signature or the database, and was not judged before. */
function needsVerification({ req }: Context): boolean {
  const [credential] = apiKeysIn(req.raw.headers);
  if (credential !== undefined) {
    const key = parseApiKey(credential);
    return key === undefined || !wasAdmitted(key, clientAddress(req.raw.headers));
  }
  const token = bearerOf(req.raw.headers);
  return token === undefined ? req.query("ticket") !== undefined : knownSession(token) === undefined;
}

/** Counts a refused credential of an address: one that is sent again and again counts for itself. */
function countRefused(c: Context, address: string): Budget {
  const budget = limiter.budget(address, "unauthenticated");
  if (refusedCredentials.note(c.req.raw, budget.limit)) limiter.count(budget, 1);
  return budget;
}

/** Answers within a budget, or refuses. */
async function answerWithin(
  c: Context,
  budget: Budget,
  units: number,
  next: () => Promise<void>,
): Promise<Response | void> {
  const judged = limiter.admit(budget, units);
  const { isAllowed, retryAfterMs } = judged instanceof Promise ? await judged : judged;
  if (!isAllowed) return await refuse(c, budget, retryAfterMs);
  await next();
  // an invalid acting token is the mistake of a caller whose own credential is valid
  if (c.res.status === 401 && c.req.header("X-Acting-For") === undefined) giveBack(c, budget, units);
  // the database answered meanwhile, unless the request was faster
  if (!budget.isAsked) await limiter.known(budget);
  // what was limited last is what the caller has to know of
  if (!c.res.headers.has("RateLimit")) setRateHeaders(c.res.headers, c.get("rateBudget") ?? budget);
}

/** Takes back what a request was charged whose credential the database refused: its owner may not have sent it. */
function giveBack(c: Context, budget: Budget, units: number): void {
  limiter.count(budget, -units);
  const address = addressOf(c);
  if (address !== undefined) countRefused(c, address);
}

/**
 * Answers `429 rate_limited`. A caller who does not wait gets the answer late: many connections that repeat at once would
 * keep the isolate busy with refusals.
 */
async function refuse(c: Context, budget: Budget, retryAfterMs?: number): Promise<Response> {
  const { limit, rateClass, refusedUntilMs } = budget;
  const nowMs = performance.now();
  const waitMs = retryAfterMs ?? budget.retryAfterMs(nowMs);
  budget.refusedUntilMs = nowMs + waitMs;
  if (nowMs < refusedUntilMs && heldRefusals < maxHeldRefusals) {
    heldRefusals++;
    await new Promise((resume) => setTimeout(resume, Math.min(waitMs, holdMs)));
    heldRefusals--;
  }
  const retryAfterS = Math.max(1, Math.ceil(waitMs / 1_000));
  const response = problemResponse(
    c,
    new Problem(
      "rate_limited",
      `Too many requests of class "${rateClass}": at most ${limit?.burst} at once and ${limit?.unitsPerMinute} per minute`,
      { policy: rateClass, limit: limit?.burst, retry_after_s: retryAfterS },
    ),
  );
  setRateHeaders(response.headers, budget, retryAfterS);
  return response;
}

/**
 * Sets the headers of draft-ietf-httpapi-ratelimit-headers-11. `t` is the time in which the units that are left come back:
 * a client that spreads them over it stays within the limit for ever.
 */
function setRateHeaders(headers: Headers, budget: Budget, retryAfterS?: number): void {
  const { limit, rateClass } = budget;
  if (!limit || limiter.isBlind) return;
  const left = budget.left(performance.now());
  headers.set("RateLimit-Policy", limit.policy);
  headers.set(
    "RateLimit",
    `"${rateClass}";r=${left};t=${retryAfterS ?? Math.max(1, Math.ceil(left * limit.unitMs / 1_000))}`,
  );
}

function costOf(c: Context): RateCost {
  const route = matchedRoutes(c).find(({ method }) => method !== "ALL");
  if (route === undefined) return reads;
  return declaredCosts.get(`${route.method} ${route.path}`) ?? (route.method === "GET" ? reads : writes);
}
