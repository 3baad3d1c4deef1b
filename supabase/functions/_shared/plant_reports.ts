/**
 * Reports that dashboards and language models read: OEE, losses and what goes on now, with the parts of all reports.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Constants } from "./database.types.ts";
import { instant, instantOut, key, timeZone } from "./fields.ts";
import { operationKey } from "./operation.ts";

declare module "./database.ts" {
  interface Answers {
    report_oee: OeeReport;
    report_losses: LossReport;
    report_summary: Summary;
  }
}

export const minutesOut = (description: string, example: number) => z.number().openapi({ description, example });
export const ratio = (description: string, example: number) => z.number().nullable().openapi({ description, example });
export const count = (description: string, example: number) => z.int().openapi({ description, example });

export const workplaceName = () =>
  key().openapi({ description: "Name of the workplace.", example: "TruLaser 5060 (L76)" });

export const reportZone = timeZone().optional().openapi({
  description:
    "IANA time zone of days, weeks and months; by default that of the calendars, UTC when they have several. " +
    "In CSV, times are written in it, as `2026-11-23 09:15:00`; without it in UTC.",
  example: "Europe/Amsterdam",
});

export const reportWindow = {
  from: instant().optional().openapi({ description: "Begin of the window.", example: "2026-11-23T00:00:00Z" }),
  to: instant().optional().openapi({
    description: "End of the window, excluded, at most 400 days later. A window is cut at now.",
    example: "2026-11-30T00:00:00Z",
  }),
  shift_date: z.iso.date({ error: "must be a date such as 2026-11-24" }).optional().openapi({
    description: "Local date on which a shift begins: with shift_code, in place of from and to.",
    example: "2026-11-24",
  }),
  shift_code: key().optional().openapi({ description: "Code of the shift.", example: "EARLY" }),
  time_zone: reportZone,
};

/** A window is from and to, or a shift. */
export const isWindow = ({ from, to, shift_date, shift_code }: Record<string, unknown>) =>
  shift_date === undefined && shift_code === undefined
    ? from !== undefined && to !== undefined
    : shift_date !== undefined && shift_code !== undefined && from === undefined && to === undefined;

export const windowNeeded = {
  path: ["from"],
  error: "and to are needed, or shift_date and shift_code in their place",
  when: ({ issues }: { issues: readonly unknown[] }) => issues.length === 0,
};

export const timeKeys = ["workplace", "group", "shift", "day", "week", "month"];
export const allKeys = [...timeKeys, "operation", "order"];
export const Attribution = z.enum(Constants.public.Enums.attribution).openapi("Attribution", {
  description: "Where in time pieces are.",
  example: "prorated",
});

const LossElement = z.enum(["PDOT", "AUST", "ADET", "ADOT"]).openapi("LossElement", {
  description: "Time element that is no processing.",
  example: "ADET",
});

const LossCategory = z.enum(["PLANNED", "SETUP", "UNPLANNED", "IDLE", "UNKNOWN"]).openapi("LossCategory", {
  description: "Category of a loss.",
  example: "UNPLANNED",
});

const ReportAccess = z.enum(["all", "own"]).openapi("ReportAccess", {
  description: "all: the caller sees every workplace. own: the report holds only workplaces of the caller.",
  example: "own",
});

export const ReportScope = z.object({
  access: ReportAccess,
  workplace_names: z.array(workplaceName()).openapi({ description: "Workplaces that the report holds." }),
}).openapi("ReportScope", { description: "Workplaces of a report." });

export const frame = {
  from: instantOut().openapi({ description: "Begin of the window.", example: "2026-11-24T05:00:00.000Z" }),
  to: instantOut().openapi({
    description: "End of the window, as it was asked for.",
    example: "2026-11-24T13:00:00.000Z",
  }),
  complete: z.boolean().openapi({
    description: "False while the window reaches into the future: the report is cut at now.",
    example: true,
  }),
  time_zone: z.string().openapi({ description: "Time zone of days, weeks and months.", example: "Europe/Amsterdam" }),
  scope: ReportScope,
};

const ReportFrame = z.object(frame);
export type ReportFrame = z.infer<typeof ReportFrame>;

const ReportKey = z.object({
  workplace_name: workplaceName().optional(),
  workplace_group: key().nullable().optional().openapi({ description: "Group of workplaces.", example: "Laser" }),
  period: z.string().optional().openapi({
    description: "Day (2026-11-24), ISO week (2026-W48) or month (2026-11).",
    example: "2026-11-24",
  }),
  shift_date: z.iso.date().nullable().optional().openapi({
    description: "Local date on which the shift begins; null for what happens between shifts.",
    example: "2026-11-24",
  }),
  shift_code: key().nullable().optional().openapi({ description: "Code of the shift.", example: "EARLY" }),
  order_no: operationKey.order_no.optional(),
  asset_id: operationKey.asset_id.optional(),
  operation_no: operationKey.operation_no.optional(),
}).openapi("ReportKey", { description: "What the row is about: the members that `by` names." });

