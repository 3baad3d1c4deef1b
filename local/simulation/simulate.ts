/**
 * `deno task start --simulate`: a hall of four workplaces at work, over the public API alone. The ERP imports and
 * re-plans; operators set up, report, pause and finish; a supervisor holds and releases.
 *
 * @module
 */
import { StackFailure } from "../system/failure.ts";
import { type Api, callsOf, signIn } from "./api.ts";
import { type Clock, createClock } from "./clock.ts";
import { planOrders } from "./erp.ts";
import { type Finished, workAt } from "./operator.ts";
import { play } from "./play.ts";
import { calendarOf, placesOf, reasons, shiftMin } from "./plant.ts";
import { randomOf } from "./random.ts";
import { superviseHall } from "./supervisor.ts";

/** Highest speed: the server keeps up with the calls of a hall. */
export const maxSpeed = 60;

/** A stack on this machine, and the password that its simulated users get. */
export interface SimulatedStack {
  url: string;
  publishableKey: string;
  secretKey: string;
  demoPassword: string;
}

/** How a day is played. */
export interface Simulation {
  stack: SimulatedStack;
  /** Simulated minutes in a real one, 1 to {@link maxSpeed}. Above 1, the day begins a shift ago and catches up. */
  speed: number;
  /** The same seed plays the same day. */
  seed: number;
  signal: AbortSignal;
}

/**
 * Plays "Hall 2" until the signal aborts.
 *
 * @throws {StackFailure} for a stack on another machine: the simulation writes events that never happened.
 */
export async function simulate({ stack, speed, seed, signal }: Simulation): Promise<void> {
  await playHall(stack, "Hall 2", seed, createClock(speed, shiftMin, signal), signal);
}

/**
 * Plays a hall until the signal aborts.
 *
 * @param hall Name of the hall, its group of workplaces.
 */
export async function playHall(
  stack: SimulatedStack,
  hall: string,
  seed: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (!["localhost", "127.0.0.1", "[::1]"].includes(new URL(stack.url).hostname)) {
    throw new StackFailure(`Cannot simulate at ${stack.url}: the simulation runs against this machine only.`);
  }
  const server = callsOf(stack, () => Promise.resolve({ apikey: stack.secretKey }), signal);
  const slug = hall.toLowerCase().replaceAll(/\W/g, "");

  /** Signs a person of the hall up and in, with role and workplaces. */
  const join = async (job: string, role: string, workplace_access: string[]): Promise<Api> => {
    const email = `${slug}.${job}@demo.local`;
    const { api, userId } = await signIn(stack, { email, password: stack.demoPassword }, signal);
    const full_name = `${hall}, ${job}`;
    const { status, detail } = await server.call("PATCH", `profiles/v1/${userId}`, {
      full_name,
      role,
      workplace_access,
    });
    if (status !== 200) throw new StackFailure(`Cannot prepare ${email} for the simulation: ${detail}`);
    return api;
  };

  try {
    const places = placesOf(hall);
    // 409 here and below: an earlier simulation, or the demo plant, made it
    await server.call("POST", "calendars/v1", calendarOf(hall, clock.instant(0)));
    for (const { name } of places) {
      await server.call("POST", "workplaces/v1", { name, workplace_group: hall, capacity: 1, calendar_name: hall });
    }
    for (const reason of reasons) await server.call("POST", "reason-codes/v1", reason);
    const supervisor = await join("supervisor", "supervisor", places.map(({ name }) => name));
    const prefix = `${slug.toUpperCase()}-${seed}-${clock.instant(0).replaceAll(/\D/g, "").slice(2, 12)}`;
    const actors = [
      planOrders(supervisor, clock, randomOf(seed, 0), { hall, places, prefix }),
      superviseHall(supervisor, clock, randomOf(seed, 1), hall),
    ];
    const finished: Finished = new Set();
    for (const [index, place] of places.entries()) {
      const operator = await join(place.activity_code.toLowerCase(), "operator", [place.name]);
      const line = { previous: places[index - 1], finished };
      actors.push(workAt(place, operator, clock, randomOf(seed, index + 2), line));
    }
    await play(actors, clock);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
