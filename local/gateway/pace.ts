import { delay } from "../system/poll.ts";

/** Lets a number of bytes pass in a second, of all callers together. */
export class Pace {
  readonly #bytesPerMs: number;
  #isFreeAt = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Resolves when `bytes` may follow what has passed. */
  async wait(bytes: number): Promise<void> {
    const now = performance.now();
    this.#isFreeAt = Math.max(now, this.#isFreeAt) + bytes / this.#bytesPerMs;
    await delay(this.#isFreeAt - now);
  }
}
