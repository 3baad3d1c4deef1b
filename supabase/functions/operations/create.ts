import { endpoint } from "../_shared/app.ts";
import { etagHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { answerBody, idempotency, idempotencyHeader, locationHeader, replayedHeader } from "../_shared/commands.ts";
import { OperationWithActions } from "../_shared/operation.ts";
import { OperationCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/operations/v1",
  operationId: "createOperation",
  tags: ["Operations"],
  summary: "Create an operation",
  description: "For supervisors at their workplaces, and above. A workplace that is not known yet is added.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: OperationCreate } } },
  },
  responses: {
    201: {
      description: "The operation as created.",
      headers: locationHeader.extend(etagHeader.shape).extend(replayedHeader.shape),
      content: { "application/json": { schema: OperationWithActions } },
    },
    ...problems(["forbidden", "not_found", "duplicate_operation", "invalid_quantity"], {
      body: true,
      idempotent: true,
    }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.callDatabase("create_operation", {
    operation: body,
    idempotency: idempotency(c, body),
  });
  const operation = answerBody(c, answer);
  const { order_no, asset_id, operation_no, version } = operation;
  c.header("ETag", `"${version}"`);
  c.header(
    "Location",
    `/functions/v1/operations/v1/${[order_no, asset_id, operation_no].map(encodeURIComponent).join("/")}`,
  );
  return c.json(operation, 201);
});
