/**
 * The stream as a WebSocket. docs/streaming.md describes it, because OpenAPI does not describe WebSockets.
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

/** Close code of each reason. */
const closeCodes: Record<CloseReason | "malformed", number> = {
  lifetime: 4000,
  slow_reader: 4001,
  access_changed: 4003,
  malformed: 4400,
  token_expired: 4401,
  feed_reset: 4410,
  unavailable: 4503,
};

/** Longest message of a client, whose only message is `{"type":"ping"}`. */
const maxMessageCharacters = 1_024;

/** The runtime disconnects a client that does not answer the protocol's own pings within this time. */
const idleTimeoutSeconds = 30;

/** Time for a client to complete the upgrade. */
const upgradeTimeoutMs = 10_000;

/** A request that may open a stream. Its cursor can be one that the feed does not have any more. */
interface Accepted extends Omit<Opening, "sink" | "after"> {
  after: Opening["after"] | "feed_reset";
}

/** Requests that may open a stream, until they are upgraded. */
const accepted = new WeakMap<Request, Accepted>();

/** Checks the request as any other request. {@link upgraded} then answers a request that passes. */
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
    // a browser cannot see why the server rejected the upgrade: the close code says it
    if (ticket === undefined || !isFeedReset(error)) throw error;
    return "feed_reset" as const;
  });
  const followed = filterOf(c, filter);
  accepted.set(c.req.raw, { place: await hub.enter(c.var.session), filter: followed, after: position });
  return c.body(null, 204);
}

/** Returns whether the request has all that RFC 6455 requires of an opening handshake. */
function isOpeningHandshake({ req }: ApiContext): boolean {
  const has = (header: string, token: string) =>
    req.header(header)?.toLowerCase().split(",").some((part) => part.trim() === token) ?? false;
  return req.method === "GET" && has("Upgrade", "websocket") && has("Connection", "upgrade") &&
    has("Sec-WebSocket-Version", "13") && req.header("Sec-WebSocket-Key") !== undefined;
}

/**
 * Returns the upgrade for a request that may open a stream, or the given response. The upgrade happens outside of the
 * app, because the app sets headers on every response and those of an upgrade cannot be changed.
 */
export function upgraded(request: Request, response: Response): Response {
  const opening = accepted.get(request);
  if (opening === undefined) return response;
  const vacate = () => hub.vacate(opening.place);
  try {
    const { socket, response: upgrade } = Deno.upgradeWebSocket(request, { idleTimeout: idleTimeoutSeconds });
    socket.addEventListener("open", () => follow(socket, opening));
    // a client that does not answer the closing handshake keeps its place: the runtime cannot end its connection
    socket.addEventListener("close", vacate);
    setTimeout(() => socket.readyState === WebSocket.CONNECTING && vacate(), upgradeTimeoutMs);
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
    if (typeof data !== "string" || data.length > maxMessageCharacters) {
      socket.close(closeCodes.malformed, "malformed");
    } else if (isOpen() && isPing(data) && socket.bufferedAmount < settings.maxBacklogBytes) {
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
