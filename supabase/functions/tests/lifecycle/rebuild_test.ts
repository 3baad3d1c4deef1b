/** The proof: every operation is what its events say. After the whole suite, local/commands/run_tests.ts compares all of them. */
import fc from "fast-check";
import { compareWithEvents, told } from "../../../../local/postgres/comparison.ts";
import {
  assertEquals,
  assertStringIncludes,
  env,
  newOperation,
  operationPath,
  server,
  unique,
} from "../support/harness.ts";
import { type Action, at, eventsOf, reported, type Results, withSql } from "../support/floor.ts";
import { withinTime } from "../support/time_limit.ts";

/** Picks a name as often as its weight says: what ends an operation must be rare, or nothing else happens. */
function weighted<Name extends string>(weights: Record<Name, number>): fc.Arbitrary<Name> {
  const names = Object.keys(weights) as Name[];
  return fc.oneof(...names.map((name) => ({ arbitrary: fc.constant(name), weight: weights[name] })));
}

/** One thing that is tried; whether it is refused does not matter here. */
const attempt = fc.record({
  operation: fc.nat(3),
  way: weighted({ event: 16, PATCH: 5, import: 2, bulk: 1 }),
  action: weighted<Action>({
    RELEASE: 5,
    START: 12,
    STOP: 5,
    REPORT_QUANTITY: 10,
    COMPLETE: 3,
    FINISH: 3,
    HOLD: 3,
    CANCEL: 1,
    REVERSE: 8,
    CORRECT: 10,
  }),
  phase: fc.constantFrom("SETUP", "PROCESSING"),
  good: fc.integer({ min: -6, max: 12 }),
  scrap: fc.integer({ min: -2, max: 4 }),
  /** Minutes that have passed since the attempt before. */
  later_min: fc.oneof({ arbitrary: fc.nat(30), weight: 15 }, { arbitrary: fc.constant(-60), weight: 1 }),
  corrected: fc.constantFrom("quantities", "start", "end", "both", "minutes", "start and minutes"),
  status: weighted({ RELEASED: 3, IN_PROGRESS: 8, ON_HOLD: 5, FINISHED: 3, CANCELLED: 1 }),
});
type Attempt = typeof attempt extends fc.Arbitrary<infer One> ? One : never;

function bodyOf({ action, phase, good, scrap, corrected }: Attempt, clock: number, made: string | undefined) {
  const time = new Date(clock).toISOString();
  const earlier = new Date(clock - 20 * 60_000).toISOString();
  const [qty_good, qty_scrap] = [Math.abs(good), Math.abs(scrap)];
  switch (action) {
    case "START":
      return { phase };
    case "REPORT_QUANTITY":
      return { qty_good, qty_scrap };
    case "COMPLETE":
      return good > 0 ? {} : { qty_good, qty_scrap, reason_code: "UNSPECIFIED" };
    case "FINISH":
    case "HOLD":
    case "CANCEL":
      return { reason_code: "UNSPECIFIED" };
    case "REVERSE":
      return { reverses_event_id: made ?? crypto.randomUUID(), ...(good > 3 ? {} : { qty_good, qty_scrap }) };
    case "CORRECT":
      return {
        quantities: { qty_good: good, qty_scrap: scrap },
        start: { actual_start_at: earlier },
        end: { actual_end_at: time },
        both: { actual_start_at: earlier, actual_end_at: time, qty_scrap: scrap },
        minutes: { t_actual_setup_min: qty_good, t_actual_processing_min: qty_scrap / 4 },
        "start and minutes": { actual_start_at: earlier, t_actual_processing_min: qty_good },
      }[corrected];
    default:
      return {};
  }
}

