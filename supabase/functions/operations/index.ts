/** Operations: what is to be made, and how far it is. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { importRows } from "./import.ts";
import { listRuns } from "./list-runs.ts";
import { list } from "./list.ts";
import { ImportRow } from "./schemas.ts";
import { takeStep } from "./take-step.ts";
import { updateMany } from "./update-many.ts";
import { update } from "./update.ts";

export const app = createApp("operations").openapiRoutes(
  [list, create, importRows, updateMany, get, update, remove, listRuns, takeStep] as const,
);
// rows are validated one by one, so no route names their schema
app.openAPIRegistry.register("ImportRow", ImportRow);

export default { fetch: app.fetch };
