/**
 * The lifecycle of operations as the shop floor has it: who may do what when, quantities, tolerance, runs and their
 * times, reversals. Pure, and written from the specification, not from the SQL: what it answers is compared with the API.
 *
 * @module
 */
import {
  type Action,
  isBlocked,
  leastRank,
  lifecycle,
  operator,
  type State,
  type Status,
  statusOf as statusOfState,
  supervisor,
  target,
} from "./lifecycle_table.ts";

export { type Action, actions, operator, type Status, supervisor } from "./lifecycle_table.ts";
export type Phase = "SETUP" | "PROCESSING";

/** Times are milliseconds since 1970; `start` and `end` are what a CORRECT states. */
export interface Report {
  action: Action;
  at?: number;
  phase?: Phase;
  good?: number;
  scrap?: number;
  reason?: string;
  id?: string;
  reverses?: string;
  start?: number;
  end?: number;
}
export interface Logged extends Report {
  at: number;
  good: number;
  scrap: number;
  before: Status;
  after: Status;
}
export interface Operation {
  state: State;
  reason?: string;
  desired?: number;
  tolerance: number;
  good: number;
  scrap: number;
  start?: number;
  end?: number;
  /** `isLast`: closed by what ended the operation. */
  runs: { phase: Phase; from: number; to?: number; isLast?: boolean }[];
  log: Logged[];
  version: number;
}
/** Operations at one workplace, whose capacity they share. */
export interface Plant {
  capacity?: number;
  operations: Operation[];
}
/** When the server heard of the event with this number: what it takes as the time of one that states none. */
export type Clock = (seq: number) => number;

export class Refusal extends Error {
  constructor(readonly status: number, readonly code: string) {
    super(code);
  }
}

/** Reason codes that there are. */
export const reasons = [
  "STOP/BREAK",
  "SCRAP/DIMENSION",
  "SHORTFALL/MATERIAL",
  "HOLD/QUALITY",
  "CANCEL/ORDER_CANCELLED",
];
const unspecified = ["SHORTFALL/UNSPECIFIED", "HOLD/UNSPECIFIED", "CANCEL/UNSPECIFIED"];

export const statusOf = ({ state }: Pick<Operation, "state">): Status => statusOfState(state);

const openRun = ({ runs }: Operation) => runs.find(({ to }) => to === undefined);
const most = ({ desired, tolerance }: Operation) =>
  desired === undefined ? Infinity : Math.floor(desired * (100 + tolerance) / 100);
export const hasQuantities = (o: Operation) => o.scrap >= 0 && o.good >= 0 && o.good <= most(o);
export const refuse = (status: number, code: string): never => {
  throw new Refusal(status, code);
};

/** What keeps someone of this rank from the action now, before its details are looked at. */
export function blockedBy({ capacity, operations }: Plant, which: number, rank: number, action: Action, phase?: Phase) {
  const operation = operations[which]!;
  if (rank < leastRank(action, operation.state)) return "forbidden";
  if (action === "START" && isBlocked(operation.state)) return "operation_blocked";
  if (action === "START" && openRun(operation)?.phase === (phase ?? "PROCESSING")) return "already_running";
  if (target(action, operation.state) === undefined) return "invalid_state_transition";
  const others = operations.filter((other) => other !== operation && other.state === "IN_PROGRESS").length;
  if (action === "START" && !openRun(operation) && others >= (capacity ?? Infinity)) return "workplace_busy";
}

/** Whether an operator may make the correction: an earlier start of what is not finished, or scrap of good pieces. */
function isOperatorsCorrection(o: Operation, { action, good = 0, scrap = 0, start, end }: Report, clock: Clock) {
  if (action !== "CORRECT" || o.start === undefined || o.state === "FINISHED" || o.state === "CANCELLED") return false;
  const movesStart = start !== undefined && start !== o.start;
  const reportedAt = clock(o.log.findIndex((event) => event.action === "START") + 1);
  const isEarlier = start !== undefined && start < o.start && start >= reportedAt - 24 * 3_600_000;
  return (movesStart || scrap > 0) && (!movesStart || isEarlier) && good + scrap === 0 && scrap >= 0 &&
    (end === undefined || end === o.end);
}

/** Whether a START finds room at the workplace: what runs now decides, it is decided later, or there is none. */
export type Room = "now" | "later" | "none";

const longAgoMs = 31 * 24 * 3_600_000;

