/** Downtimes: when workplaces stood still, and why. */
import { createApp } from "../_shared/app.ts";
import { cancel } from "./cancel.ts";
import { classify } from "./classify.ts";
import { end } from "./end.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { open } from "./open.ts";
import { split } from "./split.ts";

export const app = createApp("downtimes").openapiRoutes(
  [list, open, get, end, classify, split, cancel] as const,
);

export default { fetch: app.fetch };
