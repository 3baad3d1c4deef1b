import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { Calendar, CalendarQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/calendars/v1",
  operationId: "listCalendars",
  tags: ["Calendars"],
  summary: "List calendars",
  description: "Returns all calendars of the plant, ordered by name.",
  security,
  request: { query: CalendarQuery },
  responses: {
    200: pageJson(Calendar, "A page of calendars."),
    ...problems([]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_name] = await readCursorKey(c, z.tuple([z.string()])) ?? [];
  const page = await c.var.rpc("list_calendars", { ...query, after_name, take: limit });
  return c.json(await answerPage(c, page), 200);
});
