import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, locationHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { Workplace, WorkplaceCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/workplaces/v1",
  operationId: "createWorkplace",
  tags: ["Workplaces"],
  summary: "Create a workplace",
  description: "For managers and above. Operations that name an unknown workplace add it by themselves.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: WorkplaceCreate } } },
  },
  responses: {
    201: {
      description: "As created.",
      headers: locationHeader.extend(etagHeader.shape).extend(replayedHeader.shape),
      content: { "application/json": { schema: Workplace } },
    },
    ...problems(["forbidden", "duplicate_workplace"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.callDatabase("create_workplace", {
    workplace: body,
    idempotency: idempotency(c, body),
  });
  const created = answerBody(c, answer);
  c.header("ETag", `"${created.version}"`);
  c.header("Location", `/functions/v1/workplaces/v1/${encodeURIComponent(created.name)}`);
  return c.json(created, 201);
});
