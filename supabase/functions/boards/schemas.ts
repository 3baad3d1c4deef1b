/**
 * Board tickets: credentials that open the board of one group, and nothing else.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Page } from "../_shared/database.ts";
import { instant, instantOut, key, text, userId, versionFields } from "../_shared/fields.ts";
import { listQuery } from "../_shared/lists.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    create_board_ticket: BoardTicket;
    list_board_tickets: Page<BoardTicket>;
    revoke_board_ticket: undefined;
  }
}

const ticketId = (description: string) =>
  z.guid().openapi({ description, example: "1e6f709b-2c4d-4a85-b3c9-5c0d1e2f3a4b" });

const name = z.string().min(1).pipe(text(200)).openapi({
  minLength: 1,
  maxLength: 200,
  description: "What tells the ticket from others, such as the place of the television.",
  example: "Television at gate 2",
});

const workplaceGroup = (description: string) => key().openapi({ description, example: "Laser" });

const BoardTicketStatus = z.enum(["active", "expired"]).openapi("BoardTicketStatus", {
  description: "`active`: the ticket can be used. `expired`: it cannot.",
  example: "active",
});

export const BoardTicket = z.object({
  id: ticketId("Id of the ticket."),
  name,
  workplace_group: workplaceGroup("Group whose board the ticket opens."),
  workplace_names: z.array(key()).openapi({
    description:
      "Workplaces that it shows now: those of the group that its maker sees. None, once the maker is gone or no supervisor any more.",
    example: ["TruLaser 5060 (L76)"],
  }),
  status: BoardTicketStatus,
  expires_at: instantOut().nullable().openapi({
    description: "When the ticket ends; null = never.",
    example: "2027-11-23T00:00:00.000Z",
  }),
  last_used_at: instantOut().nullable().openapi({
    description: "When the ticket was last used, to about a minute; null = never.",
    example: "2026-11-23T08:15:00.000Z",
  }),
  created_by: userId("User who made the ticket; null once they are deleted.").nullable(),
  created_at: versionFields.created_at,
}).openapi("BoardTicket", { description: "A credential that opens the board of a group, without its secret." });

export type BoardTicket = z.infer<typeof BoardTicket>;

export const BoardTicketWithSecret = BoardTicket.extend({
  ticket: z.string().openapi({
    description:
      "The ticket itself, an API key: `web/board.html#ticket=<ticket>` shows the board. Only this answer has it.",
    example: "mes_1e6f709b2c4d4a85b3c95c0d1e2f3a4b_<49 characters of base 62>",
  }),
}).openapi("BoardTicketWithSecret", { description: "A new board ticket with its secret." });

export const BoardTicketCreate = z.strictObject({
  name,
  workplace_group: workplaceGroup("Group whose board the ticket opens. The caller sees all of its workplaces."),
  expires_at: instant().nullable().optional().openapi({
    description: "When the ticket ends; null, the default = never.",
    example: "2027-11-23T00:00:00Z",
  }),
}).openapi("BoardTicketCreate", {
  description: "A new board ticket.",
  example: { name: "Television at gate 2", workplace_group: "Laser" },
});

export const BoardTicketPath = z.object({ ticket_id: ticketId("Id of the ticket.") });

export const BoardTicketQuery = z.strictObject({
  workplace_group: workplaceGroup("Group of the tickets to list; all by default.").optional(),
}).extend(listQuery);
