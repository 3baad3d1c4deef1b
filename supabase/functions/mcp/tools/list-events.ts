import { z } from "@hono/zod-openapi";
import { OperationEvent } from "../../_shared/event.ts";
import { instant, key, userId } from "../../_shared/fields.ts";
import { Action } from "../../_shared/operation.ts";
import { personId } from "../../_shared/person.ts";
import { cursorAfter, nextCursor, pageArguments, startOf } from "../pages.ts";
import { readTool } from "../tool.ts";
import { operationKey } from "./arguments.ts";

/** When an event was recorded, and its id. */
const keyOfEvent = z.tuple([z.string(), z.string()]);

export const listEvents = readTool({
  name: "list_events",
  title: "List events",
  description: "What happened to operations, the newest first: who reported what, when and where.",
  calls: "list_events",
  args: z.strictObject({
    ...operationKey,
    action_type: z.array(Action).min(1).max(10).openapi({ description: "Actions to list.", example: ["START"] }),
    workplace_name: key().openapi({ description: "Workplace.", example: "TruLaser 5060 (L76)" }),
    user_id: userId("User who reported."),
    person_id: personId("Person who was signed in at the terminal that reported."),
    occurred_after: instant().openapi({ description: "Earliest time of the event.", example: "2026-11-23T00:00:00Z" }),
    occurred_before: instant().openapi({
      description: "Time before which the event happened.",
      example: "2026-11-24T00:00:00Z",
    }),
  }).partial().extend(pageArguments),
  answer: { events: z.array(OperationEvent), next_cursor: nextCursor },
  read: async ({ limit: take, cursor, ...filters }, { rpc }) => {
    const list = { tool: "list_events", filters, key: keyOfEvent };
    const [before_created_at, before_id] = await startOf(list, cursor) ?? [];
    const { action_type: action_types, ...others } = filters;
    const page = await rpc("list_events", { ...others, action_types, before_created_at, before_id, take });
    return { events: page.items, next_cursor: await cursorAfter(list, page) };
  },
});
