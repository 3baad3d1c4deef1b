/**
 * Connects a client's WebSocket with the function that it asked for.
 *
 * The function answers the handshake first, so that a refusal reaches the client as the HTTP answer that it is. Then
 * neither side is sent more than the other takes: see decision 0017.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
// @ts-types="@types/ws"
import { WebSocket as ClientSocket } from "ws";

/** Bytes that wait for the client; with more of them the function is not read. */
const maxWaiting_bytes = 64 * 1_024;

/** Bytes that wait for the function. Deno cannot stop reading from a client: one that sends more is disconnected. */
const maxUnread_bytes = 1_024 * 1_024;

/** Interval at which the proxy checks the buffer of a slow client. */
const pace_ms = 50;

/** Seconds until a client that answers no ping is disconnected, as the function itself does it on Supabase. */
const idleTimeout_s = 30;

/** Headers that the handshake with the function makes itself, and those of one connection. */
const isOfHandshake = (name: string) =>
  name.startsWith("sec-websocket-") || ["connection", "upgrade", "host"].includes(name);

/** Headers of an answer that belong to the connection with the function. */
const hopByHop = ["connection", "keep-alive", "transfer-encoding"];

/** Close codes that a side may send; the others describe what the other side saw. */
const isSendable = (code: number) => code === 1000 || (code >= 3000 && code <= 4999);

/** The connection with the function. It answers a closing handshake of the function only when it is told to. */
class Upstream extends ClientSocket {
  /** Called when the function closes the connection. */
  onEnding: (code: number, reason: string) => void = () => {};

  /** The library calls this when the function's close frame arrives. */
  override close(code = 1005, reason: string | Uint8Array = ""): void {
    if (this.readyState === Upstream.OPEN) this.onEnding(code, reason.toString());
    else super.close();
  }

  /** Closes the connection, or answers that the function closed it. */
  end(code: number, reason: string): void {
    if (isSendable(code)) super.close(code, reason);
    else this.terminate();
  }
}

/**
 * Opens the function's WebSocket, then upgrades the client's request.
 *
 * @returns The upgrade, or the function's answer when it refuses the handshake.
 * @throws {Error} When the function cannot be reached.
 */
export async function proxyWebSocket(request: Request, target: string, headers: Headers): Promise<Response> {
  const upstream = await handshake(request, target, headers);
  if (upstream instanceof Response) return upstream;
  const { socket: client, response } = Deno.upgradeWebSocket(request, {
    protocol: upstream.protocol || undefined,
    idleTimeout: idleTimeout_s,
  });
  connect(client, upstream);
  return response;
}

/** The function's open WebSocket, which is not read yet; or its answer. */
function handshake({ headers, signal }: Request, target: string, forwarded: Headers): Promise<Upstream | Response> {
  const offered = headers.get("sec-websocket-protocol");
  const protocols = offered?.split(",").map((name) => name.trim()) ?? [];
  const upstream = new Upstream(target.replace(/^http/, "ws"), protocols, {
    headers: Object.fromEntries([...forwarded].filter(([name]) => !isOfHandshake(name))),
    perMessageDeflate: false,
    finishRequest(request) {
      // as the client wrote it: Deno does not read a list without spaces
      if (offered !== null) request.setHeader("Sec-WebSocket-Protocol", offered);
      request.end();
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Upstream | Response>();
  const leave = () => upstream.terminate();
  signal.addEventListener("abort", leave);
  upstream.once("open", () => {
    upstream.pause();
    resolve(upstream);
  });
  upstream.once("unexpected-response", (_request, answer) => resolve(responseOf(answer)));
  upstream.once("error", reject);
  return promise.finally(() => signal.removeEventListener("abort", leave));
}

function responseOf(answer: IncomingMessage): Response {
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(answer.headersDistinct)) {
    if (!hopByHop.includes(name)) { for (const value of values) headers.append(name, value); }
  }
  const body = Readable.toWeb(answer);
  return new Response(body, { status: answer.statusCode, headers });
}

/** Passes on what either side sends, at the pace of the other. */
function connect(client: WebSocket, upstream: Upstream): void {
  client.binaryType = "arraybuffer";
  const pause = pacing(client, upstream);
  client.onopen = () => upstream.resume();
  client.onmessage = ({ data }) => {
    if (client.readyState !== WebSocket.OPEN) return;
    upstream.send(data);
    if (upstream.bufferedAmount > maxUnread_bytes) client.close(4008, "too much at once");
  };
  upstream.on("message", (data: Uint8Array<ArrayBuffer>, isBinary) => {
    if (client.readyState !== WebSocket.OPEN) return;
    client.send(isBinary ? data : new TextDecoder().decode(data));
    if (client.bufferedAmount > maxWaiting_bytes) pause();
  });
  client.onclose = ({ code, reason }) => {
    // the function's further messages have no receiver
    upstream.resume();
    upstream.end(code, reason);
  };
  // the function counts a stream until its client has answered, or has gone
  upstream.onEnding = (code, reason) => close(client, code, reason);
  upstream.on("close", (code, reason) => close(client, code, reason.toString()));
  upstream.on("error", () => close(client, 1011, ""));
}

/** Stops reading from the function until the client has taken what waits for it. */
function pacing(client: WebSocket, upstream: Upstream): () => void {
  const look = () => {
    if (client.readyState === WebSocket.OPEN && client.bufferedAmount > maxWaiting_bytes) setTimeout(look, pace_ms);
    else upstream.resume();
  };
  return () => {
    if (upstream.isPaused) return;
    upstream.pause();
    setTimeout(look, pace_ms);
  };
}

function close(client: WebSocket, code: number, reason: string): void {
  if (client.readyState === WebSocket.CLOSED || client.readyState === WebSocket.CLOSING) return;
  if (isSendable(code)) client.close(code, reason);
  else client.close();
}
