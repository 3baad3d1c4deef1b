/** What the terminal shows before the server knows. */
import { assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { predict } from "../terminal/prediction.js";
import { workOfBarcode } from "../terminal/scanner.js";

const may = ["START", "STOP", "REPORT_QUANTITY", "COMPLETE", "FINISH"];

const operation = (order_no: string, status: string, more: Record<string, unknown> = {}) => ({
  order_no,
  asset_id: 1,
  operation_no: "0010",
  status,
  hold_kind: status === "ON_HOLD" ? "PAUSED" : null,
  qty_desired: 50,
  qty_good: 0,
  qty_scrap: 0,
  qty_processed: 0,
  actual_start_at: null,
  allowed_actions: [{ action: "START", allowed: true, blocked_by: null }],
  ...more,
});

/** A workplace for one operation at a time, where A runs and B waits for room. */
function fullPlace() {
  const a = operation("A", "IN_PROGRESS", { qty_good: 10, qty_processed: 10 });
  const b = operation("B", "RELEASED", {
    allowed_actions: [{ action: "START", allowed: false, blocked_by: "workplace_busy" }],
  });
  return {
    workplace: { name: "MIG-1", capacity: 1, running_operations: [a], stopped_by: null },
    queue: [a, b],
    runs: [{
      order_no: "A",
      asset_id: 1,
      operation_no: "0010",
      phase: "PROCESSING",
      started_at: "2026-11-23T08:00:00Z",
    }],
    readAt: 0,
  };
}

let seq = 0;
const action = (
  order_no: string | undefined,
  action_type: string,
  more: Record<string, unknown> = {},
  state = "waiting",
) => ({
  seq: ++seq,
  owner: "terminal",
  person: null,
  state: state as "waiting" | "sent" | "refused",
  item: {
    id: crypto.randomUUID(),
    action_type,
    workplace_name: "MIG-1",
    occurred_at: "2026-11-23T09:00:00Z",
    ...(order_no === undefined ? {} : { order_no, asset_id: 1, operation_no: "0010" }),
    ...more,
  },
});

/** State, good pieces, unsent actions, and why START is impossible, of each operation. */
const shown = (...actions: ReturnType<typeof action>[]) =>
  predict(fullPlace(), actions, may).works.map(({ operation, unsent }) => [
    operation.order_no,
    operation.status,
    operation.qty_good,
    unsent,
    operation.allowed_actions.find((one: { action: string }) => one.action === "START")?.blocked_by ?? null,
  ]);

Deno.test("prediction: shows the queue as it was read when nothing was done", () => {
  assertEquals(shown(), [["A", "IN_PROGRESS", 10, 0, null], ["B", "RELEASED", 0, 0, "workplace_busy"]]);
});

Deno.test("prediction: gives the next operation room when the running one is stopped, and takes it when it starts", () => {
  const stop = action("A", "STOP", { reason_code: "BREAK" });
  assertEquals(shown(stop), [["A", "ON_HOLD", 10, 1, null], ["B", "RELEASED", 0, 0, null]]);
  assertEquals(shown(stop, action("B", "START")), [
    ["B", "IN_PROGRESS", 0, 1, "invalid_state_transition"],
    ["A", "ON_HOLD", 10, 1, "workplace_busy"],
  ]);
});

Deno.test("prediction: counts pieces, books what is missing by COMPLETE, and puts what is finished last", () => {
  assertEquals(
    shown(action("A", "REPORT_QUANTITY", { qty_good: 5, qty_scrap: 1 }), action("A", "COMPLETE"))[1],
    ["A", "FINISHED", 50, 2, "invalid_state_transition"],
  );
});

Deno.test("prediction: leaves out what was refused, and contains what was sent without counting it as unsent", () => {
  assertEquals(shown(action("A", "STOP", {}, "refused"))[0], ["A", "IN_PROGRESS", 10, 0, null]);
  assertEquals(shown(action("A", "STOP", {}, "sent"))[0], ["A", "ON_HOLD", 10, 0, null]);
});

Deno.test("prediction: stops what runs with a downtime that does so, and ends the downtime", () => {
  const begin = action(undefined, "DOWNTIME_START", { stop_runs: true });
  const { stop, works } = predict(fullPlace(), [begin], may);
  assertEquals([stop.downtime_id, stop.reason_code, works[0]?.operation.status], [begin.item.id, null, "ON_HOLD"]);
  const explained = predict(fullPlace(), [begin, action(undefined, "DOWNTIME_CLASSIFY", { reason_code: "TOOL" })], may);
  assertEquals(explained.stop.reason_code, "TOOL");
  assertEquals(predict(fullPlace(), [begin, action(undefined, "DOWNTIME_END")], may).stop, null);
});

Deno.test("barcodes: name an operation by its order, with or without the operation, by any separator", () => {
  const { works } = predict(fullPlace(), [], may);
  for (const code of ["B", "b", "B-0010", "B/1/0010", "B 0010", "B0010"]) {
    assertEquals(workOfBarcode(code, works)?.operation.order_no, "B", code);
  }
  assertEquals(workOfBarcode("C", works), undefined);
});
