/**
 * The kinds of values that clients send and read: what a key, a quantity or an instant is, for all endpoints.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";

const controlCharacter = /\p{Cc}/u;

/** Characters as Postgres and JSON Schema count them: code points, not UTF-16 units. */
const length = (text: string) => [...text].length;

/**
 * What a key looks like, for the contract: no white space at its ends, no control characters, neither `.` nor `..`.
 * Written without looking around, which not every reader of patterns can.
 */
const keyPattern = (() => {
  const controls = String.raw`\u0000-\u001f\u007f-\u009f`;
  const any = `[^${controls}]`;
  const end = String.raw`[^\s${controls}]`;
  const endButPoint = String.raw`[^.\s${controls}]`;
  return String.raw`^(${endButPoint}(${any}*${end})?|\.${endButPoint}|\.${any}+${end})$`;
})();

/** The schema of a key in the contract, where that is written by hand. */
export const keySchema = { type: "string" as const, minLength: 1, maxLength: 64, pattern: keyPattern };

/** A name that goes into URLs: 1..64 characters, not padded, printable, not a segment that URL parsers remove. */
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

/** A count of pieces, 0..2^31-1. */
export const quantity = () => z.int().min(0).max(2_147_483_647);

/** A machine number, 1..2^31-1. */
export const assetId = () => z.int().min(1).max(2_147_483_647);

/** A duration in minutes, kept to a thousandth. */
export const minutes = () => z.number().min(0).max(999_999_999);

/** A duration that is added to others: a tenth of what their sum can be. */
export const addedMinutes = () => z.number().min(0).max(99_999_999);

const firstInstant = Date.parse("1970-01-01T00:00:00Z");
const lastInstant = Date.parse("9999-12-31T23:59:59.999Z");

/** An instant: RFC 3339 with an offset, years 1970-9999; it reaches the database in UTC. */
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

/** An instant as the API writes it. */
export const instantOut = () => z.iso.datetime({ precision: 3 });
