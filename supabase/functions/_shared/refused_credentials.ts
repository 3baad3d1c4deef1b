/**
 * Credentials that this isolate has refused lately. A device that repeats one expired token must not use up what its
 * whole plant, behind one address, may get wrong.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Budget, Limit } from "./rate_budget.ts";

/** Most stored credentials; the least recently refused are forgotten. */
const maxCredentials = 1_000;

/** Least limit of one credential, and the part of its address's limit that it may use where that is more. */
const leastLimit = new Limit("unauthenticated", 60, 60);
const shareOfAddress = 1 / 5;

export class RefusedCredentials {
  /** By digest, so that the memory holds no credential. */
  readonly #budgets = new Map<string, Budget>();

  constructor(readonly now: () => number = () => performance.now()) {}

  /** Returns the budget of a credential that was refused too often; undefined when it is to be verified. */
  overBudget(request: Request): Budget | undefined {
    const budget = this.#budgets.size === 0 ? undefined : this.#find(request);
    return budget !== undefined && budget.left(this.now()) < 1 ? budget : undefined;
  }

  /**
   * Counts the refused credential of a request. Returns whether it is a new one.
   *
   * @param ofAddress Limit of the client's address.
   */
  note(request: Request, ofAddress?: Limit | null): boolean {
    const digest = digestOf(request);
    // requests without a credential are all alike
    if (digest === undefined) return true;
    const known = this.#budgets.get(digest);
    const budget = known ?? new Budget("credential", "unauthenticated");
    const limit = ofAddress ? shareOf(ofAddress) : leastLimit;
    if (budget.limit?.policy !== limit.policy) budget.settle(limit, 0, this.now());
    budget.count(1, this.now());
    this.#budgets.delete(digest);
    this.#budgets.set(digest, budget);
    const [oldest] = this.#budgets.keys();
    if (this.#budgets.size > maxCredentials && oldest !== undefined) this.#budgets.delete(oldest);
    return known === undefined;
  }

  #find(request: Request): Budget | undefined {
    const digest = digestOf(request);
    return digest === undefined ? undefined : this.#budgets.get(digest);
  }
}

function shareOf({ rateClass, unitsPerMinute, burst }: Limit): Limit {
  return new Limit(
    rateClass,
    Math.max(leastLimit.unitsPerMinute, Math.round(unitsPerMinute * shareOfAddress)),
    Math.max(leastLimit.burst, Math.round(burst * shareOfAddress)),
  );
}

function digestOf({ headers }: Request): string | undefined {
  const credential = headers.get("Authorization") ?? headers.get("apikey");
  // the publishable key is everybody's, and no credential
  return credential === null || credential.startsWith("sb_publishable_")
    ? undefined
    : createHash("sha256").update(credential).digest("base64");
}
