import { ifNoneMatchHeader, isNotModified, notModified, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationWithActions } from "../_shared/operation.ts";
import { OperationKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}",
  operationId: "getOperation",
  tags: ["Operations"],
  summary: "Read an operation",
  description: "Returns the operation with the actions that the caller may perform now.",
  security,
  request: { params: OperationKey, headers: ifNoneMatchHeader },
  responses: {
    200: versionedJson(OperationWithActions, "The operation."),
    304: notModified,
    ...problems(["not_found"]),
  },
}, async (c) => {
  const operation = await c.var.rpc("get_operation", c.req.valid("param"));
  return isNotModified(c, operation.version) ? c.body(null, 304) : c.json(operation, 200);
});
