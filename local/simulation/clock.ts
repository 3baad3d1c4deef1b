/** The simulated time: it begins in the past, runs faster than the real time until it reaches it, then at its pace. */
import { delay } from "@std/async/delay.js";

const minuteMs = 60_000;

/** Minutes of the simulated day. */
export interface Clock {
  /** Waits until the simulated day has reached this minute. Throws when the signal aborts. */
  reach(minute: number): Promise<void>;
  /** Returns the instant of a minute, as ISO 8601. */
  instant(minute: number): string;
}

/**
 * Creates the clock of a day. With a speed above 1 the day begins `headStartMin` ago, so that no event lies in the
 * future: the server rejects those.
 *
 * @param speed Simulated minutes in a real one.
 * @param headStartMin Minutes between the beginning of the day and now.
 */
export function createClock(speed: number, headStartMin: number, signal: AbortSignal): Clock {
  const startedMs = Date.now();
  const dayBeganMs = speed > 1 ? startedMs - headStartMin * minuteMs : startedMs;
  return {
    async reach(minute) {
      const dueMs = Math.max(startedMs + minute * minuteMs / speed, dayBeganMs + minute * minuteMs);
      await delay(Math.max(0, dueMs - Date.now()), { signal });
    },
    instant: (minute) => new Date(dayBeganMs + minute * minuteMs).toISOString(),
  };
}
