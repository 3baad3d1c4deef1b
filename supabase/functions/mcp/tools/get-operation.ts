import { z } from "@hono/zod-openapi";
import { OperationEvent } from "../../_shared/event.ts";
import { OperationWithActions } from "../../_shared/operation.ts";
import { Run } from "../../_shared/run.ts";
import { limit } from "../pages.ts";
import { readTool } from "../tool.ts";
import { operationKey } from "./arguments.ts";

declare module "../../_shared/database.ts" {
  interface Answers {
    get_operation_history: { operation: OperationWithActions; runs: Run[]; events: OperationEvent[] | null };
  }
}

export const getOperation = readTool({
  name: "get_operation",
  title: "Read an operation",
  description:
    "One operation with its last runs and events, the latest first. allowed_actions says what the caller may do now, and " +
    "blocked_by what prevents the rest.",
  calls: "get_operation_history",
  args: z.strictObject({ ...operationKey, limit }),
  answer: {
    operation: OperationWithActions,
    runs: z.array(Run),
    events: z.array(OperationEvent).nullable().openapi({
      description: "Events; null when the scopes of the API key do not open them.",
    }),
  },
  read: ({ limit: take, ...key }, { rpc }) => rpc("get_operation_history", { ...key, take }),
});
