import { z } from "@hono/zod-openapi";
import { ReportedEvent } from "../../_shared/event.ts";
import { Report } from "../../_shared/report.ts";
import { mergedShape } from "../alternatives.ts";
import { writeTool } from "../write_tool.ts";
import { notForModels, questionAbout, seenByReport } from "./reports.ts";

const [start, stop, quantity, complete, finish] = Report.options;
const actions = [
  start.omit(notForModels),
  stop.omit(notForModels),
  quantity.omit(notForModels),
  complete.omit(notForModels),
  finish.omit(notForModels),
] as const;

export const reportEvent = writeTool({
  name: "report_event",
  title: "Report an event",
  description:
    "Reports what happened to an operation: START, STOP, REPORT_QUANTITY, COMPLETE (all pieces done) or FINISH (closed with what " +
    "was reported). Give the workplace of the operation.",
  destructive: false,
  calls: "report_event",
  args: z.discriminatedUnion("action_type", actions),
  shape: mergedShape(actions, "action_type"),
  answer: { name: "event", schema: ReportedEvent },
  send: (report, more, idempotency, { rpc }) => rpc("report_event", { report: { ...report, ...more }, idempotency }),
  seen: seenByReport,
  question: (report, event) => questionAbout(report.action_type, event),
});
