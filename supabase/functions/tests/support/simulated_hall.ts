/**
 * A hall that has worked for a while: the simulation of `deno task start --simulate`, played without waiting.
 *
 * @module
 */
import type { Clock } from "../../../../local/simulation/clock.ts";
import { type Place, placesOf } from "../../../../local/simulation/plant.ts";
import { playHall } from "../../../../local/simulation/simulate.ts";
import { env, unique } from "./harness.ts";

const stack = {
  url: env.supabaseUrl,
  publishableKey: env.publishableKey,
  secretKey: env.secretKey,
  demoPassword: crypto.randomUUID(),
};

/** A hall after its first minutes. */
export interface PlayedHall {
  name: string;
  places: Place[];
  dayBeganMs: number;
}

/** Plays the first minutes of a hall's day, which end now. The same seed plays the same day. */
export async function playedHall(seed: number, minutes: number): Promise<PlayedHall> {
  const name = unique("hall");
  const leaving = new AbortController();
  const dayBeganMs = Date.now() - minutes * 60_000;
  const clock: Clock = {
    reach(minute) {
      if (minute > minutes) leaving.abort();
      leaving.signal.throwIfAborted();
      return Promise.resolve();
    },
    instant: (minute) => new Date(dayBeganMs + minute * 60_000).toISOString(),
  };
  await playHall(stack, name, seed, clock, leaving.signal);
  return { name, places: placesOf(name), dayBeganMs };
}
