import { actingHeader } from "../_shared/acting.ts";
import {
  answerChange,
  answerCreation,
  changedJson,
  createdJson,
  idempotencyHeader,
  readIdempotency,
} from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { Downtime } from "../_shared/downtime.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { DowntimeKey, DowntimeSplit } from "./schemas.ts";

export const split = endpoint({
  method: "post",
  path: "/downtimes/v1/{id}/split",
  operationId: "splitDowntime",
  tags: ["Downtimes"],
  summary: "Split a downtime",
  description:
    "For operators and machines at their workplaces, and above. The downtime ends at the moment, and a new one begins there that " +
    "ends when the whole did.",
  security,
  request: {
    params: DowntimeKey,
    headers: idempotencyHeader.extend(actingHeader.shape),
    body: jsonBody(DowntimeSplit),
  },
  responses: {
    200: changedJson(Downtime, "The downtime was split before under this id: its later part, as it is now."),
    201: createdJson(Downtime, "The later part. The earlier one keeps its id and its reason."),
    ...commandProblems(["forbidden", "not_found", "too_old", "invalid_state_transition"]),
  },
}, async (c) => {
  const { id: downtime_id } = c.req.valid("param");
  const body = c.req.valid("json");
  const answer = await c.var.rpc("report_downtime", {
    report: { action_type: "DOWNTIME_SPLIT", downtime_id, ...body },
    idempotency: readIdempotency(c, body),
  });
  if (answer.status !== 201) return c.json(answerChange(c, answer), 200);
  return c.json(answerCreation(c, answer, ({ id }) => ["downtimes", "v1", id]), 201);
});
