/**
 * What a card shows of a workplace, as words: cards whose words are the same are not drawn again.
 *
 * @module
 */
import { duration, number, percent, time } from "../shared/formats.js";
import { t } from "../shared/messages.js";

/** @typedef {import("../shared/state.js").Tone} Tone */

/** @type {Readonly<Record<string, Tone>>} */
const tones = Object.freeze({
  running: "run",
  setup: "setup",
  paused: "wait",
  blocked: "wait",
  idle: "wait",
  down: "stop",
  unknown: "off",
  off_shift: "off",
});

/** States in the order of the counts at the top. */
export const states = Object.freeze(Object.keys(tones));

/** The tone of a state. @param {string} state @returns {Tone} */
export const toneOf = (state) => tones[state] ?? "off";

const minuteMs = 60_000;

/**
 * @typedef {object} Clock
 * @property {number} now Time of the server, milliseconds since 1970.
 * @property {boolean} isSilent True when nothing was heard for too long: then no duration goes on.
 *
 * @typedef {object} OperationWords
 * @property {string} key
 * @property {string} order
 * @property {string} what
 * @property {string} pieces
 * @property {string} scrap
 * @property {number} done Percent of the pieces.
 * @property {number | null} expected Percent of the planned time that has passed; null without one.
 * @property {string} spent
 * @property {boolean} isOver
 * @property {string} end
 * @property {boolean} isLate
 */

/** @param {any} operation */
export const keyOf = ({ order_no, asset_id, operation_no }) => `${order_no}/${asset_id}/${operation_no}`;

/** @param {any} operation */
export const orderOf = ({ order_no, operation_no }) => `${order_no} · ${operation_no}`;

/** @param {any} operation */
export const whatOf = ({ activity_description, activity_code }) => activity_description ?? activity_code ?? "";

/** Time since an instant, as long as the screen knows that it goes on. @param {string} since @param {Clock} clock */
export function elapsed(since, { now, isSilent }) {
  return isSilent ? t("board.since", { time: moment(since, now) }) : duration(now - Date.parse(since));
}

/** An instant as time of the day; of another day with its date. @param {string} instant @param {number} now */
function moment(instant, now) {
  const date = new Date(instant);
  if (date.toDateString() === new Date(now).toDateString()) return time(date);
  return `${new Intl.DateTimeFormat(document.documentElement.lang, { weekday: "short" }).format(date)} ${time(date)}`;
}

/**
 * @param {any} operation
 * @param {Clock} clock
 * @param {number} readAt Time of the server when the operation was read.
 * @returns {OperationWords}
 */
function runningWords(operation, clock, readAt) {
  const { phase, qty_desired, qty_good, qty_scrap, planned_end_at, expected_end_at } = operation;
  const isSetup = phase === "SETUP";
  const targetMin = isSetup ? operation.t_target_setup_min : operation.t_target_processing_min;
  const readMin = (isSetup ? operation.t_actual_setup_min : operation.t_actual_processing_min) ?? 0;
  const spentMs = readMin * minuteMs + Math.max(0, clock.now - readAt);
  const targetMs = (targetMin ?? 0) * minuteMs;
  const end = expected_end_at ?? planned_end_at;
  return {
    key: keyOf(operation),
    order: orderOf(operation),
    what: whatOf(operation),
    pieces: qty_desired === null
      ? t("board.pieces", { count: qty_good })
      : t("board.pieces_of", { good: qty_good, desired: qty_desired }),
    scrap: qty_scrap > 0 ? t("board.scrap", { count: qty_scrap }) : "",
    done: qty_desired ? Math.min(100, Math.round(100 * qty_good / qty_desired)) : 0,
    expected: targetMs > 0 && !clock.isSilent ? Math.min(100, Math.round(100 * spentMs / targetMs)) : null,
    spent: clock.isSilent
      ? ""
      : targetMs > 0
      ? t("board.spent_of", { spent: duration(spentMs), target: duration(targetMs) })
      : duration(spentMs),
    isOver: targetMs > 0 && spentMs > targetMs,
    end: end === null
      ? ""
      : expected_end_at === null
      ? t("board.planned_end", { time: moment(end, clock.now) })
      : t("board.expected_end", { time: moment(end, clock.now) }),
    isLate: planned_end_at !== null && Math.max(clock.now, Date.parse(end)) > Date.parse(planned_end_at),
  };
}

