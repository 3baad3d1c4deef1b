/** Endpoints: URLs that receive events. */
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { replayEvents } from "./replay-events.ts";
import { rotateSecret } from "./rotate-secret.ts";
import { sendPing } from "./send-ping.ts";
import { update } from "./update.ts";

export const endpoints = [list, create, get, update, remove, rotateSecret, sendPing, replayEvents] as const;
