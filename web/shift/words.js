/**
 * What intervals, reasons and operations are called, and how they look.
 *
 * @module
 */
import { duration, number, percent } from "../shared/formats.js";
import { hasMessage, t } from "../shared/messages.js";
import { clock } from "./zone.js";

/**
 * @typedef {object} Interval An interval of `GET /reports/v1/timeline`.
 * @property {string} from
 * @property {string} to
 * @property {number} minutes
 * @property {"OFF" | "PDOT" | "APT" | "AUST" | "ADET" | "ADOT"} bucket
 * @property {string | null} detail
 * @property {string | null} reason_code
 * @property {string | null} source
 * @property {{ order_no: string, asset_id: number, operation_no: string, phase: string, share: number }[]} operations
 *
 * @typedef {Pick<Interval, "bucket" | "detail" | "reason_code">} Cause
 */

/** The time elements in the order of a report. */
export const elements = /** @type {const} */ (["APT", "AUST", "ADET", "ADOT", "PDOT", "OFF"]);

/** @type {Readonly<Record<Interval["bucket"], import("../shared/state.js").Tone>>} */
const toneOfBucket = { APT: "run", AUST: "setup", ADET: "wait", ADOT: "wait", PDOT: "plan", OFF: "off" };

/** The tone of an interval or loss. @param {Pick<Interval, "bucket" | "detail">} cause */
export const toneOf = ({ bucket, detail }) =>
  detail === "fault" ? "stop" : detail === "unknown" ? "off" : toneOfBucket[bucket];

/** The pattern of an interval or loss: a class of shift.css. @param {Cause} cause */
export const patternOf = (cause) =>
  isUnexplained(cause) ? "unexplained" : cause.detail === "fault" ? "fault" : cause.bucket.toLowerCase();

/** True for lost time of which nobody has said why. @param {Cause} cause */
export const isUnexplained = ({ bucket, reason_code, detail }) =>
  (bucket === "ADOT" || bucket === "ADET") && reason_code === null && detail !== "unknown";

/** Names the state of an interval: Production, Fault. @param {Pick<Interval, "bucket" | "detail">} cause */
export const stateWords = ({ bucket, detail }) =>
  t(detail === null ? `shift.bucket_${bucket}` : `shift.detail_${detail}`);

/** Names state and reason: Paused, MACHINE. @param {Cause} cause */
export const causeWords = (cause) =>
  [
    stateWords(cause),
    cause.reason_code ?? (isUnexplained(cause) && cause.detail === "fault" ? t("shift.no_reason") : undefined),
  ].filter(Boolean).join(", ");

/** @param {{ order_no: string, operation_no: string }} operation */
export const operationName = ({ order_no, operation_no }) => `${order_no} / ${operation_no}`;

/** Writes minutes of a report as a duration. @param {number} minutes */
export const minutesWords = (minutes) => minutes === 0 ? "0 min" : duration(minutes * 60_000);

/**
 * Says all of an interval in a line.
 *
 * @param {Interval} interval
 * @param {string} zone
 */
export const intervalWords = (interval, zone) =>
  [
    `${clock(interval.from, zone)} – ${clock(interval.to, zone)}`,
    minutesWords(interval.minutes),
    causeWords(interval),
    ...interval.operations.map(operationName),
  ].join(", ");

/** Says how far a time is from its plan: 12 min late. @param {number} minutes */
export const varianceWords = (minutes) =>
  Math.abs(minutes) < 1
    ? t("shift.on_time")
    : t(minutes > 0 ? "shift.late" : "shift.early", { duration: minutesWords(Math.abs(minutes)) });

/** Writes a ratio, or a dash. @param {number | null | undefined} ratio @param {number} [digits] */
export const ratioWords = (ratio, digits = 1) => typeof ratio === "number" ? percent(ratio, digits) : "–";

/** Says why a ratio is null. @param {string | undefined} reason */
export const reasonWords = (reason) =>
  reason === undefined ? "" : hasMessage(`shift.reason_${reason}`) ? t(`shift.reason_${reason}`) : reason;

/** Says a warning of a report. @param {{ code: string, [member: string]: unknown }} warning */
export function warningWords({ code, ...more }) {
  const key = `shift.warning_${code}`;
  const values = Object.entries(more).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(", ") : typeof value === "number" ? number(value, 1) : String(value),
  ]);
  return hasMessage(key) ? t(key, Object.fromEntries(values)) : code;
}
