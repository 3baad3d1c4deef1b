/** Operations: what is to be made, and how far it is. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { update } from "./update.ts";

export const app = createApp("operations").openapiRoutes([list, create, get, update, remove] as const);

export default { fetch: app.fetch };
