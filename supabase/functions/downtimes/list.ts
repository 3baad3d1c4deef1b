import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { answerList, filtersOf, tableJson } from "../_shared/csv.ts";
import { Downtime } from "../_shared/downtime.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { DowntimeQuery } from "./schemas.ts";

const table = { name: "downtimes", row: Downtime, key: z.tuple([z.string(), z.guid()]) };

export const list = endpoint({
  method: "get",
  path: "/downtimes/v1",
  operationId: "listDowntimes",
  tags: ["Downtimes"],
  summary: "List downtimes",
  description: "Returns downtimes of the caller's workplaces, the latest start first.",
  security,
  request: { query: DowntimeQuery },
  responses: {
    200: tableJson(Downtime, "A page of downtimes."),
    ...problems([]),
  },
}, (c) => {
  const query = c.req.valid("query");
  const { workplace_name, reason_code, from, to, ...filters } = filtersOf(query);
  return answerList(c, query, table, ([before_started_at, before_id], page) =>
    c.var.rpc("list_downtimes", {
      ...filters,
      workplace_names: workplace_name,
      reason_codes: reason_code,
      from_at: from,
      to_at: to,
      before_started_at,
      before_id,
      ...page,
    }));
});
