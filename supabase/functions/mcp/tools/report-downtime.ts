import { z } from "@hono/zod-openapi";
import { Downtime, downtimeFields, downtimeId } from "../../_shared/downtime.ts";
import { mergedShape } from "../alternatives.ts";
import { quoted } from "../model_form.ts";
import { writeTool } from "../write_tool.ts";

const downtime_id = downtimeId("The downtime, as floor_now and find_problems list it.");

const { id: _start, ...start } = downtimeFields.start;
const { id: _end, ...end } = downtimeFields.end;
const { id: _classify, ...classify } = downtimeFields.classify;
const { id: _split, ...split } = downtimeFields.split;
const { id: _cancel, ...cancel } = downtimeFields.cancel;

const actions = [
  z.strictObject({ action_type: z.literal("DOWNTIME_START"), ...start }),
  z.strictObject({ action_type: z.literal("DOWNTIME_END"), downtime_id, ...end }),
  z.strictObject({ action_type: z.literal("DOWNTIME_CLASSIFY"), downtime_id, ...classify }),
  z.strictObject({ action_type: z.literal("DOWNTIME_SPLIT"), downtime_id, ...split }),
  z.strictObject({ action_type: z.literal("DOWNTIME_CANCEL"), downtime_id, ...cancel }),
] as const;

export const reportDowntime = writeTool({
  name: "report_downtime",
  title: "Report a downtime",
  description:
    "Says that a workplace stands still (DOWNTIME_START), goes on (DOWNTIME_END), why it stood still (DOWNTIME_CLASSIFY), that one " +
    "stop had two causes (DOWNTIME_SPLIT), or that it was none (DOWNTIME_CANCEL).",
  destructive: true,
  calls: "report_downtime",
  args: z.discriminatedUnion("action_type", actions),
  shape: mergedShape(actions, "action_type"),
  answer: { name: "downtime", schema: Downtime },
  send: (report, more, idempotency, { rpc }) => rpc("report_downtime", { report: { ...report, ...more }, idempotency }),
  seen: ({ seen_version = 0 }) => ({ version: seen_version, op_seq: 0 }),
  question: ({ action_type }, { workplace_name, status, reason_code, started_at, ended_at }) =>
    `${action_type} at ${quoted(workplace_name)}? The downtime is then ${status}, from ${started_at} to ${
      ended_at ?? "now"
    }, ` +
    `with ${reason_code === null ? "no reason" : `reason ${quoted(reason_code)}`}.`,
});
