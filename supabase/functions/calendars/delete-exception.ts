import { deleted } from "../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ExceptionKey } from "./schemas.ts";

export const removeException = endpoint({
  method: "delete",
  path: "/calendars/v1/{name}/exceptions/{date}",
  operationId: "deleteCalendarException",
  tags: ["Calendars"],
  summary: "Delete an exception",
  description: "For managers and above. The date follows the pattern again. `If-Match` is the ETag of the calendar.",
  security,
  request: { params: ExceptionKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "shift_overlap", "stale_version"]),
  },
}, async (c) => {
  const { name, date } = c.req.valid("param");
  await c.var.rpc("delete_calendar_exception", { name, on_date: date, if_match: readIfMatch(c) });
  return c.body(null, 204);
});