/** The plant after somebody of this rank has reported this; throws the {@link Refusal} when they may not. */
export function act(
  before: Plant,
  which: number,
  rank: number,
  report: Report,
  clock: Clock,
  room: Room = "now",
): Plant {
  const plant = structuredClone(before);
  const o = plant.operations[which]!;
  const { action, phase = "PROCESSING" } = report;
  const { capacity, operations } = plant;
  const judged = { operations, capacity: { now: capacity, later: undefined, none: 0 }[room] };
  const isOperators = rank === operator && isOperatorsCorrection(o, report, clock);
  const obstacle = blockedBy(judged, which, isOperators ? supervisor : rank, action, phase);
  if (obstacle === "forbidden") refuse(403, obstacle);
  if (obstacle === "invalid_state_transition") refuse(422, obstacle);
  if (obstacle !== undefined && obstacle !== "workplace_busy") refuse(409, obstacle);

  // when: work goes on where the timeline ends; quantities only need to come after its start
  const isQuantity = action === "REPORT_QUANTITY" || action === "REVERSE";
  const isAnyTime = action === "CORRECT" || isQuantity && o.state !== "FINISHED";
  const times = isAnyTime ? [] : [...o.runs.flatMap(({ from, to = from }) => [from, to]), o.end ?? 0, o.start ?? 0];
  const earliest = Math.max(0, isQuantity ? o.start ?? 0 : 0, ...times);
  const now = clock(o.log.length + 1);
  let at = report.at ?? Math.max(now, earliest);
  if (at > now + 60_000) refuse(422, "validation_failed");
  if (rank < supervisor && at < now - longAgoMs) refuse(422, "too_old");
  // what is reported now follows what a clock that is ahead has dated later
  if (earliest > now && at > now - 60_000) at = Math.max(at, earliest);
  if (at < earliest) refuse(409, "out_of_order");
  if (obstacle !== undefined) refuse(409, obstacle);

  // how many
  let { good = 0, scrap = 0 } = report;
  if (action === "COMPLETE" && report.good === undefined) {
    good = o.desired === undefined ? refuse(422, "invalid_quantity") : Math.max(o.desired - o.good, 0);
  }
  if (action === "REVERSE") {
    const left = leftOf(o, report.reverses) ?? refuse(422, "validation_failed");
    if (report.good === undefined && report.scrap === undefined) ({ good, scrap } = left);
    if (good > left.good || scrap > left.scrap || good + scrap === 0) refuse(422, "invalid_quantity");
  }
  o.good += action === "REVERSE" ? -good : good;
  o.scrap += action === "REVERSE" ? -scrap : scrap;
  if ((good !== 0 || scrap !== 0) && !hasQuantities(o)) refuse(422, "invalid_quantity");

  // which times
  const status = statusOf(o);
  if (action === "CORRECT") correctTimes(o, report, now);
  o.state = target(action, o.state)!;
  const open = openRun(o);
  const ends = ["COMPLETE", "FINISH", "CANCEL"].includes(action);
  if (open && (ends || ["START", "STOP", "HOLD"].includes(action))) Object.assign(open, { to: at, isLast: ends });
  if (action === "START") o.runs.push({ phase, from: at });
  if (action === "START") o.start ??= at;
  if (status === "FINISHED" && action === "REVERSE") o.end = undefined;
  if (o.start !== undefined && ends) o.end = at;

  // why
  const kind = lifecycle[action][2];
  const mustSay = kind === "HOLD" || kind === "CANCEL" || kind === "SHORTFALL" && o.good < (o.desired ?? 0);
  if (report.reason === undefined && mustSay) refuse(422, "reason_required");
  const known = [...reasons, ...unspecified].includes(`${kind}/${report.reason}`);
  if (report.reason !== undefined && !known) refuse(422, "validation_failed");
  const keepsReason = action !== "RELEASE" && statusOf(o) === "ON_HOLD";
  o.reason = action === "STOP" || action === "HOLD" ? report.reason : keepsReason ? o.reason : undefined;

  o.log.push({ ...report, at, good, scrap, before: status, after: statusOf(o) });
  o.version++;
  return plant;
}

function leftOf({ log }: Operation, id?: string): { good: number; scrap: number } | undefined {
  const reversed = log.find((event) => event.id === id && ["REPORT_QUANTITY", "COMPLETE"].includes(event.action));
  if (reversed === undefined) return;
  const left = { good: reversed.good, scrap: reversed.scrap };
  for (const { good, scrap } of log.filter(({ reverses }) => reverses === id)) {
    left.good -= good;
    left.scrap -= scrap;
  }
  return left;
}

function correctTimes(o: Operation, { start = o.start, end = o.end }: Report, now: number): void {
  const [first, last, was] = [o.runs[0], o.runs.at(-1), { start: o.start, end: o.end }];
  // the first run begins with the operation; a run that the end itself closed ends with it
  const begins = first?.from === was.start;
  const ends = last?.isLast && last.to === was.end;
  const isOne = begins && ends && first === last;
  if (start !== undefined && start !== was.start) {
    if (start > now + 60_000) refuse(422, "validation_failed");
    const reported = o.log.filter(({ action }) => action === "REPORT_QUANTITY").map(({ at }) => at);
    const latest = [end, isOne ? end : begins ? first?.to : first?.from, ...reported];
    if (latest.some((at) => at !== undefined && start > at)) refuse(409, "out_of_order");
  }
  if (end !== undefined && end !== was.end) {
    if (o.state !== "FINISHED" || end > now + 60_000) refuse(422, "validation_failed");
    const worked = isOne ? start : ends ? last?.from : last?.to;
    if (end < Math.max(start ?? 0, worked ?? 0)) refuse(409, "out_of_order");
  }
  if (first && begins && start !== undefined) first.from = start;
  if (last && ends) last.to = end;
  Object.assign(o, { start, end });
}
