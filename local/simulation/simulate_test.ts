/** The simulated hall works over the public API, and the same seed plays the same day. */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  env,
  type OperationEvent,
  server,
} from "../../supabase/functions/tests/support/harness.ts";
import { playedHall } from "../../supabase/functions/tests/support/simulated_hall.ts";
import { StackFailure } from "../system/failure.ts";
import { simulate } from "./simulate.ts";

const stack = {
  url: env.supabaseUrl,
  publishableKey: env.publishableKey,
  secretKey: env.secretKey,
  demoPassword: crypto.randomUUID(),
};

/** Returns what happened in the first minutes of a hall's day, without the hall's names. */
async function playedDay(seed: number, minutes: number): Promise<unknown[]> {
  const { places, dayBeganMs } = await playedHall(seed, minutes);
  const events: OperationEvent[] = [];
  for (const { name } of places) {
    const { body } = await server.get<OperationEvent[]>(
      `/events/v1?workplace_name=${encodeURIComponent(name)}&limit=500`,
    );
    events.push(...body.toSorted((a, b) => a.occurred_at.localeCompare(b.occurred_at) || a.op_seq - b.op_seq));
  }
  return events.map(({ order_no, operation_no, occurred_at, action_type, delta_good, delta_scrap, reason_code }) => [
    `${order_no.slice(-3)}/${operation_no}`,
    Math.round((Date.parse(occurred_at) - dayBeganMs) / 60_000),
    action_type,
    delta_good,
    delta_scrap,
    reason_code,
  ]);
}

Deno.test("simulation: the same seed plays the same day, another seed another day", async () => {
  const [day, sameDay, otherDay] = [await playedDay(7, 200), await playedDay(7, 200), await playedDay(8, 200)];
  assertEquals(sameDay, day);
  assertNotEquals(otherDay, day);
  const actions = new Set(day.map((event) => Array.isArray(event) && event[2]));
  for (const action of ["RELEASE", "START", "STOP", "REPORT_QUANTITY", "FINISH", "HOLD"]) {
    assert(actions.has(action), `no ${action}`);
  }
});

Deno.test("simulation: a stack on another machine is refused before any call", async () => {
  const elsewhere = { ...stack, url: "https://abcdefghijklmnop.supabase.co" };
  await assertRejects(
    () => simulate({ stack: elsewhere, speed: 60, seed: 1, signal: new AbortController().signal }),
    StackFailure,
    "this machine only",
  );
});
