import { actingHeader } from "../_shared/acting.ts";
import { answerCommand, idempotencyHeader, readIdempotency, recordedJson, setLocation } from "../_shared/commands.ts";
import { commandProblems, json, jsonBody, lifecycleCodes, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ReportedEvent } from "../_shared/event.ts";
import { requestedVersion } from "../_shared/versions.ts";
import { Transition } from "../_shared/report.ts";
import { OperationKey } from "./schemas.ts";

export const transition = endpoint({
  method: "post",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}/transitions",
  operationId: "transitionOperation",
  tags: ["Operations"],
  summary: "Perform a transition of the lifecycle",
  description:
    "A report for planners, which names the operation by its URL. The answer is that of a report: the event, with the operation after it.",
  security,
  request: { params: OperationKey, headers: idempotencyHeader.extend(actingHeader.shape), body: jsonBody(Transition) },
  responses: {
    200: json(ReportedEvent, "A dry run: the event and the operation as they would be."),
    201: recordedJson(ReportedEvent, "The event, with the operation after it."),
    ...commandProblems(lifecycleCodes),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("transition_operation", {
    ...c.req.valid("param"),
    transition: body,
    idempotency: readIdempotency(c, body),
  });
  const event = answerCommand(c, answer);
  if (answer.status !== 201) return c.json(event, 200);
  setLocation(c, ["events", requestedVersion(c), event.id]);
  return c.json(event, 201);
});
