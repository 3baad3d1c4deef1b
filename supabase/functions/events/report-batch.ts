import { ItemResults, summarize, toItemResult, validateItems } from "../_shared/batch.ts";
import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, lifecycleCodes, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Problem } from "../_shared/problems.ts";
import { Batch, Report } from "./schemas.ts";

export const reportBatch = endpoint({
  method: "post",
  path: "/events/v1/batch",
  operationId: "reportEvents",
  tags: ["Events"],
  summary: "Report a batch of events",
  description:
    "Takes the events that a terminal buffered while it was offline, in the order in which they happened: one transaction, one " +
    "result for each event. Give each event an id, so that the whole batch can be sent again. With `atomic`, one rejected event " +
    "rejects all of them. Work that begins and ends within the batch needs no capacity at its workplace. The server processes two " +
    "large batches at a time and answers 503 with Retry-After to further ones.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(Batch) },
  responses: {
    200: commandJson(ItemResults, "All events were recorded before."),
    201: commandJson(ItemResults, "All events are new and recorded."),
    207: commandJson(ItemResults, "The results differ: see each one."),
    ...commandProblems([...lifecycleCodes, "ambiguous_operation"]),
  },
}, async (c) => {
  const { events, atomic } = c.req.valid("json");
  const { valid, rejected } = validateItems(c, Report, events);
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
  if (body.summary.recorded === events.length) return c.json(body, 201);
  if (body.summary.known === events.length) return c.json(body, 200);
  return c.json(body, 207);
});
