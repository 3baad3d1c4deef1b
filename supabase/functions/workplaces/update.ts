import { answerChange, changedJson, changeHeaders, readIdempotency } from "../_shared/commands.ts";
import { readIfMatch } from "../_shared/conditional.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Workplace, WorkplaceKey, WorkplaceUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/workplaces/v1/{name}",
  operationId: "updateWorkplace",
  tags: ["Workplaces"],
  summary: "Change a workplace",
  description: "For managers and above. A smaller capacity does not stop running operations.",
  security,
  request: { params: WorkplaceKey, headers: changeHeaders, body: jsonBody(WorkplaceUpdate) },
  responses: {
    200: changedJson(Workplace, "The changed workplace."),
    ...commandProblems(["forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.rpc("update_workplace", {
    ...c.req.valid("param"),
    patch,
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, patch),
  });
  return c.json(answerChange(c, answer), 200);
});
