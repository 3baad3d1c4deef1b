import { z } from "@hono/zod-openapi";
import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { CalendarException, CalendarKey, ExceptionQuery } from "./schemas.ts";

export const listExceptions = endpoint({
  method: "get",
  path: "/calendars/v1/{name}/exceptions",
  operationId: "listCalendarExceptions",
  tags: ["Calendars"],
  summary: "List exceptions",
  description: "Returns the exceptions between two dates, both included, by date: the first 1,000.",
  security,
  request: { params: CalendarKey, query: ExceptionQuery },
  responses: {
    200: json(z.array(CalendarException), "The exceptions."),
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { from, to } = c.req.valid("query");
  const args = { ...c.req.valid("param"), from_date: from, to_date: to };
  return c.json(await c.var.rpc("list_calendar_exceptions", args), 200);
});
