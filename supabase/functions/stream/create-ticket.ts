import { endpoint } from "../_shared/endpoint.ts";
import { json, jsonBody, problems, security } from "../_shared/contract.ts";
import { Ticket, TicketRequest } from "./schemas.ts";
import { digestOf, newTicket } from "./tickets.ts";

export const createTicket = endpoint({
  method: "post",
  path: "/stream/v1/tickets",
  operationId: "createStreamTicket",
  tags: ["Stream"],
  summary: "Get a ticket for a stream",
  description:
    "For browsers, which cannot send a credential with `EventSource` or `WebSocket`. A ticket opens one stream within 30 seconds, " +
    "as the caller and with these filters. The stream ends when the caller's access token expires. A caller can have at most 20 " +
    "unused tickets; a caller without a workplace gets none. The endpoint takes no Idempotency-Key: request a new ticket when the " +
    "answer is lost.",
  security,
  request: { body: jsonBody(TicketRequest) },
  responses: {
    201: json(Ticket, "The ticket."),
    ...problems(["forbidden", "rate_limited"], { body: true }),
  },
}, async (c) => {
  const ticket = newTicket();
  const { expires_at } = await c.var.rpc("create_stream_ticket", {
    digest: digestOf(ticket),
    filter: c.req.valid("json"),
  });
  return c.json({ ticket, expires_at }, 201);
});
