/** Reports: OEE, timeline, losses, scrap, operations against their plan, a summary, and the board. */
import { createApp } from "../_shared/app.ts";
import { board } from "./board.ts";
import { losses } from "./losses.ts";
import { oee } from "./oee.ts";
import { operations } from "./operations.ts";
import { scrap } from "./scrap.ts";
import { summary } from "./summary.ts";
import { timeline } from "./timeline.ts";

export const app = createApp("reports").openapiRoutes(
  [oee, timeline, losses, scrap, operations, summary, board] as const,
);

export default { fetch: app.fetch };
