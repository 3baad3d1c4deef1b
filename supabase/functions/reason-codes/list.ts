import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { ReasonCode } from "../_shared/reason_code.ts";
import { ReasonCodeQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/reason-codes/v1",
  operationId: "listReasonCodes",
  tags: ["Reason codes"],
  summary: "List reason codes",
  description: "Returns all reason codes of the plant, ordered by kind and code.",
  security,
  request: { query: ReasonCodeQuery },
  responses: {
    200: pageJson(ReasonCode, "A page of reason codes."),
    ...problems([]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_kind, after_code] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_reason_codes", { ...query, after_kind, after_code, take: limit });
  return c.json(await answerPage(c, page), 200);
});
