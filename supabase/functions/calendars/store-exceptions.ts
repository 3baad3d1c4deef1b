import { answerChange, changedJson, changeHeaders, readIdempotency } from "../_shared/commands.ts";
import { readIfMatch } from "../_shared/conditional.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import type { Answer } from "../_shared/database.ts";
import { CalendarKey, ExceptionsPost, StoredExceptions } from "./schemas.ts";

export const storeExceptions = endpoint({
  method: "post",
  path: "/calendars/v1/{name}/exceptions",
  operationId: "storeCalendarExceptions",
  tags: ["Calendars"],
  summary: "Store exceptions",
  description:
    "For managers and above. Stores up to 400 exceptions, all or none, each in place of the one of its date.",
  security,
  request: { params: CalendarKey, headers: changeHeaders, body: jsonBody(ExceptionsPost) },
  responses: {
    200: changedJson(StoredExceptions, "The exceptions, with the new version of the calendar."),
    ...commandProblems(["forbidden", "not_found", "shift_overlap", "stale_version"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer: Answer<StoredExceptions> = await c.var.rpc("put_calendar_exceptions", {
    ...c.req.valid("param"),
    exceptions: body.exceptions,
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, body),
  });
  return c.json(answerChange(c, answer), 200);
});
