/** Workplaces: where operations run, which run now and which are next. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { queue } from "./queue.ts";
import { update } from "./update.ts";

export const app = createApp("workplaces").openapiRoutes([list, create, get, update, remove, queue] as const);

export default { fetch: app.fetch };
