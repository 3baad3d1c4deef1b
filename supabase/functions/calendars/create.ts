import { answerCreation, createdJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Calendar, CalendarCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/calendars/v1",
  operationId: "createCalendar",
  tags: ["Calendars"],
  summary: "Create a calendar",
  description: "For managers and above. Shifts that overlap are rejected, in the nights when clocks change, too. " +
    "Give the calendar to workplaces by `calendar_name`.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(CalendarCreate) },
  responses: {
    201: createdJson(Calendar, "The new calendar."),
    ...commandProblems(["forbidden", "duplicate_calendar", "shift_overlap"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("create_calendar", { calendar: body, idempotency: readIdempotency(c, body) });
  return c.json(answerCreation(c, answer, ({ name }) => ["calendars", "v1", name]), 201);
});
