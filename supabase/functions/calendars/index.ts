/** Calendars: shifts, exceptions, and the shifts as they take place. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { removeException } from "./delete-exception.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { listExceptions } from "./list-exceptions.ts";
import { listShifts } from "./list-shifts.ts";
import { list } from "./list.ts";
import { putException } from "./put-exception.ts";
import { storeExceptions } from "./store-exceptions.ts";
import { update } from "./update.ts";

export const app = createApp("calendars").openapiRoutes(
  [
    list,
    create,
    get,
    update,
    remove,
    listShifts,
    listExceptions,
    storeExceptions,
    putException,
    removeException,
  ] as const,
);

export default { fetch: app.fetch };
