/** Stream: what happens on the shop floor, as it happens. The feed is the truth, this is the convenience. */
import { createApp } from "../_shared/app.ts";
import { createTicket } from "./create-ticket.ts";
import { events } from "./events.ts";
import { openSocket, upgraded } from "./socket.ts";
import { admit } from "./tickets.ts";

export const app = createApp("stream", { authentication: admit, streamPath: "/stream/v1/events" }).openapiRoutes(
  [events, createTicket] as const,
);
app.get("/stream/v1/ws", openSocket);

export default { fetch: async (request: Request) => upgraded(request, await app.fetch(request)) };
