import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { cursorKey, listHeaders, listQuery, pageHeaders } from "../_shared/lists.ts";
import { Profile } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/profiles/v1",
  operationId: "listProfiles",
  tags: ["Profiles"],
  summary: "List profiles",
  description: "One's own; for supervisors those who share a workplace; for managers and above all. Ordered by email.",
  security,
  request: { query: z.strictObject(listQuery) },
  responses: {
    200: {
      description: "A page of profiles.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(Profile) } },
    },
    ...problems([]),
  },
}, async (c) => {
  const { limit, skip, count } = c.req.valid("query");
  const [after_email, after_id] = await cursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.callDatabase("list_profiles", { after_email, after_id, skip, take: limit, count });
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
