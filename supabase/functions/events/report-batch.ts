import { endpoint } from "../_shared/app.ts";
import { itemResult, ItemResults, itemResults, validateItems } from "../_shared/batch.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { Problem } from "../_shared/problems.ts";
import { Batch, Report } from "./schemas.ts";

const json = { "application/json": { schema: ItemResults } };

export const reportBatch = endpoint({
  method: "post",
  path: "/events/v1/batch",
  operationId: "reportEvents",
  tags: ["Events"],
  summary: "Report a batch of events",
  description:
    "What a terminal collected while it was offline, in the order in which it happened: one transaction, one result per " +
    "event. Give each event an id, then the whole batch can be sent again. With `atomic` the first refused event refuses them all. " +
    "Work that begins and ends in the batch needs no room at its workplace. Of large batches two are carried out at a time: " +
    "the next is 503 with Retry-After.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: Batch } } },
  },
  responses: {
    200: { description: "All were known already.", headers: replayedHeader, content: json },
    201: { description: "All are new and recorded.", headers: replayedHeader, content: json },
    207: { description: "The results differ: see each.", headers: replayedHeader, content: json },
    ...problems([
      "forbidden",
      "not_found",
      "already_running",
      "operation_blocked",
      "workplace_busy",
      "ambiguous_operation",
      "out_of_order",
      "too_old",
      "invalid_quantity",
      "invalid_state_transition",
      "reason_required",
    ], { body: true, idempotent: true }),
  },
}, async (c) => {
  const { events, atomic } = c.req.valid("json");
  const { valid, refused } = validateItems(c, Report, events);
  const first = refused[0];
  if (atomic && first?.problem) {
    const { detail, errors } = first.problem;
    throw new Problem("validation_failed", detail, { errors, index: first.index });
  }
  const answer = await c.var.callDatabase("report_events", {
    reports: valid.map(({ index: _, ...report }) => report),
    is_atomic: atomic,
    idempotency: idempotency(c, { events, atomic }),
  });
  // the database counts the valid ones only
  const recorded = answerBody(c, answer).map((item) =>
    itemResult(c, { ...item, index: valid[item.index]?.index ?? item.index })
  );
  const body = itemResults(
    [...recorded, ...refused],
    ({ status }) => ({ 200: "known", 201: "recorded" })[status] ?? "refused",
    answer.request_id,
  );
  if (body.summary.recorded === events.length) return c.json(body, 201);
  if (body.summary.known === events.length) return c.json(body, 200);
  return c.json(body, 207);
});
