/** Profiles: the role and the workplaces of each user. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { forget } from "./forget.ts";
import { getOwn } from "./get-own.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { update } from "./update.ts";

export const app = createApp("profiles").openapiRoutes([list, create, getOwn, get, update, remove, forget] as const);

export default { fetch: app.fetch };
