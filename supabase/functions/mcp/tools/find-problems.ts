import { z } from "@hono/zod-openapi";
import { Downtime } from "../../_shared/downtime.ts";
import { Operation } from "../../_shared/operation.ts";
import { WebhookEndpoint } from "../../_shared/webhook_endpoint.ts";
import { limit } from "../pages.ts";
import { readTool } from "../tool.ts";

declare module "../../_shared/database.ts" {
  interface Answers {
    find_problems: {
      forgotten_runs: Operation[];
      source_conflicts: Operation[];
      unexplained_stops: Downtime[] | null;
      failing_webhooks: WebhookEndpoint[] | null;
    };
  }
}

export const findProblems = readTool({
  name: "find_problems",
  title: "Find what needs attention",
  description:
    "What somebody has to look at: runs that nobody stopped for 12 hours, operations that the ERP deleted or " +
    "cancelled after work had begun, stops without a reason, webhooks that fail.",
  calls: "find_problems",
  args: z.strictObject({ limit }),
  answer: {
    forgotten_runs: z.array(Operation).openapi({ description: "Operations that run for more than 12 hours." }),
    source_conflicts: z.array(Operation).openapi({
      description: "Operations that the ERP gave up although work had begun.",
    }),
    unexplained_stops: z.array(Downtime).nullable().openapi({
      description: "Downtimes without a reason code; null when the scopes of the API key do not open them.",
    }),
    failing_webhooks: z.array(WebhookEndpoint).nullable().openapi({
      description: "Webhook endpoints that fail; null below manager.",
    }),
  },
  read: ({ limit: take }, { rpc }) => rpc("find_problems", { take }),
});
