/**
 * The tools, in the order of the list: first those that read, then those that write. None deletes or imports, and none
 * touches profiles.
 *
 * @module
 */
import type { Tool } from "./tool.ts";
import { correctOperation } from "./tools/correct-operation.ts";
import { explainError } from "./tools/explain-error.ts";
import { findOperations } from "./tools/find-operations.ts";
import { findProblems } from "./tools/find-problems.ts";
import { floorNow } from "./tools/floor-now.ts";
import { getLosses } from "./tools/get-losses.ts";
import { getOee } from "./tools/get-oee.ts";
import { getOperation } from "./tools/get-operation.ts";
import { getQueue } from "./tools/get-queue.ts";
import { listEvents } from "./tools/list-events.ts";
import { listReasonCodes } from "./tools/list-reason-codes.ts";
import { reportDowntime } from "./tools/report-downtime.ts";
import { reportEvent } from "./tools/report-event.ts";
import { takeTransition } from "./tools/take-transition.ts";

export const tools: readonly Tool[] = [
  floorNow,
  findOperations,
  getOperation,
  getQueue,
  listEvents,
  getLosses,
  getOee,
  findProblems,
  listReasonCodes,
  explainError,
  reportEvent,
  takeTransition,
  reportDowntime,
  correctOperation,
];
