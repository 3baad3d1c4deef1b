import { endpoint } from "../_shared/app.ts";
import { ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { OperationKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/operations/v1/{order_no}/{asset_id}/{operation_no}",
  operationId: "deleteOperation",
  tags: ["Operations"],
  summary: "Delete an operation",
  description:
    "For supervisors and above, as long as no work was reported on it: what ran is a record of the plant. Its events stay in the log.",
  security,
  request: { params: OperationKey, headers: ifMatchHeader },
  responses: {
    204: { description: "It is deleted." },
    ...problems(["forbidden", "not_found", "stale_version", "invalid_state_transition"]),
  },
}, async (c) => {
  await c.var.callDatabase("delete_operation", { ...c.req.valid("param"), if_match: ifMatch(c) });
  return c.body(null, 204);
});
