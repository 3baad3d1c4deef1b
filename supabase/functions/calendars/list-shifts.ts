import { z } from "@hono/zod-openapi";
import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { CalendarKey, ShiftOccurrence, ShiftQuery } from "./schemas.ts";

export const listShifts = endpoint({
  method: "get",
  path: "/calendars/v1/{name}/shifts",
  operationId: "listShifts",
  tags: ["Calendars"],
  summary: "List shifts",
  description: "Returns the shifts that take place in a window of at most 400 days, whole and in order, with their " +
    "instants: closed ones and additional ones, too.",
  security,
  request: { params: CalendarKey, query: ShiftQuery },
  responses: {
    200: json(z.array(ShiftOccurrence), "The shifts."),
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { from, to } = c.req.valid("query");
  return c.json(await c.var.rpc("list_shifts", { ...c.req.valid("param"), from_at: from, to_at: to }), 200);
});
