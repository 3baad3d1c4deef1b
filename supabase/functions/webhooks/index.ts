/** Webhooks: systems that are told of events, what became of each delivery, and the dispatcher that sends. */
import { createApp } from "../_shared/app.ts";
import { createEndpoint } from "./create-endpoint.ts";
import { deleteEndpoint } from "./delete-endpoint.ts";
import { dispatch } from "./dispatch.ts";
import { getDelivery } from "./get-delivery.ts";
import { getEndpoint } from "./get-endpoint.ts";
import { listDeliveries } from "./list-deliveries.ts";
import { listEndpoints } from "./list-endpoints.ts";
import { replayDelivery } from "./replay-delivery.ts";
import { replayEvents } from "./replay-events.ts";
import { rotateSecret } from "./rotate-secret.ts";
import { testEndpoint } from "./test-endpoint.ts";
import { updateEndpoint } from "./update-endpoint.ts";

export const app = createApp("webhooks").openapiRoutes(
  [
    listEndpoints,
    createEndpoint,
    getEndpoint,
    updateEndpoint,
    deleteEndpoint,
    rotateSecret,
    testEndpoint,
    replayEvents,
    listDeliveries,
    getDelivery,
    replayDelivery,
    dispatch,
  ] as const,
);

export default { fetch: app.fetch };
