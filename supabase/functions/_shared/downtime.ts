/**
 * Downtimes as the API answers them, and their events, which the feed, streams and webhooks carry.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer } from "./database.ts";
import { Constants } from "./database.types.ts";
import { OperationData, ReportedBy } from "./event.ts";
import { eventId, instant, instantOut, key, text, userId, versionFields } from "./fields.ts";
import { NamedPerson } from "./person.ts";

declare module "./database.ts" {
  interface Answers {
    report_downtime: Answer<Downtime> & {
      /** Of a dry run: stands for what it found. */
      seen_version?: number;
    };
  }
}

/** Id of a downtime. */
export const downtimeId = (description: string) =>
  z.guid().openapi({ description, example: "c0a8f3d1-4b52-4e0f-9d57-6f1f0f8a2b11" });

export const DowntimeCategory = z.enum(Constants.public.Enums.downtime_category).openapi("DowntimeCategory", {
  description: "PLANNED: stands still by plan, as for maintenance. UNPLANNED: a loss.",
  example: "UNPLANNED",
});

export const DowntimeSource = z.enum(Constants.public.Enums.downtime_source).openapi("DowntimeSource", {
  description:
    "OPERATOR: a person, also one who acts at a terminal. MACHINE: the machine, or its state. SYSTEM: a server.",
  example: "OPERATOR",
});

export const DowntimeAction = z.enum(Constants.public.Enums.downtime_action).openapi("DowntimeAction", {
  description: "What happened to a downtime.",
  example: "DOWNTIME_START",
});

const DowntimeStatus = z.enum(["OPEN", "ENDED", "CANCELLED"]).openapi("DowntimeStatus", {
  description: "OPEN: the workplace stands still now. CANCELLED: it counts in no report.",
  example: "OPEN",
});

const workplaceName = () => key().openapi({ description: "Workplace.", example: "TruLaser 5060 (L76)" });

const reasonCode = () =>
  key().openapi({ description: "Reason code of kind DOWNTIME; null = unexplained.", example: "TOOL" });

const reporter = {
  user_id: userId("User who reported; null for an API key and for a server.").nullable().openapi({ example: null }),
  user_email: z.string().nullable().openapi({
    description: "E-mail address of that user at the time; null once the person is forgotten.",
    example: null,
  }),
  reported_by: ReportedBy,
  person: z.union([NamedPerson, z.null()]).openapi({
    description: "Person who was signed in at the terminal that reported (`X-Acting-For`); null when nobody was.",
  }),
};

export const Downtime = z.object({
  id: downtimeId("Id of the downtime, and of its DOWNTIME_START."),
  workplace_name: workplaceName(),
  status: DowntimeStatus,
  category: DowntimeCategory,
  reason_code: reasonCode().nullable(),
  started_at: instantOut().openapi({ description: "When it began.", example: "2026-11-23T08:15:00.000Z" }),
  ended_at: instantOut().nullable().openapi({ description: "When it ended; null while it is open.", example: null }),
  duration_min: z.number().openapi({
    description: "Minutes from begin to end, of an open one until now.",
    example: 12.5,
  }),
  source: DowntimeSource,
  note: text(2000).nullable().openapi({ description: "Note of the reporter.", example: null }),
  split_from: downtimeId("Downtime of which this one is the later part.").nullable().openapi({ example: null }),
  cancelled_at: instantOut().nullable().openapi({ description: "When it was cancelled.", example: null }),
  ...reporter,
  ...versionFields,
}).openapi("Downtime", { description: "A span of time in which a workplace stood still." });

export type Downtime = z.infer<typeof Downtime>;

export const DowntimeEvent = z.object({
  id: eventId("Id of the event."),
  pos: z.int().nullable().openapi({
    description: "Position in the feed, in one order with the events of operations.",
    example: 4711,
  }),
  action_type: DowntimeAction,
  downtime_id: downtimeId("The downtime. Its DOWNTIME_START has the same id."),
  seq: z.int().min(1).openapi({ description: "Position among the events of the downtime: 1, 2, 3, ...", example: 1 }),
  workplace_name: workplaceName(),
  occurred_at: instantOut().openapi({
    description: "START: the begin. END and SPLIT: the end. CLASSIFY and CANCEL: when it was decided.",
    example: "2026-11-23T08:15:00.000Z",
  }),
  category: DowntimeCategory,
  reason_code: reasonCode().nullable(),
  source: DowntimeSource,
  note: text(2000).nullable().openapi({ description: "Note of the reporter.", example: null }),
  split_from: downtimeId("Of a START by a split: the downtime that was split.").nullable().openapi({ example: null }),
  operation_data: OperationData.nullable().openapi({
    description: "Of a command by a language model: `via` is mcp, `client` its name; else null.",
    example: null,
  }),
  ...reporter,
  created_at: instantOut().openapi({
    description: "When the server recorded the event.",
    example: "2026-11-23T08:15:00.120Z",
  }),
}).openapi("DowntimeEvent", { description: "Something that happened to a downtime. An event never changes." });

export type DowntimeEvent = z.infer<typeof DowntimeEvent>;

const occurredAt = (what: string) =>
  instant().optional().openapi({
    description: `${what}; the server's time by default. At most 60 seconds ahead of the server's clock, and for ` +
      "machines and operators at most 31 days behind it, unless the plant sets another limit.",
    example: "2026-11-23T08:15:00Z",
  });

const note = () =>
  text(2000).openapi({ description: "Note for the log, at most 2000 characters.", example: "Coolant" });

const id = (what: string) =>
  eventId(`Id of the ${what} that the client generates. The same command sent again with it has no second effect.`)
    .optional();

/** Fields of the commands, for single requests and for items of a batch. */
export const downtimeFields = {
  start: {
    id: id("downtime"),
    workplace_name: workplaceName(),
    occurred_at: occurredAt("When the workplace stopped"),
    ended_at: instant().optional().openapi({
      description: "When it went on, for a downtime that is over.",
      example: "2026-11-23T08:40:00Z",
    }),
    category: DowntimeCategory.optional().openapi({ description: "Default: that of the reason, else UNPLANNED." }),
    reason_code: reasonCode().optional(),
    note: note().optional(),
    stop_runs: z.boolean().optional().openapi({
      description: "True: a STOP of each operation that runs there, at the same time and in the same transaction, " +
        "with the reason code where the plant has it for STOP too.",
      example: true,
    }),
  },
  end: { id: id("event"), occurred_at: occurredAt("When the workplace went on") },
  classify: {
    id: id("event"),
    category: DowntimeCategory.optional().openapi({ description: "Default: that of the reason." }),
    reason_code: key().openapi({ description: "Reason code of kind DOWNTIME.", example: "TOOL" }),
    note: note().optional(),
  },
  split: {
    id: id("later part"),
    at: instant().openapi({
      description: "Moment within the downtime at which its later part begins.",
      example: "2026-11-23T08:25:00Z",
    }),
    reason_code: reasonCode().optional().openapi({
      description: "Reason code of kind DOWNTIME of the later part; unexplained by default.",
      example: "MATERIAL",
    }),
  },
  cancel: {
    id: id("event"),
    note: note().refine((text) => text !== "", "must say why").openapi({
      minLength: 1,
      description: "Why it counts no more, at most 2000 characters.",
      example: "Wrong workplace",
    }),
  },
};
