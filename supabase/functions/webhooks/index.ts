/** Webhooks: endpoints that receive events, their deliveries, and the dispatcher that sends them. */
import { createApp } from "../_shared/app.ts";
import { deliveries } from "./deliveries/index.ts";
import { endpoints } from "./endpoints/index.ts";
import { dispatch } from "./sending/dispatch.ts";

export const app = createApp("webhooks").openapiRoutes([...endpoints, ...deliveries, dispatch] as const);

export default { fetch: app.fetch };
