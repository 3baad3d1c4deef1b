import { actingHeader } from "../_shared/acting.ts";
import { answerChange, changedJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { Downtime } from "../_shared/downtime.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { DowntimeCancellation, DowntimeKey } from "./schemas.ts";

export const cancel = endpoint({
  method: "post",
  path: "/downtimes/v1/{id}/cancel",
  operationId: "cancelDowntime",
  tags: ["Downtimes"],
  summary: "Cancel a downtime",
  description:
    "For operators and machines at their workplaces, and above. The downtime stays in the log and counts in no report.",
  security,
  request: {
    params: DowntimeKey,
    headers: idempotencyHeader.extend(actingHeader.shape),
    body: jsonBody(DowntimeCancellation),
  },
  responses: {
    200: changedJson(Downtime, "The cancelled downtime."),
    ...commandProblems(["forbidden", "not_found", "too_old", "invalid_state_transition"]),
  },
}, async (c) => {
  const { id: downtime_id } = c.req.valid("param");
  const body = c.req.valid("json");
  const answer = await c.var.rpc("report_downtime", {
    report: { action_type: "DOWNTIME_CANCEL", downtime_id, ...body },
    idempotency: readIdempotency(c, body),
  });
  return c.json(answerChange(c, answer), 200);
});
