/**
 * The queue of a workplace as the API answers it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { key } from "./fields.ts";
import { OperationWithActions } from "./operation.ts";

declare module "./database.ts" {
  interface Answers {
    list_queue: QueuedOperation[];
  }
}

// not extended: generators would have to merge two types of workplace_name
export const QueuedOperation = z.object({
  ...OperationWithActions.shape,
  workplace_name: key().openapi({ description: "The workplace of the queue.", example: "TruLaser 5060 (L76)" }),
  blocked_by: z.string().nullable().openapi({
    description:
      "Machine code of the problem that prevents the caller from starting the operation now; null when there is none.",
    example: "workplace_busy",
  }),
}).openapi("QueuedOperation", {
  description: "An open operation of a workplace, with the problem that prevents its start.",
});

export type QueuedOperation = z.infer<typeof QueuedOperation>;
