import { deleted } from "../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { CalendarKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/calendars/v1/{name}",
  operationId: "deleteCalendar",
  tags: ["Calendars"],
  summary: "Delete a calendar",
  description: "For managers and above, while no workplace uses the calendar.",
  security,
  request: { params: CalendarKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "in_use", "stale_version"]),
  },
}, async (c) => {
  await c.var.rpc("delete_calendar", { ...c.req.valid("param"), if_match: readIfMatch(c) });
  return c.body(null, 204);
});
