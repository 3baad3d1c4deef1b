import { problems, security } from "../_shared/contract.ts";
import { answerList, filtersOf, tableJson } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OperationEvent } from "../_shared/event.ts";
import { EventListKey, EventQuery } from "./schemas.ts";

const table = { name: "events", row: OperationEvent, key: EventListKey };

export const list = endpoint({
  method: "get",
  path: "/events/v1",
  operationId: "listEvents",
  tags: ["Events"],
  summary: "List events",
  description: "Returns events of the caller's workplaces that match all filters, newest first.",
  security,
  request: { query: EventQuery },
  responses: {
    200: tableJson(OperationEvent, "A page of events."),
    ...problems([]),
  },
}, (c) => {
  const query = c.req.valid("query");
  const { action_type, ...filters } = filtersOf(query);
  return answerList(
    c,
    query,
    table,
    ([before_created_at, before_id], page) =>
      c.var.rpc("list_events", { ...filters, action_types: action_type, before_created_at, before_id, ...page }),
  );
});
