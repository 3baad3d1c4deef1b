import { actingHeader } from "../_shared/acting.ts";
import {
  answerChange,
  answerCreation,
  changedJson,
  createdJson,
  idempotencyHeader,
  readIdempotency,
} from "../_shared/commands.ts";
import { commandProblems, jsonBody, lifecycleCodes, security } from "../_shared/contract.ts";
import { Downtime } from "../_shared/downtime.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { DowntimeOpening } from "./schemas.ts";

export const open = endpoint({
  method: "post",
  path: "/downtimes/v1",
  operationId: "openDowntime",
  tags: ["Downtimes"],
  summary: "Open a downtime",
  description:
    "For operators and machines at their workplaces, and above. In the past too, as long as no other downtime of the workplace " +
    "overlaps; with `ended_at`, the downtime is over. `stop_runs` stops what runs there in the same transaction: either all of " +
    "that happens or nothing.",
  security,
  request: { headers: idempotencyHeader.extend(actingHeader.shape), body: jsonBody(DowntimeOpening) },
  responses: {
    200: changedJson(Downtime, "The downtime was opened before under its id, as it is now."),
    201: createdJson(Downtime, "The new downtime."),
    ...commandProblems([...lifecycleCodes, "downtime_overlap"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("report_downtime", {
    report: { action_type: "DOWNTIME_START", ...body },
    idempotency: readIdempotency(c, body),
  });
  if (answer.status !== 201) return c.json(answerChange(c, answer), 200);
  return c.json(answerCreation(c, answer, ({ id }) => ["downtimes", "v1", id]), 201);
});
