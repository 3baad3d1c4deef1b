import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { chargeRows } from "../_shared/rate_limiting.ts";
import { reportCost } from "./arguments.ts";
import { Board, BoardQuery } from "./board-schemas.ts";

export const board = endpoint({
  method: "get",
  path: "/reports/v1/board",
  operationId: "reportBoard",
  tags: ["Reports"],
  summary: "Report what a board shows",
  description:
    "Returns the state of each workplace and since when, what runs, the next three, what stops it, and what is late: one call for " +
    "a screen, which repeats it when the stream tells of an event. No name of a person is in it. A board ticket opens it for one " +
    "group; docs/board.md has a page that shows it.",
  security,
  request: { query: BoardQuery },
  responses: {
    200: json(Board, "The board."),
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { workplace_name: workplace_names, workplace_group, include } = c.req.valid("query");
  const with_oee = include === "oee";
  if (with_oee) chargeRows(c, reportCost.units);
  return c.json(await c.var.rpc("report_board", { workplace_names, workplace_group, with_oee }), 200);
});
