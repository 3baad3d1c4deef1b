import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { Workplace, WorkplaceQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/workplaces/v1",
  operationId: "listWorkplaces",
  tags: ["Workplaces"],
  summary: "List workplaces",
  description: "Returns all workplaces of the plant, ordered by name.",
  security,
  request: { query: WorkplaceQuery },
  responses: {
    200: pageJson(Workplace, "A page of workplaces."),
    ...problems([]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_name] = await readCursorKey(c, z.tuple([z.string()])) ?? [];
  const page = await c.var.rpc("list_workplaces", { ...query, after_name, take: limit });
  return c.json(await answerPage(c, page), 200);
});
