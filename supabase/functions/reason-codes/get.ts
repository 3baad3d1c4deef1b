import { endpoint } from "../_shared/app.ts";
import { etagHeader, ifNoneMatchHeader, isNotModified } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { ReasonCode, ReasonCodeKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/reason-codes/v1/{kind}/{code}",
  operationId: "getReasonCode",
  tags: ["Reason codes"],
  summary: "Read a reason code",
  description: "One reason code.",
  security,
  request: { params: ReasonCodeKey, headers: ifNoneMatchHeader },
  responses: {
    200: {
      description: "The reason code.",
      headers: etagHeader,
      content: { "application/json": { schema: ReasonCode } },
    },
    304: { description: "The client has this version already.", headers: etagHeader },
    ...problems(["not_found"]),
  },
}, async (c) => {
  const reasonCode = await c.var.callDatabase("get_reason_code", c.req.valid("param"));
  return isNotModified(c, reasonCode.version) ? c.body(null, 304) : c.json(reasonCode, 200);
});
