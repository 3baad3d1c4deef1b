import { endpoint } from "../_shared/app.ts";
import { etagHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { WorkplaceKey, WorkplaceNow } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/workplaces/v1/{name}",
  operationId: "getWorkplace",
  tags: ["Workplaces"],
  summary: "Read a workplace",
  description: "The workplace, and what runs there now.",
  security,
  request: { params: WorkplaceKey },
  responses: {
    200: {
      description: "The workplace.",
      headers: etagHeader,
      content: { "application/json": { schema: WorkplaceNow } },
    },
    ...problems(["not_found"]),
  },
}, async (c) => {
  const workplace = await c.var.callDatabase("get_workplace", c.req.valid("param"));
  // for If-Match only: what runs there changes without the workplace's version
  c.header("ETag", `"${workplace.version}"`);
  return c.json(workplace, 200);
});
