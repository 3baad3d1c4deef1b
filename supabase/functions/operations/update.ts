import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader, ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { OperationWithActions } from "../_shared/operation.ts";
import { OperationKey, OperationUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}",
  operationId: "updateOperation",
  tags: ["Operations"],
  summary: "Change an operation",
  description:
    "Plan fields are set (supervisors and above). Status, quantities and actual times are stated as they shall be: " +
    "what leads there is recorded as events, under the rules of reports. Status changes are those of the first service.",
  security,
  request: {
    params: OperationKey,
    headers: ifMatchHeader.extend(idempotencyHeader.shape),
    body: { required: true, content: { "application/json": { schema: OperationUpdate } } },
  },
  responses: {
    200: {
      description: "The operation as changed.",
      headers: etagHeader.extend(replayedHeader.shape),
      content: { "application/json": { schema: OperationWithActions } },
    },
    ...problems([
      "forbidden",
      "not_found",
      "already_running",
      "operation_blocked",
      "workplace_busy",
      "out_of_order",
      "too_old",
      "stale_version",
      "invalid_quantity",
      "invalid_state_transition",
      "reason_required",
    ], { body: true, idempotent: true }),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.callDatabase("update_operation", {
    ...c.req.valid("param"),
    patch,
    if_match: ifMatch(c),
    idempotency: idempotency(c, patch),
  });
  const operation = answerBody(c, answer);
  c.header("ETag", `"${operation.version}"`);
  return c.json(operation, 200);
});
