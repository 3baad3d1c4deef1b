/** Limits the requests of a caller in progress; further ones wait for their turn. */
export class Turns {
  readonly #atOnce: number;
  readonly #callers = new Map<string, { inProgress: number; waiting: (() => void)[] }>();

  /** @param atOnce Requests that one caller may have in progress. */
  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Waits for the caller's turn, and returns what ends it. */
  async take(caller: string): Promise<() => void> {
    const turns = this.#callers.get(caller) ?? { inProgress: 0, waiting: [] };
    this.#callers.set(caller, turns);
    if (turns.inProgress < this.#atOnce) turns.inProgress++;
    else await new Promise<void>((begin) => turns.waiting.push(begin));
    return () => {
      // the longest-waiting request gets the turn
      const next = turns.waiting.shift();
      if (next) next();
      else if (--turns.inProgress === 0) this.#callers.delete(caller);
    };
  }
}
