import { json, problems, security } from "../_shared/contract.ts";
import { answerReport, orCsv } from "../_shared/csv.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { reportCost, windowArguments } from "./arguments.ts";
import { Timeline, TimelineQuery } from "./schemas.ts";
import { timelineTable } from "./tables.ts";

export const timeline = endpoint({
  method: "get",
  path: "/reports/v1/timeline",
  operationId: "reportTimeline",
  tags: ["Reports"],
  summary: "Report the timeline",
  description:
    "Returns the partition of time of one workplace: each instant of the window is in one interval and one " +
    "time element. OEE and losses are sums over these intervals.",
  security,
  "x-rate-limit": reportCost,
  request: { query: TimelineQuery },
  responses: {
    200: orCsv(json(Timeline, "The timeline.")),
    ...problems(["not_found"]),
  },
}, (c) => {
  const query = c.req.valid("query");
  const { workplace_name, ...window } = query;
  return answerReport(
    c,
    query,
    timelineTable,
    () => c.var.rpc("report_timeline", { ...windowArguments(window), workplace_name }),
  );
});
