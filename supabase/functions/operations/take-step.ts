import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, locationHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { ReportedEvent } from "../_shared/event.ts";
import { OperationKey, Step } from "./schemas.ts";

export const takeStep = endpoint({
  method: "post",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}/transitions",
  operationId: "takeStep",
  tags: ["Operations"],
  summary: "Take a step in the lifecycle",
  description:
    "A report for planners: names the operation by its URL. Answered like a report, with the event and the operation after it.",
  security,
  request: {
    params: OperationKey,
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: Step } } },
  },
  responses: {
    200: {
      description: "A dry run: the event and the operation as they would be.",
      content: { "application/json": { schema: ReportedEvent } },
    },
    201: {
      description: "The event, and the operation after it.",
      headers: locationHeader.extend(replayedHeader.shape),
      content: { "application/json": { schema: ReportedEvent } },
    },
    ...problems([
      "forbidden",
      "not_found",
      "already_running",
      "operation_blocked",
      "workplace_busy",
      "out_of_order",
      "too_old",
      "invalid_quantity",
      "invalid_state_transition",
      "reason_required",
    ], { body: true, idempotent: true }),
  },
}, async (c) => {
  const step = c.req.valid("json");
  const answer = await c.var.callDatabase("transition_operation", {
    ...c.req.valid("param"),
    step,
    idempotency: idempotency(c, step),
  });
  const event = answerBody(c, answer);
  if (answer.status !== 201) return c.json(event, 200);
  c.header("Location", `/functions/v1/events/v1/${event.id}`);
  return c.json(event, 201);
});
