import { answerCreation, createdJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Workplace, WorkplaceCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/workplaces/v1",
  operationId: "createWorkplace",
  tags: ["Workplaces"],
  summary: "Create a workplace",
  description: "For managers and above. An operation that names an unknown workplace also creates it.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(WorkplaceCreate) },
  responses: {
    201: createdJson(Workplace, "The new workplace."),
    ...commandProblems(["forbidden", "duplicate_workplace"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("create_workplace", { workplace: body, idempotency: readIdempotency(c, body) });
  return c.json(answerCreation(c, answer, ({ name }) => ["workplaces", "v1", name]), 201);
});
