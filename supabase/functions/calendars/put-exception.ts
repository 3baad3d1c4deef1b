import { ifMatchHeader, readIfMatch, setEtag, versionedJson } from "../_shared/conditional.ts";
import { jsonBody, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { CalendarException, ExceptionKey, ExceptionPut } from "./schemas.ts";

export const putException = endpoint({
  method: "put",
  path: "/calendars/v1/{name}/exceptions/{date}",
  operationId: "putCalendarException",
  tags: ["Calendars"],
  summary: "Store an exception",
  description:
    "For managers and above. Stores the exception of a date, in place of the one that it has. `If-Match` and " +
    "`ETag` are those of the calendar.",
  security,
  request: { params: ExceptionKey, headers: ifMatchHeader, body: jsonBody(ExceptionPut) },
  responses: {
    200: versionedJson(CalendarException, "The exception."),
    ...problems(["forbidden", "not_found", "shift_overlap", "stale_version"], { body: true }),
  },
}, async (c) => {
  const { name, date } = c.req.valid("param");
  const { body: { version, exceptions } } = await c.var.rpc("put_calendar_exceptions", {
    name,
    exceptions: [{ ...c.req.valid("json"), date }],
    if_match: readIfMatch(c),
  });
  const [stored] = exceptions;
  if (stored === undefined) throw new Error("The database stored no exception");
  setEtag(c, version);
  return c.json(stored, 200);
});
