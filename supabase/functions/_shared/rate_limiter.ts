/**
 * The budgets of this isolate's callers. Requests are judged from memory; the database hears of them in the background
 * and tells what other isolates counted. See decision 0087.
 *
 * @module
 */
import { outliveAnswer } from "./background.ts";
import { Budget, Limit, type RateClass, type Verdict } from "./rate_budget.ts";

/** What this isolate counted of one caller. */
export interface CountedRate {
  caller: string;
  class: RateClass;
  units: number;
}

/** The database's answer for one caller. */
export interface SettledRate {
  caller: string;
  class: RateClass;
  units_per_minute: number;
  burst: number;
  /** How long until the budget is full again. */
  ahead_ms: number;
}

/** Adds counts to the budgets that all isolates share. */
export type Settle = (counted: CountedRate[], sweeps: boolean) => Promise<SettledRate[]>;

/** Most budgets that the isolate keeps; the least recently used are forgotten. */
const maxBudgets = 10_000;

/** Most budgets of one call. */
const maxSettled = 500;

/** Longest time until the database hears of a unit. */
const settleAfterMs = 1_000;

/** Time between two sweeps of the database's full budgets. */
const sweepAfterMs = 60_000;

/** Longest time that a request waits for the database's first answer about its caller. */
const patienceMs = 100;

export class RateLimiter {
  /** By class and caller, the least recently used first. */
  readonly #budgets = new Map<string, Budget>();
  /** Budgets with units that the database does not know of. */
  readonly #unsettled = new Set<Budget>();
  #isSettling = false;
  #isAnotherDue = false;
  #isTimed = false;
  /** Whether the last settlement failed: nothing is refused then. */
  #isBlind = false;
  #sweptAtMs = -Infinity;

  constructor(readonly settle: Settle, readonly now: () => number = () => performance.now()) {}

  /** Number of budgets in memory. */
  get size(): number {
    return this.#budgets.size;
  }

  /** Whether the database cannot be told what was counted. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  /** Returns the budget of a caller. */
  budget(caller: string, rateClass: RateClass): Budget {
    const key = `${rateClass} ${caller}`;
    let budget = this.#budgets.get(key);
    if (budget === undefined) {
      budget = new Budget(caller, rateClass);
      if (this.#budgets.size >= maxBudgets) this.#forgetOldest();
    } else {
      this.#budgets.delete(key);
    }
    this.#budgets.set(key, budget);
    return budget;
  }

  /** Returns the budget of a caller when it is in memory, without using it. */
  peek(caller: string, rateClass: RateClass): Budget | undefined {
    return this.#budgets.get(`${rateClass} ${caller}`);
  }

  /**
   * Takes units of a budget. The first request of a caller makes the isolate ask the database; others at the same time
   * wait for its answer.
   */
  admit(budget: Budget, units: number): Verdict | Promise<Verdict> {
    if (budget.isNew || budget.isAsked || this.#isBlind) return this.take(budget, units);
    return this.known(budget).then(() => this.take(budget, units));
  }

  /** Takes units of a budget, or says when they are there. */
  take(budget: Budget, units: number): Verdict {
    const verdict = this.#isBlind ? this.#count(budget, units) : budget.take(units, this.now());
    if (verdict.isAllowed) {
      this.#note(budget);
    } else {
      // its limit may have been raised meanwhile
      this.#unsettled.add(budget);
      this.#settleLater();
    }
    return verdict;
  }

  /** Counts units that were used, or gives negative ones back. */
  count(budget: Budget, units: number): void {
    this.#count(budget, units);
    this.#note(budget);
  }

  /** Returns whether a budget has no unit left. */
  isUsedUp(budget: Budget): boolean {
    return !this.#isBlind && budget.left(this.now()) < 1;
  }

  /** Waits a moment for the database's first answer about a budget. Only requests of callers who are new here wait. */
  async known(budget: Budget): Promise<void> {
    if (budget.isNew || budget.isAsked || this.#isBlind) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resume) => timer = setTimeout(resume, patienceMs));
    await Promise.race([budget.asked.promise, patience]);
    clearTimeout(timer);
  }

  #count(budget: Budget, units: number): Verdict {
    budget.count(units, this.now());
    return { isAllowed: true, retryAfterMs: 0 };
  }

  #forgetOldest(): void {
    const [oldest] = this.#budgets;
    if (oldest === undefined) return;
    this.#budgets.delete(oldest[0]);
    this.#unsettled.delete(oldest[1]);
    oldest[1].noteAsked();
  }

  #note(budget: Budget): void {
    this.#unsettled.add(budget);
    if (!this.#isBlind && budget.isDue(this.now())) this.#settleSoon();
    else this.#settleLater();
  }

  #settleSoon(): void {
    if (this.#isSettling) this.#isAnotherDue = true;
    else outliveAnswer(this.#settleAll());
  }

  #settleLater(): void {
    if (this.#isTimed) return;
    this.#isTimed = true;
    outliveAnswer(
      new Promise<void>((resume) => setTimeout(resume, settleAfterMs)).then(() => {
        this.#isTimed = false;
        if (!this.#isSettling) return this.#settleAll();
      }),
    );
  }

  /** Tells the database what was counted, one call at a time. */
  async #settleAll(): Promise<void> {
    this.#isSettling = true;
    do {
      this.#isAnotherDue = false;
      await this.#settleSome([...this.#unsettled].slice(0, maxSettled));
      this.#isAnotherDue ||= this.#unsettled.size >= maxSettled;
    } while (this.#isAnotherDue && !this.#isBlind);
    this.#isSettling = false;
    if (this.#unsettled.size > 0) this.#settleLater();
  }

  async #settleSome(budgets: Budget[]): Promise<void> {
    for (const budget of budgets) this.#unsettled.delete(budget);
    const counted = budgets.map((budget) => ({
      caller: budget.caller,
      class: budget.rateClass,
      units: budget.beginSettling(),
    }));
    const sweeps = this.now() - this.#sweptAtMs >= sweepAfterMs;
    try {
      const answers = await this.settle(counted, sweeps);
      const nowMs = this.now();
      if (sweeps) this.#sweptAtMs = nowMs;
      const byKey = new Map(answers.map((answer) => [`${answer.class} ${answer.caller}`, answer]));
      for (const budget of budgets) {
        const answer = byKey.get(`${budget.rateClass} ${budget.caller}`);
        budget.settle(limitOf(budget, answer), answer?.ahead_ms ?? 0, nowMs);
      }
      this.#isBlind = false;
    } catch (error) {
      // what was counted is forgotten: the requests of an outage are nobody's debt
      if (!this.#isBlind) console.error(JSON.stringify({ rate_limits: "not in force", error: String(error) }));
      this.#isBlind = true;
    }
    for (const budget of budgets) budget.noteAsked();
  }
}

/** Returns the limit of an answer: the same object while it is the same limit. */
function limitOf({ limit, rateClass }: Budget, answer: SettledRate | undefined): Limit | null {
  if (answer === undefined) return null;
  const { units_per_minute, burst } = answer;
  return limit?.unitsPerMinute === units_per_minute && limit.burst === burst
    ? limit
    : new Limit(rateClass, units_per_minute, burst);
}
