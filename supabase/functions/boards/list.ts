import { z } from "@hono/zod-openapi";
import { problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { answerPage, pageJson, readCursorKey } from "../_shared/lists.ts";
import { BoardTicket, BoardTicketQuery } from "./schemas.ts";

export const list = endpoint({
  method: "get",
  path: "/boards/v1",
  operationId: "listBoardTickets",
  tags: ["Boards"],
  summary: "List board tickets",
  description:
    "For signed-in supervisors, managers and admins. Returns the tickets that the caller may revoke, without their secrets, oldest " +
    "first: those of groups whose workplaces they all see, and their own.",
  security: userSecurity,
  request: { query: BoardTicketQuery },
  responses: {
    200: pageJson(BoardTicket, "A page of tickets."),
    ...problems(["forbidden"]),
  },
}, async (c) => {
  const { limit, cursor: _, ...query } = c.req.valid("query");
  const [after_created_at, after_id] = await readCursorKey(c, z.tuple([z.string(), z.string()])) ?? [];
  const page = await c.var.rpc("list_board_tickets", { ...query, after_created_at, after_id, take: limit });
  return c.json(await answerPage(c, page), 200);
});
