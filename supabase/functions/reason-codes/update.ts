import { answerChange, changedJson, changeHeaders, readIdempotency } from "../_shared/commands.ts";
import { readIfMatch } from "../_shared/conditional.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ReasonCode } from "../_shared/reason_code.ts";
import { ReasonCodeKey, ReasonCodeUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/reason-codes/v1/{kind}/{code}",
  operationId: "updateReasonCode",
  tags: ["Reason codes"],
  summary: "Change a reason code",
  description: "For managers and above.",
  security,
  request: { params: ReasonCodeKey, headers: changeHeaders, body: jsonBody(ReasonCodeUpdate) },
  responses: {
    200: changedJson(ReasonCode, "The changed reason code."),
    ...commandProblems(["forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.rpc("update_reason_code", {
    ...c.req.valid("param"),
    patch,
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, patch),
  });
  return c.json(answerChange(c, answer), 200);
});
