import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, locationHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { ReasonCode, ReasonCodeCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/reason-codes/v1",
  operationId: "createReasonCode",
  tags: ["Reason codes"],
  summary: "Create a reason code",
  description: "For managers and above.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: ReasonCodeCreate } } },
  },
  responses: {
    201: {
      description: "As created.",
      headers: locationHeader.extend(etagHeader.shape).extend(replayedHeader.shape),
      content: { "application/json": { schema: ReasonCode } },
    },
    ...problems(["forbidden", "duplicate_reason_code"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.callDatabase("create_reason_code", {
    reason_code: body,
    idempotency: idempotency(c, body),
  });
  const created = answerBody(c, answer);
  c.header("ETag", `"${created.version}"`);
  c.header("Location", `/functions/v1/reason-codes/v1/${created.kind}/${encodeURIComponent(created.code)}`);
  return c.json(created, 201);
});
