/** Events: what happened on the shop floor. */
import { createApp } from "../_shared/app.ts";
import { feed } from "./feed.ts";
import { get } from "./get.ts";
import { listByWorkplace } from "./list-by-workplace.ts";
import { list } from "./list.ts";
import { reportBatch } from "./report-batch.ts";
import { report } from "./report.ts";

export const app = createApp("events").openapiRoutes([report, reportBatch, list, listByWorkplace, feed, get] as const);

export default { fetch: app.fetch };
