import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { Person, PersonQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/people/v1",
  operationId: "listPeople",
  tags: ["People"],
  summary: "List people",
  description:
    "Returns the people who share a workplace with the supervisor who asks; for managers and above, all people; for all others, nobody. Ordered by name.",
  security,
  request: { query: PersonQuery },
  responses: {
    200: pageJson(Person, "A page of people."),
    ...problems([]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_name, after_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_people", { ...query, after_name, after_id, take: limit });
  return c.json(await answerPage(c, page), 200);
});
