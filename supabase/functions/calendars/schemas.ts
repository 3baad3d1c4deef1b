/**
 * Calendars: when a plant plans to work.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Constants } from "../_shared/database.types.ts";
import type { Answer, Page } from "../_shared/database.ts";
import { instant, instantOut, key, patchOf, text, timeZone, versionFields } from "../_shared/fields.ts";
import { listQuery, prefix } from "../_shared/lists.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_calendar: Calendar;
    list_calendars: Page<Calendar>;
    create_calendar: Answer<Calendar>;
    update_calendar: Answer<Calendar>;
    delete_calendar: undefined;
    list_shifts: ShiftOccurrence[];
    list_calendar_exceptions: CalendarException[];
    put_calendar_exceptions: Answer<StoredExceptions>;
    delete_calendar_exception: undefined;
  }
}

const name = () => key().openapi({ description: "Name of the calendar.", example: "Two shifts" });

/** A time of day to the minute, on local clocks. */
const clock = (description: string, example: string) =>
  z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a local time such as 06:00").openapi({ description, example });

/** A local date, as the database takes it. */
const date = (description: string, example: string) =>
  z.iso.date({ error: "must be a date such as 2026-11-24" })
    .refine((text) => text >= "1970-01-01" && text < "2200-01-01", "must lie in the years 1970 to 2199")
    .openapi({ description, example });

const zone = () =>
  timeZone().openapi({ description: "IANA name of the time zone of the shifts.", example: "Europe/Amsterdam" });

export const Break = z.strictObject({
  start: clock("Local time at which the break begins.", "09:30"),
  end: clock("Local time at which it ends.", "10:00"),
}).openapi("Break", { description: "A break of a shift, on local clocks." });

const shiftFields = {
  shift_code: key().openapi({ description: "Code of the shift.", example: "EARLY" }),
  weekdays: z.array(z.int().min(1).max(7)).min(1).max(7).openapi({
    description: "Days on which the shift begins: 1 = Monday to 7 = Sunday.",
    example: [1, 2, 3, 4, 5],
  }),
  start_time: clock("Local time at which the shift begins.", "06:00"),
  end_time: clock("Local time at which it ends: on the next day unless it is later than the start.", "14:00"),
  breaks: z.array(Break).max(20).openapi({
    description: "Breaks within the shift.",
    example: [{ start: "09:30", end: "10:00" }],
  }),
  valid_from: date("First date on which the shift begins.", "2026-01-01"),
  valid_to: date("Last date on which it begins; null = until further notice.", "2026-12-31").nullable(),
};

export const Shift = z.object(shiftFields).openapi("Shift", {
  description: "A pattern of shifts, with the dates on which it holds.",
});

const ShiftCreate = z.strictObject({
  ...shiftFields,
  breaks: shiftFields.breaks.optional(),
  valid_to: shiftFields.valid_to.optional(),
}).openapi("ShiftCreate", { description: "A new pattern of shifts." });

export const Calendar = z.object({
  name: name(),
  time_zone: zone(),
  shifts: z.array(Shift).openapi({ description: "Shifts in the order of valid_from, closed ones included." }),
  ...versionFields,
}).openapi("Calendar", { description: "When workplaces plan to work. A change of an exception changes its version." });

export type Calendar = z.infer<typeof Calendar>;

const newShifts = z.array(ShiftCreate).max(50);

export const CalendarCreate = z.strictObject({
  name: name(),
  time_zone: zone(),
  shifts: newShifts.openapi({ description: "The shifts; none by default." }).optional(),
}).openapi("CalendarCreate", {
  description: "A new calendar.",
  example: {
    name: "Two shifts",
    time_zone: "Europe/Amsterdam",
    shifts: [
      {
        shift_code: "EARLY",
        weekdays: [1, 2, 3, 4, 5],
        start_time: "06:00",
        end_time: "14:00",
        breaks: [{ start: "09:30", end: "10:00" }],
        valid_from: "2026-01-01",
      },
      {
        shift_code: "LATE",
        weekdays: [1, 2, 3, 4, 5],
        start_time: "14:00",
        end_time: "22:00",
        breaks: [{ start: "17:30", end: "18:00" }],
        valid_from: "2026-01-01",
      },
    ],
  },
});

export const CalendarUpdate = patchOf({
  time_zone: zone(),
  shifts: newShifts.openapi({
    description: "The shifts from the first of their `valid_from` on; an empty list ends all shifts today. Earlier " +
      "patterns are closed on the day before and keep the past.",
  }),
}).openapi("CalendarUpdate", {
  description: "New values of the calendar.",
  minProperties: 1,
  example: {
    shifts: [{
      shift_code: "DAY",
      weekdays: [1, 2, 3, 4],
      start_time: "07:00",
      end_time: "16:00",
      breaks: [{ start: "12:00", end: "12:30" }],
      valid_from: "2027-01-01",
    }],
  },
});

export const ExceptionKind = z.enum(Constants.public.Enums.exception_kind).openapi("ExceptionKind", {
  description: "CLOSED: shifts of the date do not take place. EXTRA: one more shift does.",
  example: "CLOSED",
});

