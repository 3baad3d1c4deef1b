/**
 * The budget of one caller in one class, as this isolate knows it, by the generic cell rate algorithm: a budget is the
 * instant at which it is full again, and each unit moves that instant. The database has the same instant for all isolates.
 *
 * @module
 */
import type { Database } from "./database.types.ts";

/** What is counted together. */
export type RateClass = Database["public"]["Enums"]["rate_class"];

/** Share of the burst, and of what is left, that an isolate may use before it tells the database. */
const unsettledOfBurst = 0.02;
const unsettledOfRest = 0.25;

/** A limit, with what follows from it. */
export class Limit {
  /** Time in which one unit comes back. */
  readonly unitMs: number;
  /** The limit as an item of the `RateLimit-Policy` header. */
  readonly policy: string;
  /** Time in which the whole burst comes back. */
  readonly windowS: number;

  constructor(readonly rateClass: RateClass, readonly unitsPerMinute: number, readonly burst: number) {
    this.unitMs = 60_000 / unitsPerMinute;
    this.windowS = Math.ceil(burst * this.unitMs / 1_000);
    this.policy = `"${rateClass}";q=${burst};w=${this.windowS}`;
  }
}

/** What a budget allows. */
export interface Verdict {
  isAllowed: boolean;
  /** Time until the same units are there. */
  retryAfterMs: number;
}

const allowed: Verdict = { isAllowed: true, retryAfterMs: 0 };

export class Budget {
  /** Undefined until the database has told it; null when the caller has no limit. */
  limit: Limit | null | undefined;
  /** Resolves when the database was asked for the first time, whether it answered or not. */
  readonly asked = Promise.withResolvers<void>();
  /** Whether the database was asked, and answered or failed. */
  isAsked = false;
  /** Whether nothing was counted yet. */
  isNew = true;
  /** Until when the caller was told to wait. */
  refusedUntilMs = 0;
  #fullAtMs = 0;
  #unsettled = 0;

  constructor(readonly caller: string, readonly rateClass: RateClass) {}

  /** Takes units when there are as many. A budget without a known limit has them. */
  take(units: number, nowMs: number): Verdict {
    const retryAfterMs = this.retryAfterMs(nowMs, units);
    if (retryAfterMs > 0) return { isAllowed: false, retryAfterMs };
    this.count(units, nowMs);
    return allowed;
  }

  /** Returns the time until so many units are there: 0 when they are. */
  retryAfterMs(nowMs: number, units = 1): number {
    const { limit } = this;
    if (!limit) return 0;
    // a request that costs more than the burst needs all of it
    const missingMs = this.#usedMs(nowMs) + (Math.min(units, limit.burst) - limit.burst) * limit.unitMs;
    // the rest of a unit is a rounding error
    return missingMs > limit.unitMs * 1e-6 ? missingMs : 0;
  }

  /** Counts units that were used, whether there were as many or not; negative ones are given back. */
  count(units: number, nowMs: number): void {
    this.isNew = false;
    this.#unsettled += units;
    if (this.limit) this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + units * this.limit.unitMs;
  }

  /** Returns the units that can be taken now. */
  left(nowMs: number): number {
    if (!this.limit) return Infinity;
    return Math.max(0, Math.floor(this.limit.burst - this.#usedMs(nowMs) / this.limit.unitMs + 1e-6));
  }

  /** Returns whether the database should hear of the units now, and not with those of the other callers. */
  isDue(nowMs: number): boolean {
    if (this.limit === undefined) return true;
    if (this.limit === null) return false;
    const most = Math.min(this.limit.burst * unsettledOfBurst, this.left(nowMs) * unsettledOfRest);
    return Math.abs(this.#unsettled) >= Math.max(1, most);
  }

  /** Returns the units to tell the database. */
  beginSettling(): number {
    const units = this.#unsettled;
    this.#unsettled = 0;
    return units;
  }

  /** Takes over what the database answered; what was counted meanwhile is added. */
  settle(limit: Limit | null, aheadMs: number, nowMs: number): void {
    this.limit = limit;
    if (limit !== null) this.#fullAtMs = nowMs + aheadMs + this.#unsettled * limit.unitMs;
  }

  /** Notes that the database was asked. */
  noteAsked(): void {
    this.isAsked = true;
    this.asked.resolve();
  }

  #usedMs(nowMs: number): number {
    return Math.max(0, this.#fullAtMs - nowMs);
  }
}
