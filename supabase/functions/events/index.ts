/** Events: what happened on the shop floor. */
import { createApp } from "../_shared/app.ts";
import { inVersion2 } from "../_shared/version2.ts";
import { feed } from "./feed.ts";
import { get } from "./get.ts";
import { listByWorkplace } from "./list-by-workplace.ts";
import { list } from "./list.ts";
import { reportBatch } from "./report-batch.ts";
import { report } from "./report.ts";

/** The endpoints, in each version. */
export const endpoints = [report, reportBatch, list, listByWorkplace, feed, get] as const;

export const app = createApp("events").openapiRoutes(endpoints).openapiRoutes(inVersion2(endpoints));

export default { fetch: app.fetch };