const exceptionFields = {
  kind: ExceptionKind,
  shift_code: key().nullable().openapi({
    description:
      "CLOSED: the shift that is closed, null = all shifts of the date. EXTRA: code of the shift, null = EXTRA.",
    example: null,
  }),
  start_time: clock("CLOSED: local time from which it is closed, null = the whole shift. EXTRA: start.", "06:00")
    .nullable(),
  end_time: clock("Local time at which it ends, together with start_time.", "12:00").nullable(),
  note: text(500).nullable().openapi({ description: "Note of at most 500 characters.", example: "Christmas" }),
};

const exceptionDate = () => date("Local date on which the shifts begin.", "2026-12-25");

export const CalendarException = z.object({ date: exceptionDate(), ...exceptionFields }).openapi("CalendarException", {
  description: "A date that is unlike the pattern.",
});

export type CalendarException = z.infer<typeof CalendarException>;

const optionalFields = {
  kind: ExceptionKind,
  ...z.object(exceptionFields).omit({ kind: true }).partial().shape,
};

/** Times come together, and an additional shift needs them. */
const hasTimes = (
  { kind, start_time, end_time }: { kind: string; start_time?: string | null; end_time?: string | null },
) => (start_time ?? null) === null ? (end_time ?? null) === null && kind !== "EXTRA" : (end_time ?? null) !== null;

const timesNeeded = {
  path: ["start_time"],
  error: "and end_time are given together, and an EXTRA shift needs them",
};

export const ExceptionPut = z.strictObject(optionalFields).refine(hasTimes, timesNeeded).openapi("ExceptionPut", {
  description: "What is unusual about the date.",
  example: { kind: "CLOSED", note: "Christmas" },
});

export const ExceptionsPost = z.strictObject({
  exceptions: z.array(
    z.strictObject({ date: exceptionDate(), ...optionalFields }).refine(hasTimes, timesNeeded)
      .openapi("ExceptionOfDate", { description: "What is unusual about a date." }),
  ).min(1).max(400).openapi({ description: "1 to 400 exceptions, at most one for each date." }),
}).openapi("ExceptionsPost", {
  description: "Exceptions, each in place of the one of its date.",
  example: { exceptions: [{ date: "2026-12-25", kind: "CLOSED", note: "Christmas" }] },
});

export const StoredExceptions = z.object({
  calendar_name: name(),
  version: versionFields.version.openapi({ description: "New version of the calendar, its ETag." }),
  exceptions: z.array(CalendarException).openapi({ description: "The exceptions as they are stored, by date." }),
}).openapi("StoredExceptions", { description: "Exceptions that were stored." });

export type StoredExceptions = z.infer<typeof StoredExceptions>;

const Span = z.object({
  from: instantOut().openapi({ description: "Begin.", example: "2026-11-24T08:30:00.000Z" }),
  to: instantOut().openapi({ description: "End.", example: "2026-11-24T09:00:00.000Z" }),
}).openapi("Span", { description: "A span of time, its end excluded." });

const local = (description: string, example: string) => z.string().openapi({ description, example });

export const ShiftOccurrence = z.object({
  shift_date: date("Local date on which the shift begins.", "2026-11-24"),
  shift_code: shiftFields.shift_code,
  from: instantOut().openapi({ description: "Begin of the shift.", example: "2026-11-24T05:00:00.000Z" }),
  to: instantOut().openapi({ description: "End of the shift.", example: "2026-11-24T13:00:00.000Z" }),
  from_local: local("Begin on local clocks.", "2026-11-24T06:00"),
  to_local: local("End on local clocks.", "2026-11-24T14:00"),
  is_extra: z.boolean().openapi({ description: "True for the shift of an EXTRA exception.", example: false }),
  breaks: z.array(Span).openapi({ description: "Breaks." }),
  closed: z.array(Span).openapi({ description: "What a CLOSED exception closes of it." }),
  length_min: z.number().openapi({
    description: "Minutes from begin to end: an hour more or less in the nights when clocks change.",
    example: 480,
  }),
  planned_min: z.number().openapi({ description: "Minutes without breaks and closed time.", example: 450 }),
}).openapi("ShiftOccurrence", { description: "A shift as it takes place." });

export type ShiftOccurrence = z.infer<typeof ShiftOccurrence>;

export const CalendarKey = z.object({ name: name() });

export const ExceptionKey = CalendarKey.extend({ date: exceptionDate() });

export const CalendarQuery = z.strictObject({ q: prefix("Prefix of the name, in any case.", "two") }).extend(listQuery);

export const ShiftQuery = z.strictObject({
  from: instant().openapi({ description: "Begin of the window.", example: "2026-11-24T00:00:00Z" }),
  to: instant().openapi({ description: "End of the window, at most 400 days later.", example: "2026-12-01T00:00:00Z" }),
});

export const ExceptionQuery = z.strictObject({
  from: date("First date.", "2026-01-01"),
  to: date("Last date.", "2026-12-31"),
}).partial();
