import { answerCreation, createdJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationWithActions } from "../_shared/operation.ts";
import { requestedVersion } from "../_shared/versions.ts";
import { OperationCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/operations/v1",
  operationId: "createOperation",
  tags: ["Operations"],
  summary: "Create an operation",
  description: "For supervisors at their workplaces, and above. Creates the workplace too, if it is unknown.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(OperationCreate) },
  responses: {
    201: createdJson(OperationWithActions, "The new operation."),
    ...commandProblems(["forbidden", "not_found", "duplicate_operation", "invalid_quantity"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("create_operation", { operation: body, idempotency: readIdempotency(c, body) });
  const operation = answerCreation(
    c,
    answer,
    ({ order_no, asset_id, operation_no }) => ["operations", requestedVersion(c), order_no, asset_id, operation_no],
  );
  return c.json(operation, 201);
});
