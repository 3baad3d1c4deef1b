/**
 * The kinds of values that clients send and read, for all endpoints: keys, quantities, instants, ids, versions.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";

const controlCharacter = /\p{Cc}/u;

/** Characters as Postgres and JSON Schema count them: code points, not UTF-16 units. */
const length = (text: string) => [...text].length;

/**
 * Pattern of a key in the contract: no white space at its ends, no control characters, neither `.` nor `..`. It has no
 * lookaround, because not every implementation of JSON Schema supports it.
 */
const keyPattern = (() => {
  const controls = String.raw`\u0000-\u001f\u007f-\u009f`;
  const any = `[^${controls}]`;
  const end = String.raw`[^\s${controls}]`;
  const endButDot = String.raw`[^.\s${controls}]`;
  return String.raw`^(${endButDot}(${any}*${end})?|\.${endButDot}|\.${any}+${end})$`;
})();

/** Schema of a key in the contract, for parameters whose schema is written by hand. */
export const keySchema = { type: "string" as const, minLength: 1, maxLength: 64, pattern: keyPattern };

/** A name that can stand in a URL: 1..64 printable characters, not padded, not a segment that URL parsers remove. */
export const key = () =>
  z.string()
    .refine((text) => text.length > 0 && length(text) <= 64, "must have 1 to 64 characters")
    .refine((text) => text === text.trim(), "must not begin or end with white space")
    .refine((text) => !controlCharacter.test(text) && text.isWellFormed(), "must not contain control characters")
    .refine((text) => text !== "." && text !== "..", "cannot be addressed in a URL")
    .openapi({ minLength: 1, maxLength: 64, pattern: keyPattern });

/** Free text of at most `max` characters. */
export const text = (max: number) =>
  z.string()
    .refine((text) => length(text) <= max, `must have at most ${max} characters`)
    .refine((text) => !text.includes("\0") && text.isWellFormed(), "must be storable text")
    .openapi({ maxLength: max });

/** IANA name of a time zone. The database knows which there are. */
export const timeZone = () =>
  z.string().max(64).regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/, "must be an IANA time zone such as Europe/Amsterdam")
    .openapi({ minLength: 1, maxLength: 64, pattern: "^[A-Za-z][A-Za-z0-9_+/-]*$" });

/** A count of pieces, 0..2^31-1. */
export const quantity = () => z.int().min(0).max(2_147_483_647);

/** A machine number, 1..2^31-1. */
export const assetId = () => z.int().min(1).max(2_147_483_647);

/** A duration in minutes, kept to a thousandth. */
export const minutes = () => z.number().min(0).max(999_999_999);

/** A duration that the database adds to others: at most a tenth of the largest sum. */
export const addedMinutes = () => z.number().min(0).max(99_999_999);

const firstInstant = Date.parse("1970-01-01T00:00:00Z");
const lastInstant = Date.parse("9999-12-31T23:59:59.999Z");

/** An instant: RFC 3339 with an offset, years 1970-9999. It reaches the database in UTC. */
export const instant = () =>
  z.iso.datetime({
    offset: true,
    abort: true,
    error: "must be an RFC 3339 date and time with an offset, such as 2026-11-22T07:30:00Z",
  })
    .refine((text) => /T\d\d:\d\d:\d\d/.test(text), "must have seconds")
    .refine(
      (text) => Date.parse(text) >= firstInstant && Date.parse(text) <= lastInstant,
      "must lie in the years 1970 to 9999",
    )
    .transform((text) => new Date(text).toISOString());

export const DecimalSign = z.enum(["point", "comma"]).openapi("DecimalSign", {
  description: "Decimal sign of numbers.",
  example: "comma",
});

/** Milliseconds since 1970. The minimum rejects seconds, which would silently be a time of January 1970. */
const epochMilliseconds = z.int()
  .min(100_000_000_000, "must be at least 100000000000 milliseconds since 1970: fewer look like seconds")
  .max(lastInstant, "must lie before the year 10000");

/** An instant, or milliseconds since 1970. It reaches the database in UTC. */
export const instantOrEpoch = () =>
  z.union([instant(), epochMilliseconds], {
    error: "must be an RFC 3339 date and time with an offset, or a whole number of milliseconds since 1970",
  }).transform((time) => new Date(time).toISOString());

/** An instant as the API answers it. */
export const instantOut = () => z.iso.datetime({ precision: 3 });

/** Fields that every resource has: its version, and when it was created and changed. */
export const versionFields = {
  version: z.int().min(1).openapi({ description: "Version of the resource, which each change increases.", example: 3 }),
  created_at: instantOut().openapi({
    description: "When the resource was created.",
    example: "2026-11-22T15:00:01.000Z",
  }),
  updated_at: instantOut().openapi({
    description: "When the resource last changed.",
    example: "2026-11-23T08:15:00.000Z",
  }),
};

/** Id of an event. */
export const eventId = (description: string) =>
  z.guid().openapi({ description, example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10" });

/** Id of a user in Supabase Auth. */
export const userId = (description: string) =>
  z.guid().openapi({ description, example: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01" });

/** The body of a PATCH: any of the fields, and at least one. */
export const patchOf = <Fields extends z.core.$ZodShape>(fields: Fields) =>
  z.strictObject(fields).partial().refine((patch) => Object.keys(patch).length > 0, {
    error: "must have at least one field",
    when: ({ issues }) => issues.length === 0,
  });

/** Optional fields of a report. */
export const reportFields = {
  occurred_at: instant().optional().openapi({
    description:
      "When it happened; the server's time by default. At most 60 seconds ahead of the server's clock, and " +
      "for machines and operators at most 31 days behind it, unless the plant sets another limit.",
    example: "2026-11-20T08:15:00Z",
  }),
  note: text(2000).optional().openapi({
    description: "Note for the event log, at most 2000 characters.",
    example: "Waiting for inspection",
  }),
  dry_run: z.boolean().optional().openapi({
    description: "True: the answer shows what would happen, and nothing changes.",
    example: false,
  }),
};
