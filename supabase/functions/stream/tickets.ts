/**
 * Admission to a stream, by a credential or by a ticket, which is valid once. Browsers cannot send a header
 * with EventSource or WebSocket, and an access token in a URL would end up in logs.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { createMiddleware } from "hono/factory";
import type { ApiContext } from "../_shared/endpoint.ts";
import { authenticate, type Authenticated, type Session } from "../_shared/auth.ts";
import { rpcAsServer } from "../_shared/database.ts";
import { Problem } from "../_shared/problems.ts";
import { StreamFilter } from "./schemas.ts";

/** A secret that nobody can guess. */
export function newTicket(): string {
  return randomBytes(32).toString("base64url");
}

/** What the database keeps of a ticket: enough to know it again, not enough to use it. */
export function digestOf(ticket: string): string {
  return createHash("sha256").update(ticket).digest("hex");
}

interface TicketSession extends Session {
  filter: StreamFilter;
}

const ticketSessions = new WeakMap<Session, TicketSession>();

/**
 * Lets in by ticket, or as everywhere else.
 *
 * @throws {Problem} `unauthenticated`
 */
export const admit = createMiddleware<{ Variables: Authenticated }>(async (c, next) => {
  const ticket = c.req.query("ticket");
  if (ticket === undefined) return await authenticate(c, next);
  if (c.req.header("Authorization") !== undefined || c.req.method !== "GET") {
    throw new Problem(
      "unauthenticated",
      "Send either a ticket or an access token; a ticket opens a stream, nothing else",
    );
  }
  // nobody has been identified yet: only the service role may look the ticket up
  const used = await rpcAsServer()("use_stream_ticket", { digest: digestOf(ticket) });
  if (used === null) {
    throw new Problem("unauthenticated", "The ticket was used already, or has expired: ask for a new one");
  }
  const filter = StreamFilter.safeParse(used.filter);
  if (!filter.success) throw new Problem("unauthenticated", "The ticket was not made by this API");
  const session: TicketSession = {
    user_id: used.user_id,
    ends_at: used.session_ends_at === null ? undefined : Date.parse(used.session_ends_at),
    // the database demanded a second factor where one is needed when it made the ticket
    aal: "aal2",
    filter: filter.data,
  };
  ticketSessions.set(session, session);
  c.set("role", used.user_id === null ? "service_role" : "authenticated");
  c.set("session", session);
  await next();
});

/**
 * What the stream follows: the ticket's filter, or that of the request.
 *
 * @throws {Problem} `validation_failed` when a request with a ticket has a filter as well.
 */
export function filterOf(c: ApiContext, filter: StreamFilter): StreamFilter {
  const ticket = ticketSessions.get(c.var.session);
  if (ticket === undefined) return filter;
  const names = Object.entries(filter).flatMap(([name, value]) => value === undefined ? [] : [name]);
  if (names.length === 0) return ticket.filter;
  throw new Problem("validation_failed", "A ticket has its own filter: say what to follow when asking for the ticket", {
    errors: names.map((name) => ({
      in: "query",
      pointer: `/${name}`,
      message: "belongs to the ticket",
      code: "excluded",
    })),
  });
}
