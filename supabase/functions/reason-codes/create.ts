import { answerCreation, createdJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ReasonCode } from "../_shared/reason_code.ts";
import { ReasonCodeCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/reason-codes/v1",
  operationId: "createReasonCode",
  tags: ["Reason codes"],
  summary: "Create a reason code",
  description: "For managers and above.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(ReasonCodeCreate) },
  responses: {
    201: createdJson(ReasonCode, "The new reason code."),
    ...commandProblems(["forbidden", "duplicate_reason_code"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("create_reason_code", { reason_code: body, idempotency: readIdempotency(c, body) });
  return c.json(answerCreation(c, answer, ({ kind, code }) => ["reason-codes", "v1", kind, code]), 201);
});
