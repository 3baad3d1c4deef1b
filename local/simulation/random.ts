/** Random numbers of a seed: the same seed plays the same day. */
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** Random choices. Each actor of the simulation has its own, so that one does not change the choices of another. */
export interface Random {
  /** Returns an integer from `least` to `most`, both included. */
  integer(least: number, most: number): number;
  /** Returns true in `percent` of 100 calls. */
  chance(percent: number): boolean;
  /** Returns one of the values. */
  pick<Value>(values: readonly [Value, ...Value[]]): Value;
}

/**
 * Creates the random choices of one actor.
 *
 * @param seed Seed of the day.
 * @param actor Number of the actor.
 */
export function randomOf(seed: number, actor: number): Random {
  const generator = xoroshiro128plus(seed * 1_000 + actor);
  const integer = (least: number, most: number) => uniformInt(generator, least, most);
  return {
    integer,
    chance: (percent) => integer(1, 100) <= percent,
    pick: (values) => values[integer(0, values.length - 1)] ?? values[0],
  };
}
