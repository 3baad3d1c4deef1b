import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, locationHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { ReportedEvent } from "../_shared/event.ts";
import { Report } from "./schemas.ts";

export const report = endpoint({
  method: "post",
  path: "/events/v1",
  operationId: "reportEvent",
  tags: ["Events"],
  summary: "Report an event",
  description: "For operators at their workplaces, and above: what happened to an operation. " +
    "Event and operation change together or not at all; the answer carries both.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: Report } } },
  },
  responses: {
    200: {
      description:
        "The event is known already under its id, or this was a dry run: the operation as it is, or as it would be.",
      headers: replayedHeader,
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
      "ambiguous_operation",
      "out_of_order",
      "too_old",
      "idempotency_conflict",
      "invalid_quantity",
      "invalid_state_transition",
      "reason_required",
    ], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.callDatabase("report_event", {
    report: body,
    idempotency: idempotency(c, body),
  });
  const event = answerBody(c, answer);
  if (answer.status !== 201) return c.json(event, 200);
  c.header("Location", `/functions/v1/events/v1/${event.id}`);
  return c.json(event, 201);
});
