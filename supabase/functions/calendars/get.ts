import { ifNoneMatchHeader, isNotModified, notModified, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Calendar, CalendarKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/calendars/v1/{name}",
  operationId: "getCalendar",
  tags: ["Calendars"],
  summary: "Read a calendar",
  description: "Returns the calendar with its shifts.",
  security,
  request: { params: CalendarKey, headers: ifNoneMatchHeader },
  responses: {
    200: versionedJson(Calendar, "The calendar."),
    304: notModified,
    ...problems(["not_found"]),
  },
}, async (c) => {
  const calendar = await c.var.rpc("get_calendar", c.req.valid("param"));
  return isNotModified(c, calendar.version) ? c.body(null, 304) : c.json(calendar, 200);
});
