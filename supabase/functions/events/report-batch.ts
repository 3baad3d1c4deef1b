import { actingHeader } from "../_shared/acting.ts";
import { type ItemResult, ItemResults, summarize, toItemResult, validateItems } from "../_shared/batch.ts";
import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, lifecycleCodes, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Problem } from "../_shared/problems.ts";
import { chargeRows } from "../_shared/rate_limiting.ts";
import { Batch, BatchItem } from "./schemas.ts";

export const reportBatch = endpoint({
  method: "post",
  path: "/events/v1/batch",
  operationId: "reportEvents",
  tags: ["Events"],
  summary: "Report a batch of events",
  description:
    "Takes the events that a terminal buffered while it was offline, in the order in which they happened: one transaction, one " +
    "result for each event. Give each event an id, so that the whole batch can be sent again. With `atomic`, one rejected event " +
    "rejects all of them. A report that needs the effect of an earlier, rejected one names that one as `caused_by`. Work that " +
    "begins and ends within the batch needs no capacity at its workplace. Commands on downtimes stand among the reports. The server processes two large batches at a time and " +
    "answers 503 with Retry-After to further ones.",
  security,
  "x-rate-limit": { class: "heavy" },
  request: { headers: idempotencyHeader.extend(actingHeader.shape), body: jsonBody(Batch) },
  responses: {
    200: commandJson(ItemResults, "All events were recorded before."),
    201: commandJson(ItemResults, "All events are new and recorded."),
    207: commandJson(ItemResults, "The results differ: see each one."),
    ...commandProblems([...lifecycleCodes, "ambiguous_operation", "planned_elsewhere", "downtime_overlap"]),
  },
}, async (c) => {
  const { events, atomic } = c.req.valid("json");
  chargeRows(c, events.length);
  const { valid, rejected } = validateItems(c, BatchItem, events);
  const first = rejected[0];
  if (atomic && first?.problem) {
    const { detail, errors } = first.problem;
    throw new Problem("validation_failed", detail, { errors, index: first.index });
  }
  const answer = await c.var.rpc("report_events", {
    reports: valid.map(({ index: _, ...report }) => report),
    is_atomic: atomic,
    idempotency: readIdempotency(c, { events, atomic }),
  });
  // the database numbers the valid events only
  const recorded = answerCommand(c, answer).map((item) =>
    toItemResult(c, { ...item, index: valid[item.index]?.index ?? item.index })
  );
  const body = summarize(
    [...recorded, ...rejected],
    ({ status }) => ({ 200: "known", 201: "recorded" })[status] ?? "refused",
    answer.request_id,
  );
  nameCauses(body.results, events);
  if (body.summary.recorded === events.length) return c.json(body, 201);
  if (body.summary.known === events.length) return c.json(body, 200);
  return c.json(body, 207);
});

/** Actions that leave the state of an operation as it is: what follows does not depend on them. */
const countingActions: unknown[] = ["REPORT_QUANTITY", "REVERSE", "CORRECT"];

/**
 * Sets `caused_by` of each report that needs what an earlier, rejected one would have done: the state of its operation,
 * or the event that it reverses.
 */
function nameCauses(results: ItemResult[], events: Record<string, unknown>[]): void {
  const causes = new Map<string, { index: number; asset_id: unknown }>();
  const rejectedIds = new Map<unknown, number>();
  for (const result of results) {
    const { id, action_type, order_no, operation_no, workplace_name, asset_id, reverses_event_id, downtime_id } =
      events[result.index] ?? {};
    const operation = JSON.stringify([order_no, operation_no, workplace_name]);
    const cause = causes.get(operation);
    const isSameAsset = asset_id === undefined || cause?.asset_id === undefined || asset_id === cause.asset_id;
    if (result.problem === null) {
      if (isSameAsset) causes.delete(operation);
      continue;
    }
    if (id !== undefined) rejectedIds.set(id, result.index);
    const reversed = rejectedIds.get(reverses_event_id ?? downtime_id);
    if (reversed !== undefined) result.caused_by = reversed;
    else if (result.problem.code === "invalid_state_transition" && cause !== undefined && isSameAsset) {
      result.caused_by = cause.index;
    } else if (!countingActions.includes(action_type)) causes.set(operation, { index: result.index, asset_id });
  }
}
