import { newApiKey } from "../_shared/api_keys.ts";
import { json, jsonBody, problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { BoardTicketCreate, BoardTicketWithSecret } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/boards/v1",
  operationId: "createBoardTicket",
  tags: ["Boards"],
  summary: "Make a board ticket",
  description:
    "For signed-in supervisors who see all workplaces of the group, managers and admins. The answer contains the ticket; no other " +
    "request shows it. It opens the board of the group and a stream without names, and nothing else, as far as the person who made " +
    "it sees the group: it shows less when they do, and ends when they are no supervisor any more. The endpoint takes no " +
    "Idempotency-Key, because the server does not store the ticket: when the answer is lost, revoke the ticket and make another " +
    "one. A group has at most 20 tickets.",
  security: userSecurity,
  request: { body: jsonBody(BoardTicketCreate) },
  responses: {
    201: json(BoardTicketWithSecret, "The new ticket."),
    ...problems(["forbidden", "limit_reached"], { body: true }),
  },
}, async (c) => {
  const id = crypto.randomUUID();
  const { key: ticket, digest } = newApiKey(id);
  const stored = await c.var.rpc("create_board_ticket", { ticket: { ...c.req.valid("json"), id }, digest });
  return c.json({ ...stored, ticket }, 201);
});
