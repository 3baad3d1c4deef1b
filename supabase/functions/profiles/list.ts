import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { Profile, ProfileQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/profiles/v1",
  operationId: "listProfiles",
  tags: ["Profiles"],
  summary: "List profiles",
  description:
    "Returns the caller's own profile; for supervisors, also profiles that share a workplace; for managers and above, all profiles. Ordered by e-mail address.",
  security,
  request: { query: ProfileQuery },
  responses: {
    200: pageJson(Profile, "A page of profiles."),
    ...problems([]),
  },
}, async (c) => {
  const { limit, skip, count, q } = c.req.valid("query");
  const [after_email, after_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_profiles", { q, after_email, after_id, skip, take: limit, count });
  return c.json(await answerPage(c, page), 200);
});
