/**
 * Credentials of a stream: those of every request, or a ticket that opens one stream. Browsers cannot send a header with
 * EventSource or WebSocket, and an access token in a URL would appear in logs.
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

/** Returns a new ticket of 256 random bits. */
export function newTicket(): string {
  return randomBytes(32).toString("base64url");
}

/** Returns the digest by which the database recognizes a ticket. The digest opens no stream. */
export function digestOf(ticket: string): string {
  return createHash("sha256").update(ticket).digest("hex");
}

interface TicketSession extends Session {
  filter: StreamFilter;
}

const ticketSessions = new WeakMap<Session, TicketSession>();

/**
 * Authenticates by the ticket in the URL, or by the credential as all functions do.
 *
 * @throws {Problem} `unauthenticated`, `malformed_request`
 */
export const streamAuthentication = createMiddleware<{ Variables: Authenticated }>(async (c, next) => {
  if (c.req.header("X-Acting-For") !== undefined) {
    throw new Problem("malformed_request", "Streams are the terminal's, not a person's: leave X-Acting-For out");
  }
  const ticket = c.req.query("ticket");
  if (ticket === undefined) return await authenticate(c, next);
  if (c.req.header("Authorization") !== undefined || c.req.method !== "GET") {
    throw new Problem(
      "unauthenticated",
      "Send either a ticket or an access token; a ticket opens a stream, nothing else",
    );
  }
  // the caller is not known yet: only the service role may look up the ticket
  const used = await rpcAsServer()("use_stream_ticket", { digest: digestOf(ticket) });
  if (used === null) {
    throw new Problem("unauthenticated", "The ticket was used already, or has expired: ask for a new one");
  }
  const filter = StreamFilter.safeParse(used.filter);
  if (!filter.success) throw new Problem("unauthenticated", "The ticket was not made by this API");
  const session: TicketSession = {
    user_id: used.user_id,
    ends_at: used.session_ends_at === null ? undefined : Date.parse(used.session_ends_at),
    // the database checked the second factor when it issued the ticket
    aal: "aal2",
    filter: filter.data,
  };
  ticketSessions.set(session, session);
  c.set("role", used.user_id === null ? "service_role" : "authenticated");
  c.set("session", session);
  await next();
});

/**
 * Returns the filter of the stream: the ticket's or the request's.
 *
 * @throws {Problem} `validation_failed` when a request with a ticket also has a filter.
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
