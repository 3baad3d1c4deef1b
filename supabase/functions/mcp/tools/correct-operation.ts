import { z } from "@hono/zod-openapi";
import { ReportedEvent } from "../../_shared/event.ts";
import { Report } from "../../_shared/report.ts";
import { mergedShape } from "../alternatives.ts";
import { writeTool } from "../write_tool.ts";
import { notForModels, questionAbout, seenByReport } from "./reports.ts";

const [, , , , , , , , reverse, correct] = Report.options;
const actions = [reverse.omit(notForModels), correct.omit(notForModels)] as const;

export const correctOperation = writeTool({
  name: "correct_operation",
  title: "Correct an operation",
  description:
    "Corrects what was reported: REVERSE takes back pieces of one event, CORRECT changes counts by a difference, or actual times. " +
    "Nothing is deleted: the correction is an event of its own.",
  destructive: true,
  calls: "report_event",
  args: z.discriminatedUnion("action_type", actions),
  shape: mergedShape(actions, "action_type"),
  answer: { name: "event", schema: ReportedEvent },
  send: (report, more, idempotency, { rpc }) => rpc("report_event", { report: { ...report, ...more }, idempotency }),
  seen: seenByReport,
  question: (report, event) => questionAbout(report.action_type, event),
});
