/** Deliveries: events on their way to endpoints. */
import { get } from "./get.ts";
import { list } from "./list.ts";
import { replay } from "./replay.ts";

export const deliveries = [list, get, replay] as const;
