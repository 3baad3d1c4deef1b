/**
 * The lifecycle as tests expect it: one table, written by hand from the specification and not from the SQL.
 *
 * @module
 */
export type State =
  | "PLANNED"
  | "RELEASED"
  | "IN_PROGRESS"
  | "PAUSED"
  | "BLOCKED_BEFORE_START"
  | "BLOCKED"
  | "FINISHED"
  | "CANCELLED";
export type Status = "PLANNED" | "RELEASED" | "IN_PROGRESS" | "ON_HOLD" | "FINISHED" | "CANCELLED";
export type ReasonKind = "STOP" | "SCRAP" | "SHORTFALL" | "HOLD" | "CANCEL";

const going = { IN_PROGRESS: "IN_PROGRESS", PAUSED: "PAUSED", BLOCKED: "BLOCKED" } as const;
const closing = { IN_PROGRESS: "FINISHED", PAUSED: "FINISHED", BLOCKED: "FINISHED" } as const;
const cancelling = {
  PLANNED: "CANCELLED",
  RELEASED: "CANCELLED",
  IN_PROGRESS: "CANCELLED",
  PAUSED: "CANCELLED",
  BLOCKED_BEFORE_START: "CANCELLED",
  BLOCKED: "CANCELLED",
} as const;
/** Ranks of roles. */
export const [operator, supervisor] = [1, 2];

/** For each action the least rank, what leads where, and the kind of its reason; in the order of `allowed_actions`. */
// deno-fmt-ignore
export const lifecycle = {
  RELEASE:         [supervisor, { PLANNED: "RELEASED", BLOCKED_BEFORE_START: "RELEASED", BLOCKED: "PAUSED" }, undefined],
  START:           [operator,   { RELEASED: "IN_PROGRESS", PAUSED: "IN_PROGRESS", IN_PROGRESS: "IN_PROGRESS" }, undefined],
  STOP:            [operator,   { IN_PROGRESS: "PAUSED" },                                  "STOP"],
  REPORT_QUANTITY: [operator,   going,                                                      "SCRAP"],
  COMPLETE:        [operator,   closing,                                                    "SHORTFALL"],
  FINISH:          [operator,   closing,                                                    "SHORTFALL"],
  HOLD:            [supervisor, { RELEASED: "BLOCKED_BEFORE_START", IN_PROGRESS: "BLOCKED" }, "HOLD"],
  CANCEL:          [supervisor, cancelling,                                                 "CANCEL"],
  REVERSE:         [operator,   { ...going, FINISHED: "PAUSED" },                           undefined],
  CORRECT:         [supervisor, { ...going, FINISHED: "FINISHED" },                         undefined],
} as const satisfies Record<string, [number, Partial<Record<State, State>>, ReasonKind | undefined]>;

export type Action = keyof typeof lifecycle;
export const actions = Object.keys(lifecycle) as Action[];

/** The least rank for an action in a state: reopening what is finished is a supervisor's. */
export const leastRank = (action: Action, state: State): number =>
  action === "REVERSE" && state === "FINISHED" ? supervisor : lifecycle[action][0];

/** The state that an action leads to; undefined when it is refused. */
export const target = (action: Action, state: State): State | undefined =>
  (lifecycle[action][1] as Partial<Record<State, State>>)[state];

export const isBlocked = (state: State): boolean => state === "BLOCKED" || state === "BLOCKED_BEFORE_START";

export const statusOf = (state: State): Status => state === "PAUSED" || isBlocked(state) ? "ON_HOLD" : state as Status;