export const rowFields = {
  key: ReportKey,
  from: instantOut().openapi({ description: "Begin of the row.", example: "2026-11-24T05:00:00.000Z" }),
  to: instantOut().openapi({ description: "End of the row, cut at now.", example: "2026-11-24T13:00:00.000Z" }),
};

const element = (description: string, example: number) => z.number().nullable().openapi({ description, example });

const Elements = z.object({
  pot_min: element("Planned operation time: the shifts.", 480),
  pdot_min: element("Planned down time: breaks, closed time, planned stops.", 30),
  pbt_min: element("Planned busy time: pot_min - pdot_min.", 450),
  apt_min: minutesOut("Actual production time: processing.", 350),
  aust_min: minutesOut("Actual unit setup time.", 40),
  adet_min: element("Actual unit delay time: stopped while an operation was being worked on.", 40),
  adot_min: element("Actual unit down time: idle, unknown, or a fault without an operation.", 20),
}).openapi("TimeElements", {
  description:
    "Time elements of ISO 22400-2 in minutes. pbt_min = apt_min + aust_min + adet_min + adot_min. Null: see `reasons`.",
});

const piecesOf = (number: () => z.ZodNumber) =>
  z.object({
    pq: number().openapi({ description: "Pieces run, scrap included.", example: 380 }),
    gq: number().openapi({ description: "Good pieces.", example: 369 }),
    sq: number().openapi({ description: "Scrapped pieces.", example: 11 }),
  });

export const Pieces = piecesOf(() => z.number()).openapi("Pieces", {
  description: "Pieces; fractions where a report covers more than the row.",
});
export const WholePieces = piecesOf(() => z.int()).openapi("WholePieces", { description: "Pieces." });

export const Ratios = z.object({
  availability: ratio("APT / PBT.", 0.777778),
  effectiveness: ratio("Target time of the pieces / APT, of operations whose target is known.", 0.868571),
  quality_ratio: ratio("Good pieces / all pieces.", 0.971053),
  quality_weighted: ratio("The same, each piece with the weight of its target time.", 0.971053),
  oee: ratio("availability x effectiveness x quality_weighted.", 0.656),
  nee: ratio("Like oee, with setup as production.", 0.730971),
  teep: ratio("Like oee, of the whole window.", 0.205),
  utilisation_efficiency: ratio("APT / (APT + AUST + ADET).", 0.813953),
  allocation_efficiency: ratio("(APT + AUST + ADET) / PBT.", 0.955556),
  technical_efficiency: ratio("APT / (APT + ADET).", 0.897436),
  setup_ratio: ratio("AUST / (AUST + APT).", 0.102564),
  scrap_ratio: ratio("Scrapped pieces / all pieces.", 0.028947),
  throughput_per_h: ratio("Pieces per hour of APT + AUST + ADET.", 53.023256),
}).openapi("Ratios", { description: "Ratios of ISO 22400-2, to six decimals. Null: see `reasons`." });

export const detail = (description: string) => z.string().nullable().openapi({ description, example: "paused" });

export const lossFields = {
  bucket: LossElement,
  detail: detail("break, closed, planned_stop, planned_downtime, setup, fault, paused, blocked, idle or unknown."),
  reason_code: key().nullable().openapi({
    description: "Reason code of the stop, hold or downtime.",
    example: "MACHINE",
  }),
  minutes: minutesOut("Lost minutes.", 40),
  count: count("Number of stops; of stretches, for what has no cause of its own.", 1),
};

export const TimeLoss = z.object(lossFields).openapi("TimeLoss", { description: "Time that was not processing." });

const Warning = z.looseObject({
  code: z.string().openapi({ description: "Machine code of the warning.", example: "effectiveness_above_1" }),
}).openapi("ReportWarning", {
  description: "What a reader has to know beside the figures; docs/reports.md lists the codes.",
});

