/** Operations: what the plant is to make, and how far the work is. */
import { createApp } from "../_shared/app.ts";
import { inVersion2 } from "../_shared/version2.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { get } from "./get.ts";
import { importRows } from "./import.ts";
import { listAllRuns } from "./list-all-runs.ts";
import { listRuns } from "./list-runs.ts";
import { list } from "./list.ts";
import { ImportRow } from "./import-schemas.ts";
import { transition } from "./transition.ts";
import { updateMany } from "./update-many.ts";
import { update } from "./update.ts";

/** The endpoints, in each version. */
export const endpoints = [
  list,
  create,
  importRows,
  updateMany,
  listAllRuns,
  get,
  update,
  remove,
  listRuns,
  transition,
] as const;

export const app = createApp("operations").openapiRoutes(endpoints).openapiRoutes(inVersion2(endpoints));
// the import validates rows one by one, so no route names their schema
app.openAPIRegistry.register("ImportRow", ImportRow);

export default { fetch: app.fetch };
