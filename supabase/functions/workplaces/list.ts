import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { cursorKey, listHeaders, pageHeaders } from "../_shared/lists.ts";
import { Workplace, WorkplaceQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/workplaces/v1",
  operationId: "listWorkplaces",
  tags: ["Workplaces"],
  summary: "List workplaces",
  description: "All workplaces of the plant, ordered by name.",
  security,
  request: { query: WorkplaceQuery },
  responses: {
    200: {
      description: "A page of workplaces.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(Workplace) } },
    },
    ...problems([]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_name] = await cursorKey(c, z.tuple([z.string()])) ?? [];
  const page = await c.var.callDatabase("list_workplaces", { ...query, after_name, take: limit });
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
