/**
 * The stream as a WebSocket. It is not in the OpenAPI document, which knows requests and answers only: docs/streaming.md
 * describes it.
 *
 * @module
 */
import type { ApiContext } from "../_shared/endpoint.ts";
import { feedPosition, isFeedReset } from "../_shared/feed.ts";
import { Problem } from "../_shared/problems.ts";
import { invalidInput } from "../_shared/validation.ts";
import { hub, type Opening } from "./hub.ts";
import { type CloseReason, StreamQuery } from "./schemas.ts";
import { settings } from "./settings.ts";
import type { Sink, Subscription } from "./subscription.ts";
import { filterOf } from "./tickets.ts";

/** Why a WebSocket was closed, for clients that look at the code only. */
const closeCodes: Record<CloseReason | "malformed", number> = {
  lifetime: 4000,
  slow_reader: 4001,
  access_changed: 4003,
  malformed: 4400,
  token_expired: 4401,
  feed_reset: 4410,
  unavailable: 4503,
};

/** Longest message that a client may send; there is only `{"type":"ping"}`. */
const maxMessage_characters = 1_024;

/** A peer that does not answer the protocol's own pings for so long is gone. */
const idleTimeout_s = 30;

/** A client that has not completed the upgrade by then is gone. */
const upgradeTimeout_ms = 10_000;

/** What was asked for; reading may not be able to go on from there. */
interface Accepted extends Omit<Opening, "sink" | "after"> {
  after: Opening["after"] | "feed_reset";
}

/** Requests that were let in, until they are upgraded. */
const accepted = new WeakMap<Request, Accepted>();

/** Judges the request as any other is; the answer to one that is let in is {@link upgraded}. */
export async function openSocket(c: ApiContext): Promise<Response> {
  if (!isOpeningHandshake(c)) {
    throw new Problem("upgrade_required", `GET ${c.req.path} opens a WebSocket: send Upgrade: websocket`);
  }
  const query = StreamQuery.safeParse(
    Object.fromEntries(Object.entries(c.req.queries()).map(([name, all]) => [name, all.length > 1 ? all : all[0]])),
  );
  if (!query.success) throw invalidInput(query.error.issues, "query");
  const { after, ticket, ...filter } = query.data;
  const position = after === undefined ? undefined : await feedPosition(after).catch((error) => {
    // a browser cannot see why it was refused
    if (ticket === undefined || !isFeedReset(error)) throw error;
    return "feed_reset" as const;
  });
  const followed = filterOf(c, filter);
  accepted.set(c.req.raw, { place: await hub.enter(c.var.session), filter: followed, after: position });
  return c.body(null, 204);
}

/** What RFC 6455 wants of it; what lacks something cannot be upgraded. */
function isOpeningHandshake({ req }: ApiContext): boolean {
  const has = (header: string, token: string) =>
    req.header(header)?.toLowerCase().split(",").some((part) => part.trim() === token) ?? false;
  return req.method === "GET" && has("Upgrade", "websocket") && has("Connection", "upgrade") &&
    has("Sec-WebSocket-Version", "13") && req.header("Sec-WebSocket-Key") !== undefined;
}

/**
 * The answer to a request: the upgrade, when it was let in. That happens here, outside of the frame, because the frame
 * sets headers on every answer, which this one does not bear.
 */
export function upgraded(request: Request, response: Response): Response {
  const opening = accepted.get(request);
  if (opening === undefined) return response;
  const vacate = () => hub.vacate(opening.place);
  try {
    const { socket, response: upgrade } = Deno.upgradeWebSocket(request, { idleTimeout: idleTimeout_s });
    socket.addEventListener("open", () => follow(socket, opening));
    // a client that does not answer the closing handshake keeps its place: the runtime cannot cut its connection
    socket.addEventListener("close", vacate);
    setTimeout(() => socket.readyState === WebSocket.CONNECTING && vacate(), upgradeTimeout_ms);
    return upgrade;
  } catch (error) {
    vacate();
    throw error;
  }
}

async function follow(socket: WebSocket, { after, ...opening }: Accepted): Promise<void> {
  if (after === "feed_reset") return socket.close(closeCodes[after], after);
  let subscription: Subscription | undefined;
  const isOpen = () => socket.readyState === WebSocket.OPEN;
  const left = () => subscription && hub.leave(subscription);
  socket.addEventListener("close", left);
  socket.addEventListener("error", left);
  socket.addEventListener("message", ({ data }) => {
    if (typeof data !== "string" || data.length > maxMessage_characters) {
      socket.close(closeCodes.malformed, "malformed");
    } else if (isOpen() && isPing(data) && socket.bufferedAmount < settings.maxBacklog_bytes) {
      socket.send('{"type":"pong"}');
    }
  });
  const sink: Sink = {
    send: ({ text }) => isOpen() && socket.send(text),
    beat: (cursor) => isOpen() && socket.send(JSON.stringify({ type: "ping", cursor })),
    backlog: () => socket.bufferedAmount,
    close({ text }, reason) {
      if (!isOpen()) return;
      socket.send(text);
      socket.close(closeCodes[reason], reason);
    },
  };
  try {
    subscription = await hub.follow({ sink, after, ...opening });
    if (!isOpen()) left();
  } catch (error) {
    const reason = isFeedReset(error) ? "feed_reset" : "unavailable";
    if (isOpen()) socket.close(closeCodes[reason], reason);
  }
}

function isPing(data: string): boolean {
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === "object" && message !== null && "type" in message && message.type === "ping";
  } catch {
    return false;
  }
}
