/**
 * The run as the API answers it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Phase, ReportedBy } from "./event.ts";
import { eventId, instantOut, userId } from "./fields.ts";
import { NamedPerson } from "./person.ts";

export const Run = z.object({
  run_no: z.int().min(1).openapi({ description: "Number of the run within the operation: 1, 2, 3, ...", example: 1 }),
  phase: Phase,
  started_at: instantOut().openapi({ description: "Start of the run.", example: "2026-11-23T08:15:00.000Z" }),
  ended_at: instantOut().nullable().openapi({ description: "End of the run; null while it is open.", example: null }),
  duration_min: z.number().min(0).openapi({
    description: "Duration in minutes; for an open run, until now.",
    example: 42.5,
  }),
  start_event_id: eventId("Event that opened the run."),
  end_event_id: eventId("Event that closed the run; null while it is open.").nullable().openapi({ example: null }),
  user_id: userId("User who opened the run; null for an API key and for a server.").nullable().openapi({
    example: null,
  }),
  user_email: z.string().nullable().openapi({ description: "E-mail address of that user at the time.", example: null }),
  reported_by: ReportedBy,
  person: z.union([NamedPerson, z.null()]).openapi({
    description: "Person who was signed in at the terminal that opened the run; null when nobody was.",
  }),
}).openapi("Run", { description: "An uninterrupted stretch of work." });

export type Run = z.infer<typeof Run>;
