/** Boards: the tickets by which televisions show the board of a group. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { list } from "./list.ts";
import { revoke } from "./revoke.ts";

export const app = createApp("boards").openapiRoutes([list, create, revoke] as const);

export default { fetch: app.fetch };
