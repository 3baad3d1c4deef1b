import { actingHeader } from "../_shared/acting.ts";
import { answerChange, changedJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { Downtime } from "../_shared/downtime.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { DowntimeClassification, DowntimeKey } from "./schemas.ts";

export const classify = endpoint({
  method: "post",
  path: "/downtimes/v1/{id}/classify",
  operationId: "classifyDowntime",
  tags: ["Downtimes"],
  summary: "Explain a downtime",
  description:
    "For operators and machines at their workplaces, and above. An open or an ended downtime gets its reason, or another one.",
  security,
  request: {
    params: DowntimeKey,
    headers: idempotencyHeader.extend(actingHeader.shape),
    body: jsonBody(DowntimeClassification),
  },
  responses: {
    200: changedJson(Downtime, "The explained downtime."),
    ...commandProblems(["forbidden", "not_found", "too_old", "invalid_state_transition", "reason_required"]),
  },
}, async (c) => {
  const { id: downtime_id } = c.req.valid("param");
  const body = c.req.valid("json");
  const answer = await c.var.rpc("report_downtime", {
    report: { action_type: "DOWNTIME_CLASSIFY", downtime_id, ...body },
    idempotency: readIdempotency(c, body),
  });
  return c.json(answerChange(c, answer), 200);
});
