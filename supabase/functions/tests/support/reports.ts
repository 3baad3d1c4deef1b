/**
 * Support for the tests of reports: workplaces with a calendar, operations with their story, and the reports themselves.
 *
 * @module
 */
import {
  type Answer,
  assertEquals,
  type Client,
  newOperation,
  newWorkplace,
  type Operation,
  type OperationWithActions,
  type ReportedEvent,
  server,
  unique,
} from "./harness.ts";
import { type Action, reportOne } from "./floor.ts";
import type { LossReport, OeeReport } from "../../_shared/plant_reports.ts";
import type { ScrapReport, Timeline } from "../../reports/schemas.ts";

export type Bucket = OeeReport["buckets"][number];
export type Interval = Timeline["intervals"][number];

/** The day of most stories: a Friday that is over. */
export const day = "2026-11-20";

/** That day at this time of day, in UTC; a date before the time is another day. */
export const on = (time: string) => new Date(time.includes("T") ? time : `${day}T${time}Z`).toISOString();

/** A zone in which it is about noon: what a test does now is of today at any hour. */
export function zoneOfNoon(): string {
  const ahead = 12 - new Date().getUTCHours();
  // the signs of these names are those of POSIX
  return ahead === 0 ? "Etc/GMT" : `Etc/GMT${ahead > 0 ? "-" : "+"}${Math.abs(ahead)}`;
}

/** A shift: code, local begin and end, each day. */
export const shift = (
  shift_code: string,
  start_time: string,
  end_time: string,
  more: Record<string, unknown> = {},
) => ({
  ...{ shift_code, start_time, end_time, weekdays: [1, 2, 3, 4, 5, 6, 7], valid_from: "2025-01-01" },
  ...more,
});

/** Creates a calendar and returns its name. */
export async function newCalendar(shifts: unknown[], time_zone = "UTC"): Promise<string> {
  const name = unique("Calendar");
  const { status, text } = await server.post("/calendars/v1", { name, time_zone, shifts });
  assertEquals(status, 201, text);
  return name;
}

/** Creates a workplace of these fields, with a calendar of these shifts unless there are none, and returns its name. */
export async function newPlace(
  shifts: unknown[] | null,
  fields: Record<string, unknown> = {},
  time_zone?: string,
): Promise<string> {
  const name = newWorkplace();
  const calendar_name = shifts === null ? null : await newCalendar(shifts, time_zone);
  const { status, text } = await server.post("/workplaces/v1", { name, calendar_name, ...fields });
  assertEquals(status, 201, text);
  return name;
}

/** What happened to an operation: time, action, and what goes with it. */
export type Story = [time: string, action: Action, more?: Record<string, unknown>][];

/** Creates an operation at the workplace and reports its story. */
export async function happened(
  workplace_name: string,
  plan: Partial<Operation>,
  story: Story,
): Promise<OperationWithActions & { events: ReportedEvent[] }> {
  const operation = await newOperation({ workplace_name, qty_desired: null, ...plan });
  const events: ReportedEvent[] = [];
  for (const [time, action, more] of story) {
    events.push(await reportOne(operation, action, { occurred_at: on(time), ...more }));
  }
  return { ...operation, events };
}

type Query = Record<string, string | number | string[] | undefined>;

/** Requests a report, which must succeed. */
async function reportOf<Report>(name: string, query: Query, client: Client): Promise<Report> {
  const answer: Answer<Report> = await client.get<Report>(`/reports/v1/${name}`, { query });
  assertEquals(answer.status, 200, answer.text);
  return answer.body;
}

export const oee = (query: Query, client = server) => reportOf<OeeReport>("oee", query, client);
export const timeline = (query: Query, client = server) => reportOf<Timeline>("timeline", query, client);
export const losses = (query: Query, client = server) => reportOf<LossReport>("losses", query, client);
export const scrap = (query: Query, client = server) => reportOf<ScrapReport>("scrap", query, client);

/** The only row of OEE of a workplace and window. */
export async function oeeOf(workplace_name: string, from: string, to: string, more: Query = {}): Promise<Bucket> {
  const { buckets } = await oee({ workplace_name, from: on(from), to: on(to), ...more });
  assertEquals(buckets.length, 1);
  return buckets[0] as Bucket;
}

/** Intervals of a timeline as one line each: local time of day, bucket, detail, reason. */
export const linesOf = (intervals: Interval[]) =>
  intervals.map(({ from_local, to_local, bucket, detail, reason_code }) =>
    [from_local.slice(11, 16), to_local.slice(11, 16), bucket, detail, reason_code].filter((part) => part !== null)
      .join(" ")
  );

/** Some numbers of a row, by the names that time.md has for them. */
export const figures = ({ elements: e, ratios: r }: Bucket) => ({
  PBT: e.pbt_min,
  APT: e.apt_min,
  AUST: e.aust_min,
  ADET: e.adet_min,
  ADOT: e.adot_min,
  A: r.availability,
  E: r.effectiveness,
  Q: r.quality_ratio,
  weighted: r.quality_weighted,
  OEE: r.oee,
});
