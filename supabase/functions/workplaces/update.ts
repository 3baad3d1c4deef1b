import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader, ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { Workplace, WorkplaceKey, WorkplaceUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/workplaces/v1/{name}",
  operationId: "updateWorkplace",
  tags: ["Workplaces"],
  summary: "Change a workplace",
  description: "For managers and above. A smaller capacity stops nothing that runs.",
  security,
  request: {
    params: WorkplaceKey,
    headers: ifMatchHeader.extend(idempotencyHeader.shape),
    body: { required: true, content: { "application/json": { schema: WorkplaceUpdate } } },
  },
  responses: {
    200: {
      description: "As changed.",
      headers: etagHeader.extend(replayedHeader.shape),
      content: { "application/json": { schema: Workplace } },
    },
    ...problems(["forbidden", "not_found", "stale_version"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.callDatabase("update_workplace", {
    ...c.req.valid("param"),
    patch,
    if_match: ifMatch(c),
    idempotency: idempotency(c, patch),
  });
  const changed = answerBody(c, answer);
  c.header("ETag", `"${changed.version}"`);
  return c.json(changed, 200);
});
