import { endpoint } from "../_shared/app.ts";
import { etagHeader, ifNoneMatchHeader, isNotModified } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { OperationWithActions } from "../_shared/operation.ts";
import { OperationKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}",
  operationId: "getOperation",
  tags: ["Operations"],
  summary: "Read an operation",
  description: "The operation, and what the caller may do to it now.",
  security,
  request: { params: OperationKey, headers: ifNoneMatchHeader },
  responses: {
    200: {
      description: "The operation.",
      headers: etagHeader,
      content: { "application/json": { schema: OperationWithActions } },
    },
    304: { description: "The client has this version already.", headers: etagHeader },
    ...problems(["not_found"]),
  },
}, async (c) => {
  const operation = await c.var.callDatabase("get_operation", c.req.valid("param"));
  return isNotModified(c, operation.version) ? c.body(null, 304) : c.json(operation, 200);
});
