/**
 * A PATCH as the first service had it, in terms of the lifecycle: what shall be so becomes the actions that lead there.
 *
 * @module
 */
import {
  act,
  type Action,
  type Clock,
  hasQuantities,
  type Operation,
  operator,
  type Plant,
  refuse,
  type Report,
  type Status,
  statusOf,
  supervisor,
} from "./lifecycle_model.ts";

/** A PATCH: how the operation shall be, from which follow the actions that lead there. */
export interface Patch {
  status?: Status;
  processed?: number;
  scrap?: number;
  desired?: number;
  start?: number;
  end?: number;
  reason?: string;
}

/** The actions that a change of the status stands for; undefined when the first service had no such change. */
function actionsTo({ state }: Operation, wanted: Status): Action[] | undefined {
  if (wanted === statusOf({ state })) return [];
  if (wanted === "CANCELLED" && state !== "FINISHED") return ["CANCEL"];
  const ways: Record<string, Action[]> = {
    "PLANNED RELEASED": ["RELEASE"],
    "RELEASED IN_PROGRESS": ["START"],
    "RELEASED ON_HOLD": ["HOLD"],
    "IN_PROGRESS ON_HOLD": ["STOP"],
    "IN_PROGRESS FINISHED": ["FINISH"],
    "PAUSED IN_PROGRESS": ["START"],
    "BLOCKED IN_PROGRESS": ["RELEASE", "START"],
    "BLOCKED_BEFORE_START IN_PROGRESS": ["RELEASE", "START"],
  };
  return ways[`${state} ${wanted}`];
}

/** The plant after a PATCH by somebody of this rank; throws the {@link Refusal}, and then nothing of it is done. */
export function change(before: Plant, which: number, rank: number, patch: Patch, clock: Clock): Plant {
  const was = before.operations[which]!;
  if (rank < (patch.desired === undefined ? operator : supervisor)) refuse(403, "forbidden");
  const actions = actionsTo(was, patch.status ?? statusOf(was)) ?? refuse(422, "invalid_state_transition");
  const { start = was.start, end = was.end, processed = was.good + was.scrap, scrap = was.scrap } = patch;
  if (end !== undefined && start !== undefined && start > end) refuse(422, "validation_failed");
  const now = clock(was.log.length + 1);
  if (Math.max(start ?? 0, end ?? 0) > now + 60_000) refuse(422, "validation_failed");
  const wanted = { ...was, desired: patch.desired ?? was.desired, good: processed - scrap, scrap };
  if (!hasQuantities(wanted)) refuse(422, "invalid_quantity");

  let plant = structuredClone(before);
  plant.operations[which]!.desired = wanted.desired;
  const take = (report: Report) => plant = act(plant, which, rank, report, clock);
  const { reason } = patch;

  for (const action of actions.filter((action) => action === "RELEASE" || action === "START")) {
    take({ action, reason, at: action === "START" && was.start === undefined ? start : undefined });
  }
  const made = { good: wanted.good - was.good, scrap: scrap - was.scrap };
  const isCorrection = made.good < 0 || made.scrap < 0 || was.state === "FINISHED" || made.good + made.scrap === 0;
  const moved: Report = {
    action: "CORRECT",
    start: start === plant.operations[which]!.start ? undefined : start,
    end: end === was.end || actions.includes("FINISH") || actions.includes("CANCEL") ? undefined : end,
    ...(isCorrection ? made : {}),
  };
  if (moved.start !== undefined || moved.end !== undefined || moved.good || moved.scrap) take(moved);
  if (!isCorrection) take({ action: "REPORT_QUANTITY", ...made, at: actions.includes("FINISH") ? end : undefined });
  for (const action of actions.filter((action) => action !== "RELEASE" && action !== "START")) {
    const { good, desired = 0 } = plant.operations[which]!;
    const mustSay = action === "HOLD" || action === "CANCEL" || action === "FINISH" && good < desired;
    const at = action === "FINISH" || action === "CANCEL" ? end : undefined;
    take({ action, at, reason: reason ?? (mustSay ? "UNSPECIFIED" : undefined) });
  }
  const after = plant.operations[which]!;
  if (after.version === was.version && after.desired !== was.desired) after.version++;
  return plant;
}
