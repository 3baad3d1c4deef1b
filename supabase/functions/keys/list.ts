import { z } from "@hono/zod-openapi";
import { problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { Key, KeyQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/keys/v1",
  operationId: "listKeys",
  tags: ["Keys"],
  summary: "List API keys",
  description: "For signed-in admins. Returns all keys without their secrets, oldest first, revoked ones included.",
  security: userSecurity,
  request: { query: KeyQuery },
  responses: {
    200: pageJson(Key, "A page of keys."),
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_created_at, after_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_api_keys", { ...query, after_created_at, after_id, take: limit });
  return c.json(await answerPage(c, page), 200);
});
