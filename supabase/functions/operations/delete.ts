import { deleted } from "../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}",
  operationId: "deleteOperation",
  tags: ["Operations"],
  summary: "Delete an operation",
  description:
    "For supervisors and above, while no work is reported on the operation: work is a record of the plant. Events stay in the log.",
  security,
  request: { params: OperationKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "stale_version", "invalid_state_transition"]),
  },
}, async (c) => {
  await c.var.rpc("delete_operation", { ...c.req.valid("param"), if_match: readIfMatch(c) });
  return c.body(null, 204);
});
