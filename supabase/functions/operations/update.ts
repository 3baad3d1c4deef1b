import { actingHeader } from "../_shared/acting.ts";
import { answerChange, changedJson, changeHeaders, readIdempotency } from "../_shared/commands.ts";
import { readIfMatch } from "../_shared/conditional.ts";
import { commandProblems, jsonBody, lifecycleCodes, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationWithActions } from "../_shared/operation.ts";
import { OperationKey, OperationUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}",
  operationId: "updateOperation",
  tags: ["Operations"],
  summary: "Change an operation",
  description:
    "Sets fields of the plan (supervisors and above). Status, quantities and actual times are set as they shall be: the server " +
    "records the events that lead there, under the rules of reports. The allowed changes of status are those of the first service.",
  security,
  request: { params: OperationKey, headers: changeHeaders.extend(actingHeader.shape), body: jsonBody(OperationUpdate) },
  responses: {
    200: changedJson(OperationWithActions, "The changed operation."),
    ...commandProblems([...lifecycleCodes, "stale_version"]),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.rpc("update_operation", {
    ...c.req.valid("param"),
    patch,
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, patch),
  });
  return c.json(answerChange(c, answer), 200);
});
