import { ifNoneMatchHeader, isNotModified, notModified, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ReasonCode } from "../_shared/reason_code.ts";
import { ReasonCodeKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/reason-codes/v1/{kind}/{code}",
  operationId: "getReasonCode",
  tags: ["Reason codes"],
  summary: "Read a reason code",
  description: "Returns one reason code.",
  security,
  request: { params: ReasonCodeKey, headers: ifNoneMatchHeader },
  responses: {
    200: versionedJson(ReasonCode, "The reason code."),
    304: notModified,
    ...problems(["not_found"]),
  },
}, async (c) => {
  const reasonCode = await c.var.rpc("get_reason_code", c.req.valid("param"));
  return isNotModified(c, reasonCode.version) ? c.body(null, 304) : c.json(reasonCode, 200);
});
