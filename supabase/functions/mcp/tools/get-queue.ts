import { z } from "@hono/zod-openapi";
import { key } from "../../_shared/fields.ts";
import { QueuedOperation } from "../../_shared/queue.ts";
import { limit } from "../pages.ts";
import { readTool } from "../tool.ts";

export const getQueue = readTool({
  name: "get_queue",
  title: "List the next operations",
  description:
    "The open operations of a workplace: running ones first, then by planned start. blocked_by says what prevents " +
    "the start of each.",
  calls: "list_queue",
  args: z.strictObject({
    workplace_name: key().openapi({ description: "Name of the workplace.", example: "TruLaser 5060 (L76)" }),
    limit,
  }),
  answer: { queue: z.array(QueuedOperation) },
  read: async ({ workplace_name: name, limit: take }, { rpc }) => ({ queue: await rpc("list_queue", { name, take }) }),
});
