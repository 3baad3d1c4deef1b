import { answerChange, changedJson, changeHeaders, readIdempotency } from "../_shared/commands.ts";
import { readIfMatch } from "../_shared/conditional.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Calendar, CalendarKey, CalendarUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/calendars/v1/{name}",
  operationId: "updateCalendar",
  tags: ["Calendars"],
  summary: "Change a calendar",
  description:
    "For managers and above. New shifts replace the pattern from the first of their `valid_from` on. The past of a " +
    "calendar that workplaces use does not change: its zone stays, and its shifts change from today on.",
  security,
  request: { params: CalendarKey, headers: changeHeaders, body: jsonBody(CalendarUpdate) },
  responses: {
    200: changedJson(Calendar, "The changed calendar."),
    ...commandProblems(["forbidden", "not_found", "in_use", "limit_reached", "shift_overlap", "stale_version"]),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.rpc("update_calendar", {
    ...c.req.valid("param"),
    patch,
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, patch),
  });
  return c.json(answerChange(c, answer), 200);
});
