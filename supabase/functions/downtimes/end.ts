import { actingHeader } from "../_shared/acting.ts";
import { answerChange, changedJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { Downtime } from "../_shared/downtime.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { DowntimeEnding, DowntimeKey } from "./schemas.ts";

export const end = endpoint({
  method: "post",
  path: "/downtimes/v1/{id}/end",
  operationId: "endDowntime",
  tags: ["Downtimes"],
  summary: "End a downtime",
  description:
    "For operators and machines at their workplaces, and above. Stopped operations are started again by their own reports.",
  security,
  request: {
    params: DowntimeKey,
    headers: idempotencyHeader.extend(actingHeader.shape),
    body: jsonBody(DowntimeEnding),
  },
  responses: {
    200: changedJson(Downtime, "The ended downtime."),
    ...commandProblems(["forbidden", "not_found", "out_of_order", "too_old", "invalid_state_transition"]),
  },
}, async (c) => {
  const { id: downtime_id } = c.req.valid("param");
  const body = c.req.valid("json");
  const answer = await c.var.rpc("report_downtime", {
    report: { action_type: "DOWNTIME_END", downtime_id, ...body },
    idempotency: readIdempotency(c, body),
  });
  return c.json(answerChange(c, answer), 200);
});
