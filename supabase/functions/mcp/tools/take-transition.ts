import { z } from "@hono/zod-openapi";
import { ReportedEvent } from "../../_shared/event.ts";
import { Transition } from "../../_shared/report.ts";
import { writeTool } from "../write_tool.ts";
import { operationKey } from "./arguments.ts";
import { questionAbout, seenByReport } from "./reports.ts";

const { dry_run: _, ...transition } = Transition.shape;
const args = z.strictObject({ ...operationKey, ...transition });

export const takeTransition = writeTool({
  name: "take_transition",
  title: "Take a transition",
  description:
    "Moves an operation through its lifecycle, as planners do: RELEASE, START, STOP, COMPLETE, FINISH, HOLD or CANCEL. " +
    "HOLD and CANCEL need a reason_code.",
  destructive: true,
  calls: "transition_operation",
  args,
  shape: args.shape,
  answer: { name: "event", schema: ReportedEvent },
  send: ({ order_no, asset_id, operation_no, ...transition }, more, idempotency, { rpc }) =>
    rpc("transition_operation", {
      order_no,
      asset_id,
      operation_no,
      transition: { ...transition, ...more },
      idempotency,
    }),
  seen: seenByReport,
  question: ({ action }, event) => questionAbout(action, event),
});
