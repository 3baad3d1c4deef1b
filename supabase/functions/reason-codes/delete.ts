import { endpoint } from "../_shared/app.ts";
import { ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { ReasonCodeKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/reason-codes/v1/{kind}/{code}",
  operationId: "deleteReasonCode",
  tags: ["Reason codes"],
  summary: "Delete a reason code",
  description: "For managers and above, as long as no event has it: then set it inactive.",
  security,
  request: { params: ReasonCodeKey, headers: ifMatchHeader },
  responses: {
    204: { description: "It is deleted." },
    ...problems(["forbidden", "not_found", "in_use", "stale_version"]),
  },
}, async (c) => {
  await c.var.callDatabase("delete_reason_code", { ...c.req.valid("param"), if_match: ifMatch(c) });
  return c.body(null, 204);
});
