import { z } from "@hono/zod-openapi";
import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { cursorKey, listHeaders, pageHeaders } from "../_shared/lists.ts";
import { ReasonCode, ReasonCodeQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/reason-codes/v1",
  operationId: "listReasonCodes",
  tags: ["Reason codes"],
  summary: "List reason codes",
  description: "All reason codes of the plant, ordered by kind and code.",
  security,
  request: { query: ReasonCodeQuery },
  responses: {
    200: {
      description: "A page of reason codes.",
      headers: listHeaders,
      content: { "application/json": { schema: z.array(ReasonCode) } },
    },
    ...problems([]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_kind, after_code] = await cursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.callDatabase("list_reason_codes", { ...query, after_kind, after_code, take: limit });
  await pageHeaders(c, page);
  return c.json(page.items, 200);
});
