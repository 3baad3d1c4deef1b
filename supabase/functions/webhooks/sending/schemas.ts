/**
 * Requests and answers of the dispatcher.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { repeatable } from "../../_shared/lists.ts";
import type { Claimed } from "./attempt.ts";

declare module "../../_shared/database.ts" {
  interface Answers {
    claim_deliveries: Claimed[];
    settle_delivery: { settled: boolean; status: string | null };
  }
}

export const DispatchQuery = z.strictObject({
  endpoint_id: repeatable(z.guid(), { type: "string", format: "uuid" }).openapi({
    description: "Endpoints to send to; all by default. Repeat the parameter for several.",
    example: ["7a3f0c52-9d1e-4b8f-a6c4-2e5d8b1f7c90"],
  }),
}).partial();

export const Dispatched = z.object({
  claimed: z.int().min(0).openapi({ description: "Number of attempted deliveries.", example: 3 }),
  delivered: z.int().min(0).openapi({ description: "Attempts that have succeeded.", example: 2 }),
  failed: z.int().min(0).openapi({
    description: "Attempts that have failed. The remaining ones are still under way.",
    example: 1,
  }),
  has_more: z.boolean().openapi({
    description: "True when more deliveries may be due: call again at once.",
    example: false,
  }),
}).openapi("Dispatched", { description: "Result of a dispatch." });

export type Dispatched = z.infer<typeof Dispatched>;
