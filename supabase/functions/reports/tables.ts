/**
 * Reports as tables: the rows of each in CSV. Members of objects are columns of their own.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Page } from "../_shared/database.ts";
import type { ReportTable } from "../_shared/csv.ts";
import { LossReport, OeeReport, type ReportFrame, Summary } from "../_shared/plant_reports.ts";
import { OperationPerformance, ScrapReport, Timeline } from "./schemas.ts";

/** Describes the table of a report. */
const tableOf = <Report, Row extends z.ZodObject>(
  name: string,
  row: Row,
  rowsOf: (report: Report) => z.output<Row>[],
): ReportTable<Report, Row> => ({ name, row, rowsOf, hasTimeZone: true });

/** Returns the members of an object as columns, whose names begin with the object's. */
const prefixed = <Name extends string, Members extends object>(name: Name, members: Members) =>
  Object.fromEntries(Object.entries(members).map(([member, value]) => [`${name}_${member}`, value])) as {
    [Member in keyof Members & string as `${Name}_${Member}`]: Members[Member];
  };

/** Last columns of a report: whether its window is over, and whether it holds the whole plant. */
const frameColumns = {
  complete: LossReport.shape.complete,
  access: LossReport.shape.scope.shape.access,
};

const frameOf = ({ complete, scope: { access } }: Pick<ReportFrame, "complete" | "scope">) => ({ complete, access });

const { key, elements, pieces, ratios, capped, minor_stops, outside, inputs, losses: _, ...figures } =
  OeeReport.shape.buckets.element.shape;

/** OEE: a row per bucket. Its losses are a report of their own. */
export const oeeTable = tableOf(
  "oee",
  z.object({
    ...key.shape,
    from: figures.from,
    to: figures.to,
    ...ratios.shape,
    ...prefixed("capped", capped.shape),
    coverage: figures.coverage,
    partial: figures.partial,
    ...elements.shape,
    ...pieces.shape,
    ...prefixed("minor_stops", minor_stops.shape),
    ...prefixed("outside", outside.shape),
    ...inputs.shape,
    reasons: figures.reasons,
    warnings: figures.warnings,
    ...frameColumns,
  }),
  (report: OeeReport) =>
    report.buckets.map((
      { key, ratios, capped, elements, pieces, minor_stops, outside, inputs, losses: _, ...figures },
    ) => ({
      ...key,
      ...figures,
      ...ratios,
      ...prefixed("capped", capped),
      ...elements,
      ...pieces,
      ...prefixed("minor_stops", minor_stops),
      ...prefixed("outside", outside),
      ...inputs,
      ...frameOf(report),
    })),
);

const { operations, slots, ...interval } = Timeline.shape.intervals.element.shape;
const [places] = slots.options;

/** Timeline: a row per interval. */
export const timelineTable = tableOf(
  "timeline",
  z.object({
    workplace_name: Timeline.shape.workplace_name,
    ...interval,
    operations,
    ...prefixed("slots", z.object(places.shape).partial().shape),
    ...frameColumns,
  }),
  (report: Timeline) =>
    report.intervals.map(({ slots, ...interval }) => ({
      workplace_name: report.workplace_name,
      ...interval,
      ...slots === null ? {} : prefixed("slots", slots),
      ...frameOf(report),
    })),
);

const lossBucket = LossReport.shape.buckets.element.shape;

/** Losses: a row per category and reason of each bucket. */
export const lossTable = tableOf(
  "losses",
  z.object({
    ...key.shape,
    from: lossBucket.from,
    to: lossBucket.to,
    ...lossBucket.losses.element.shape,
    total_min: lossBucket.total_min,
    ...frameColumns,
  }),
  (report: LossReport) =>
    report.buckets.flatMap(({ key, losses, ...bucket }) =>
      losses.map((loss) => ({ ...key, ...bucket, ...loss, ...frameOf(report) }))
    ),
);

const scrapBucket = ScrapReport.shape.buckets.element.shape;

/** Scrap: a row per reason of each bucket, with the figures of the bucket as `total_...`. */
export const scrapTable = tableOf(
  "scrap",
  z.object({
    ...key.shape,
    from: scrapBucket.from,
    to: scrapBucket.to,
    ...scrapBucket.scrap.element.shape,
    ...prefixed("total", {
      ...scrapBucket.pieces.shape,
      scrap_ratio: scrapBucket.scrap_ratio,
      share: scrapBucket.share,
    }),
    ...frameColumns,
  }),
  (report: ScrapReport) =>
    report.buckets.flatMap(({ key, from, to, pieces, scrap_ratio, share, scrap }) =>
      scrap.map((reason) => ({
        ...key,
        ...{ from, to },
        ...reason,
        ...prefixed("total", { ...pieces, scrap_ratio, share }),
        ...frameOf(report),
      }))
    ),
);

const {
  pieces: operationPieces,
  setup,
  processing,
  lead,
  reasons,
  ...operation
} = OperationPerformance.shape;

/** Operations: a row per operation. */
export const operationTable = tableOf(
  "operations-report",
  z.object({
    ...operation,
    ...operationPieces.shape,
    ...prefixed("setup", setup.shape),
    ...prefixed("processing", processing.shape),
    ...prefixed("lead", lead.shape),
    reasons,
    ...frameColumns,
  }),
  ({ report, items }: Page<OperationPerformance> & { report: ReportFrame }) =>
    items.map(({ pieces, setup, processing, lead, ...operation }) => ({
      ...operation,
      ...pieces,
      ...prefixed("setup", setup),
      ...prefixed("processing", processing),
      ...prefixed("lead", lead),
      ...frameOf(report),
    })),
);

const { by_status, ...counts } = Summary.shape.operations.shape;

/** Summary: one row, so that the rows of several moments are a table. */
export const summaryTable = tableOf(
  "summary",
  z.object({
    at: Summary.shape.at,
    date: Summary.shape.today.shape.date,
    ...by_status.shape,
    ...counts,
    ...Summary.shape.pieces_today.shape,
    ...prefixed("stops", Summary.shape.stops.shape),
    access: frameColumns.access,
  }),
  ({ at, today, operations: { by_status, ...counts }, pieces_today, stops, scope }: Summary) => [{
    at,
    date: today.date,
    ...by_status,
    ...counts,
    ...pieces_today,
    ...prefixed("stops", stops),
    access: scope.access,
  }],
);