const OeeBucket = z.object({
  ...rowFields,
  elements: Elements,
  pieces: Pieces,
  ratios: Ratios,
  capped: z.object({
    effectiveness: ratio("effectiveness, at most 1.", 0.868571),
    oee: ratio("oee with that effectiveness, at most 1.", 0.656),
  }).openapi("CappedRatios", { description: "For displays that cannot show more than 100 %." }),
  coverage: ratio("Share of APT whose operations have a target: 1 = effectiveness and oee hold for all of it.", 1),
  partial: z.boolean().openapi({ description: "True when coverage lies between 0 and 1.", example: false }),
  losses: z.array(TimeLoss).openapi({ description: "Lost time by reason, the most first." }),
  minor_stops: z.object({
    count: count("Stops of the machine that were too short to be a downtime.", 0),
    minutes: minutesOut("Their minutes, which count as processing.", 0),
  }).openapi("MinorStops", { description: "Micro stops, by the machine's signals." }),
  outside: z.object({
    apt_min: minutesOut("Processing outside of planned busy time.", 0),
    aust_min: minutesOut("Setup outside of it.", 0),
    pq: z.number().openapi({ description: "Pieces run outside of it.", example: 0 }),
    gq: z.number().openapi({ description: "Good ones of them.", example: 0 }),
  }).openapi("OutsideWork", { description: "Work that is in no ratio." }),
  reasons: z.record(z.string(), z.string()).openapi({
    description: "For each ratio that is null, why: no_calendar, capacity_unknown, not_planned, no_target_time, " +
      "no_processing, no_pieces, no_work, not_of_a_workplace.",
    example: { oee: "no_target_time" },
  }),
  warnings: z.array(Warning).openapi({ description: "What a reader has to know beside the figures." }),
  inputs: z.object({
    runs: count("Runs.", 2),
    events: count("Reports of pieces of these operations.", 1),
    downtimes: count("Downtimes.", 0),
    calendar_version: z.int().nullable().openapi({
      description: "Version of the calendar; null for none or several.",
      example: 3,
    }),
  }).openapi("ReportInputs", { description: "What the figures are made of." }),
}).openapi("OeeBucket", { description: "One row of the report OEE." });

export const OeeReport = z.object({
  ...frame,
  attribution: Attribution,
  buckets: z.array(OeeBucket).openapi({ description: "The rows, in the order of their keys." }),
}).openapi("OeeReport", { description: "OEE, with what it is made of." });

export type OeeReport = z.infer<typeof OeeReport>;

export const LossReport = z.object({
  ...frame,
  buckets: z.array(
    z.object({
      ...rowFields,
      total_min: minutesOut("All lost minutes.", 130),
      losses: z.array(
        z.object({
          category: LossCategory,
          ...lossFields,
          share: ratio("Part of all lost minutes.", 0.307692),
          cumulative_share: ratio("Part of this and all larger ones.", 0.307692),
        }).openapi("RankedLoss", { description: "Time that was not processing, with its share." }),
      ).openapi({ description: "Lost time, the most first." }),
    }).openapi("LossBucket", { description: "One row of the report of losses." }),
  ).openapi({ description: "The rows, in the order of their keys." }),
}).openapi("LossReport", { description: "Lost time by category and reason." });

export type LossReport = z.infer<typeof LossReport>;

export const Summary = z.object({
  at: instantOut().openapi({ description: "When this was so.", example: "2026-11-24T09:30:00.000Z" }),
  time_zone: frame.time_zone,
  scope: ReportScope,
  today: z.object({
    date: z.iso.date().openapi({ description: "Local date.", example: "2026-11-24" }),
    from: instantOut().openapi({ description: "Begin of the date.", example: "2026-11-23T23:00:00.000Z" }),
  }).openapi("SummaryDay", { description: "The current day in the time zone." }),
  operations: z.object({
    by_status: z.object({
      PLANNED: count("Planned operations.", 31),
      RELEASED: count("Released operations.", 23),
      IN_PROGRESS: count("Running operations.", 7),
      ON_HOLD: count("Paused and blocked operations.", 4),
    }).openapi("OpenOperations", { description: "Open operations by status." }),
    running: count("Operations that run now.", 7),
    late: count("Open operations whose planned end has passed.", 4),
    blocked: count("Operations that a supervisor has to release.", 2),
    suspect: count("Operations that run for more than 12 hours.", 1),
    started_today: count("Operations that were started today.", 13),
    finished_today: count("Operations that were finished today.", 5),
  }).openapi("SummaryOperations", { description: "Operations." }),
  pieces_today: WholePieces,
  stops: z.object({
    open: count("Downtimes that last.", 1),
    unexplained: count("Downtimes without a reason.", 2),
  }).openapi("SummaryStops", { description: "Downtimes." }),
}).openapi("Summary", { description: "What goes on now: one call for a dashboard." });

export type Summary = z.infer<typeof Summary>;
