import { z } from "@hono/zod-openapi";
import { problems, security } from "../_shared/contract.ts";
import { answerList, filtersOf, tableJson } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ListedWorkplace, Workplace, WorkplaceQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/workplaces/v1",
  operationId: "listWorkplaces",
  tags: ["Workplaces"],
  summary: "List workplaces",
  description: "Returns all workplaces of the plant, ordered by name.",
  security,
  request: { query: WorkplaceQuery },
  responses: {
    200: tableJson(ListedWorkplace, "A page of workplaces."),
    ...problems([]),
  },
}, (c) => {
  const query = c.req.valid("query");
  const { include, ...filters } = filtersOf(query);
  const with_running = include === "running";
  // a table without running operations has no column for them
  const row = with_running ? ListedWorkplace : Workplace;
  return answerList(
    c,
    query,
    { name: "workplaces", row, key: z.tuple([z.string()]) },
    ([after_name], page) => c.var.rpc("list_workplaces", { ...filters, with_running, after_name, ...page }),
  );
});