Deno.test({
  name: "rebuild: finds no difference when histories are random and use every endpoint",
  ignore: env.databaseUrl === undefined,
  async fn() {
    const orders: string[] = [];
    await fc.assert(
      fc.asyncProperty(
        fc.array(attempt, { minLength: 20, maxLength: 40 }),
        withinTime(10_000, async (attempts) => {
          const order_no = unique("R");
          orders.push(order_no);
          const operations = await Promise.all([
            newOperation({ order_no, operation_no: "0010", qty_desired: 30, overrun_tolerance_pct: 10 }),
            newOperation({ order_no, operation_no: "0020", qty_desired: undefined }),
            newOperation({
              order_no,
              operation_no: "0030",
              status: "IN_PROGRESS",
              qty_processed: 5,
              actual_start_at: at("05:00"),
              t_actual_processing_min: 3,
            }),
            newOperation({
              order_no,
              operation_no: "0040",
              status: "FINISHED",
              qty_processed: 50,
              actual_end_at: at("05:00"),
            }),
          ]);
          const made = new Map<string, string>();
          let clock = Date.parse(at("06:00"));
          for (const one of attempts) {
            const operation = operations[one.operation] ?? operations[0];
            clock += one.later_min * 60_000;
            const occurred_at = new Date(clock).toISOString();
            const { order_no, operation_no, asset_id, workplace_name } = operation;
            if (one.way === "event") {
              const answer = await server.post("/events/v1", {
                action_type: one.action,
                ...{ order_no, operation_no, asset_id, workplace_name, occurred_at },
                ...bodyOf(one, clock, made.get(operation_no)),
              });
              if (answer.status === 201 && ["REPORT_QUANTITY", "COMPLETE"].includes(one.action)) {
                made.set(operation_no, String(answer.body.id));
              }
            } else if (one.way === "PATCH") {
              const times = one.status === "IN_PROGRESS"
                ? { actual_start_at: occurred_at }
                : one.status === "FINISHED"
                ? { actual_end_at: occurred_at, t_actual_processing_min: Math.abs(one.good) }
                : {};
              await server.patch(operationPath(operation), { status: one.status, ...times });
              await server.patch(operationPath(operation), {
                qty_processed: 8 + one.good,
                qty_scrap: Math.abs(one.scrap),
              });
            } else if (one.way === "import") {
              const row = { order_no, operation_no, asset_id, qty_desired: 30 + one.good, timestamp_ms: occurred_at };
              await server.post("/operations/v1/import", [{ ...row, status: one.status }]);
            } else {
              await server.patch<Results>("/operations/v1", {
                filter: { order_no },
                patch: { status: one.status },
                dry_run: one.good > 0,
              });
            }
          }
          const { divergences, ...rest } = await compareWithEvents(env.databaseUrl ?? "", [order_no]);
          assertEquals({ ...rest, told: divergences.length > 0 ? told({ ...rest, divergences }) : "" }, {
            operations: 4,
            told: "",
          });
          const histories = await Promise.all(operations.map(eventsOf));
          for (const events of histories) {
            assertEquals(events.map(({ op_seq }) => op_seq), events.map((_, index) => index + 1));
          }
        }),
      ),
      // every run sends some 60 requests: a counterexample is printed as it is, not shrunk
      { numRuns: 20, endOnFailure: true },
    );
    const { operations, divergences } = await compareWithEvents(env.databaseUrl ?? "", orders);
    assertEquals([operations, divergences], [orders.length * 4, []]);
  },
});

Deno.test({
  name: "rebuild: names each field when a row differs from its events",
  ignore: env.databaseUrl === undefined,
  async fn() {
    const operation = await newOperation();
    const { order_no } = operation;
    await reported(operation, ["START", { occurred_at: at("08:00") }], ["REPORT_QUANTITY", { qty_good: 5 }]);
    const tamper = (difference: number) =>
      withSql((sql) =>
        sql`update public.mes_operations set qty_processed = qty_processed + ${difference} where order_no = ${order_no}`
      );
    await tamper(1);
    try {
      const comparison = await compareWithEvents(env.databaseUrl ?? "", [order_no]);
      assertEquals(comparison, {
        operations: 1,
        divergences: [{
          operation: `${order_no}/1/0010`,
          fields: { qty_good: { stored: 6, rebuilt: 5 }, qty_processed: { stored: 6, rebuilt: 5 } },
        }],
      });
      const text = told(comparison);
      assertStringIncludes(text, "qty_processed: 6 is stored, the events say 5");
      assertStringIncludes(text, "1 of 1 operations differ from their events");
    } finally {
      await tamper(-1);
    }
    assertEquals((await compareWithEvents(env.databaseUrl ?? "", [order_no])).divergences, []);
  },
});
