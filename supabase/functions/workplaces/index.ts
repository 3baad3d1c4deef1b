/** Workplaces: where operations run, which run now, which are next and what stops them. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { queue } from "./queue.ts";
import { reportState } from "./state.ts";
import { update } from "./update.ts";

export const app = createApp("workplaces").openapiRoutes(
  [list, create, get, update, remove, queue, reportState] as const,
);

export default { fetch: app.fetch };
