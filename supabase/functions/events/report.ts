import { actingHeader } from "../_shared/acting.ts";
import {
  answerCommand,
  commandJson,
  idempotencyHeader,
  readIdempotency,
  recordedJson,
  setLocation,
} from "../_shared/commands.ts";
import { commandProblems, jsonBody, lifecycleCodes, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ReportedEvent } from "../_shared/event.ts";
import { requestedVersion } from "../_shared/versions.ts";
import { Report } from "../_shared/report.ts";

export const report = endpoint({
  method: "post",
  path: "/events/v1",
  operationId: "reportEvent",
  tags: ["Events"],
  summary: "Report an event",
  description: "For operators at their workplaces, and above. Records what happened to an operation. " +
    "Event and operation change together or not at all; the answer contains both.",
  security,
  request: { headers: idempotencyHeader.extend(actingHeader.shape), body: jsonBody(Report) },
  responses: {
    200: commandJson(
      ReportedEvent,
      "The event was recorded before under its id, with the operation as it is; or a dry run, with the operation as it would be.",
    ),
    201: recordedJson(ReportedEvent, "The event, with the operation after it."),
    ...commandProblems([...lifecycleCodes, "ambiguous_operation", "planned_elsewhere"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("report_event", { report: body, idempotency: readIdempotency(c, body) });
  const event = answerCommand(c, answer);
  if (answer.status !== 201) return c.json(event, 200);
  setLocation(c, ["events", requestedVersion(c), event.id]);
  return c.json(event, 201);
});
