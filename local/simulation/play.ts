/** Plays actors side by side in the order of the simulated time. */
import type { Clock } from "./clock.ts";

/** An actor: yields the number of simulated minutes until its next action. */
export type Actor = AsyncGenerator<number, void, number>;

interface Turn {
  minute: number;
  actor: Actor;
}

/**
 * Plays the actors until all have ended, or the clock's signal aborts. One acts at a time, and of two with the same
 * minute the first of the list, so that the order of the calls depends on nothing else.
 *
 * @param actors Each receives the current minute as the result of its `yield`.
 */
export async function play(actors: Actor[], clock: Clock): Promise<void> {
  const turns: Turn[] = actors.map((actor) => ({ minute: 0, actor }));
  while (true) {
    const next = turns.reduce<Turn | undefined>(
      (first, turn) => first === undefined || turn.minute < first.minute ? turn : first,
      undefined,
    );
    if (next === undefined) return;
    await clock.reach(next.minute);
    const { value, done } = await next.actor.next(next.minute);
    if (done) turns.splice(turns.indexOf(next), 1);
    else next.minute += value;
  }
}
