/** Sends the events of the feed to clients as they happen. A stream and the feed share their cursors. */
import { createApp } from "../_shared/app.ts";
import { createTicket } from "./create-ticket.ts";
import { events } from "./events.ts";
import { openSocket, upgraded } from "./socket.ts";
import { streamAuthentication } from "./tickets.ts";

export const app = createApp("stream", { authentication: streamAuthentication, streamPath: "/stream/v1/events" })
  .openapiRoutes(
    [events, createTicket] as const,
  );
app.get("/stream/v1/ws", openSocket);

export default { fetch: async (request: Request) => upgraded(request, await app.fetch(request)) };
