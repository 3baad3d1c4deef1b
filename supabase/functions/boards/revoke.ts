import { problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { BoardTicketPath } from "./schemas.ts";

export const revoke = endpoint({
  method: "delete",
  path: "/boards/v1/{ticket_id}",
  operationId: "revokeBoardTicket",
  tags: ["Boards"],
  summary: "Revoke a board ticket",
  description:
    "For who may list it. The ticket is gone: its next request is refused, and its streams end within 10 seconds.",
  security: userSecurity,
  request: { params: BoardTicketPath },
  responses: {
    204: { description: "The ticket is revoked." },
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => {
  await c.var.rpc("revoke_board_ticket", c.req.valid("param"));
  return c.body(null, 204);
});
