import { deleted } from "../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ReasonCodeKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/reason-codes/v1/{kind}/{code}",
  operationId: "deleteReasonCode",
  tags: ["Reason codes"],
  summary: "Delete a reason code",
  description: "For managers and above, while no event has the code. Deactivate a code that is in use.",
  security,
  request: { params: ReasonCodeKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "in_use", "stale_version"]),
  },
}, async (c) => {
  await c.var.rpc("delete_reason_code", { ...c.req.valid("param"), if_match: readIfMatch(c) });
  return c.body(null, 204);
});
