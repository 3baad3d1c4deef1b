import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader, ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { ReasonCode, ReasonCodeKey, ReasonCodeUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/reason-codes/v1/{kind}/{code}",
  operationId: "updateReasonCode",
  tags: ["Reason codes"],
  summary: "Change a reason code",
  description: "For managers and above.",
  security,
  request: {
    params: ReasonCodeKey,
    headers: ifMatchHeader.extend(idempotencyHeader.shape),
    body: { required: true, content: { "application/json": { schema: ReasonCodeUpdate } } },
  },
  responses: {
    200: {
      description: "As changed.",
      headers: etagHeader.extend(replayedHeader.shape),
      content: { "application/json": { schema: ReasonCode } },
    },
    ...problems(["forbidden", "not_found", "stale_version"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.callDatabase("update_reason_code", {
    ...c.req.valid("param"),
    patch,
    if_match: ifMatch(c),
    idempotency: idempotency(c, patch),
  });
  const changed = answerBody(c, answer);
  c.header("ETag", `"${changed.version}"`);
  return c.json(changed, 200);
});
