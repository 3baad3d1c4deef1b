/** Keys: the credentials of machines and integrations. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { revoke } from "./revoke.ts";
import { rotate } from "./rotate.ts";
import { update } from "./update.ts";

export const app = createApp("keys").openapiRoutes([list, create, get, update, rotate, revoke] as const);

export default { fetch: app.fetch };