/** @param {any} operation @param {number} now */
function nextWords(operation, now) {
  const { planned_start_at, planned_end_at, status, hold_kind } = operation;
  return {
    key: keyOf(operation),
    order: orderOf(operation),
    what: whatOf(operation),
    at: planned_start_at === null ? "" : moment(planned_start_at, now),
    state: status === "ON_HOLD" ? t(`board.hold_${hold_kind}`) : status === "PLANNED" ? t("board.not_released") : "",
    isLate: planned_end_at !== null && Date.parse(planned_end_at) < now,
  };
}

/** @param {any} oee */
function oeeWords(oee) {
  if (!oee) return null;
  const part = (/** @type {number | null} */ ratio) => ratio === null ? "–" : percent(ratio);
  return {
    total: part(oee.oee),
    why: oee.oee === null ? t(`board.no_oee_${oee.reasons.oee ?? "other"}`) : "",
    tone: /** @type {Tone} */ (oee.oee === null ? "off" : oee.oee >= 0.75 ? "run" : oee.oee >= 0.5 ? "wait" : "stop"),
    parts: [
      { key: "availability", value: part(oee.availability) },
      { key: "effectiveness", value: part(oee.effectiveness) },
      { key: "quality", value: part(oee.quality_weighted) },
    ],
    losses: /** @type {any[]} */ (oee.losses).slice(0, 3).map(({ detail, reason_code, minutes, bucket }) => ({
      key: `${bucket} ${detail} ${reason_code}`,
      name: reasonOf(reason_code) ?? t(`board.loss_${detail ?? "other"}`),
      time: duration(minutes * minuteMs),
    })),
  };
}

/** Why a workplace stands, as far as somebody said. @param {any} place @param {boolean} isPlanned */
function whyWords({ state, stop, next }, isPlanned) {
  if (stop !== null) {
    return stop.reason_description ?? stop.reason_code ?? (isPlanned ? "" : t("board.unexplained"));
  }
  if (state !== "paused" && state !== "blocked") return "";
  const held = next.find((/** @type {any} */ { hold_kind }) => hold_kind === state.toUpperCase());
  return reasonOf(held?.hold_reason_code) ?? "";
}

/** A reason that says something. @param {string | null | undefined} code */
const reasonOf = (code) => code === "UNSPECIFIED" ? undefined : code ?? undefined;

/**
 * Returns what the card of a workplace shows.
 *
 * @param {any} place A workplace of the board.
 * @param {any} oee Its OEE; undefined while it is not known.
 * @param {Clock} clock
 * @param {number} readAt Time of the server when the board was read.
 */
export function wordsOf(place, oee, clock, readAt) {
  const { name, state, since, shift, next_shift_at, stop, running, running_count, next } = place;
  const isPlanned = state === "down" && stop?.category === "PLANNED";
  const tone = isPlanned ? "plan" : toneOf(state);
  const isUnexplained = state === "down" && !isPlanned && stop?.reason_code === null;
  return {
    name,
    state,
    tone,
    isUnexplained,
    isSilent: clock.isSilent,
    word: isPlanned ? t("board.planned_stop") : t(`board.state_${state}`),
    since: since === null ? "" : elapsed(since, clock),
    why: whyWords(place, isPlanned),
    pause: shift?.break_until ? t("board.break_until", { time: moment(shift.break_until, clock.now) }) : "",
    nextShift: next_shift_at === null ? "" : t("board.next_shift", { time: moment(next_shift_at, clock.now) }),
    running: /** @type {any[]} */ (running).slice(0, 2).map((one) => runningWords(one, clock, readAt)),
    more: running_count > 2 ? t("board.more_running", { count: running_count - 2 }) : "",
    next: /** @type {any[]} */ (next).map((one) => nextWords(one, clock.now)),
    oee: oeeWords(oee),
  };
}

/**
 * Returns what the list of late operations shows.
 *
 * @param {any} late
 * @param {Clock} clock
 */
export function lateWords(late, clock) {
  return late.operations.map((/** @type {any} */ operation) => ({
    key: keyOf(operation),
    order: orderOf(operation),
    what: whatOf(operation),
    place: operation.workplace_name,
    by: elapsed(operation.planned_end_at, clock),
    pieces: operation.qty_desired === null ? "" : t("board.pieces_of", {
      good: number(operation.qty_good),
      desired: number(operation.qty_desired),
    }),
  }));
}
