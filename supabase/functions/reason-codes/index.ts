/** Reason codes: why work was stopped, scrapped, held, cancelled or finished short. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { update } from "./update.ts";

export const app = createApp("reason-codes").openapiRoutes([list, create, get, update, remove] as const);

export default { fetch: app.fetch };
