/**
 * Clients of the stream, by Server-Sent Events and by WebSocket, that tell message by message what they get.
 *
 * @module
 */
import { type IncomingHttpHeaders, request } from "node:http";
import type { Credential } from "./harness.ts";
import type { StreamMessage } from "../../stream/schemas.ts";
import { StreamMessage as MessageSchema } from "../../stream/schemas.ts";

export type { StreamMessage };
export type EventMessage = Extract<StreamMessage, { type: "event" }>;

type Query = Record<string, string | number | string[] | undefined>;

export interface StreamOptions {
  /** URL of the functions. */
  base: string;
  /** Header that says who one is; none with a ticket. */
  credential?: Credential;
  query?: Query;
  headers?: Record<string, string>;
}

/** Common form of the server's messages and the end of a stream. */
export interface Stream {
  /** Cursor of the last message or heartbeat. */
  cursor: string | undefined;
  /** Number of heartbeats so far. */
  beats: number;
  /** The next message; undefined once the stream has ended. Throws when there is none within 15 s. */
  next(): Promise<StreamMessage | undefined>;
  /** Close code of a WebSocket. */
  readonly code?: number;
  leave(): Promise<void>;
}

/** So many events, `ready` and heartbeats left out. */
export async function takeEvents(stream: Stream, count: number): Promise<EventMessage[]> {
  const taken: EventMessage[] = [];
  while (taken.length < count) {
    const message = await stream.next();
    if (message === undefined || message.type === "close") {
      throw new Error(`The stream ended after ${taken.length} of ${count} events: ${JSON.stringify(message)}`);
    }
    if (message.type === "event") taken.push(message);
  }
  return taken;
}

/** Reads everything until the stream ends. */
export async function takeAll(stream: Stream): Promise<StreamMessage[]> {
  const taken: StreamMessage[] = [];
  for (let message = await stream.next(); message !== undefined; message = await stream.next()) taken.push(message);
  return taken;
}

export function streamUrl(path: string, { base, query = {} }: StreamOptions): URL {
  const url = new URL(`${base}/stream/v1/${path}`);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : value === undefined ? [] : [value]) {
      url.searchParams.append(name, String(one));
    }
  }
  return url;
}

export function streamHeaders({ credential, headers }: StreamOptions): Headers {
  const sent = new Headers(headers);
  if (credential?.apikey) sent.set("apikey", credential.apikey);
  if (credential?.token) sent.set("authorization", `Bearer ${credential.token}`);
  return sent;
}

/** Messages that have arrived and are not yet read. */
class Inbox {
  #messages: StreamMessage[] = [];
  #isOver = false;
  #notify = () => {};

  put(text: string): StreamMessage {
    const message = MessageSchema.parse(JSON.parse(text));
    this.#messages.push(message);
    this.#notify();
    return message;
  }

  end(): void {
    this.#isOver = true;
    this.#notify();
  }

  async take(): Promise<StreamMessage | undefined> {
    if (this.#messages.length === 0 && !this.#isOver) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#notify = resolve;
      const timer = setTimeout(() => reject(new Error("No message within 15 s")), 15_000);
      await promise.finally(() => clearTimeout(timer));
    }
    return this.#messages.shift();
  }
}

/** Content of a Server-Sent Event. */
function fieldsOf(block: string): Record<string, string> {
  return Object.fromEntries(
    block.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon) || "comment", line.slice(colon + 1).trimStart()];
    }),
  );
}

/** Opens a stream of Server-Sent Events; throws a Response that is not 200. */
export async function openEvents(options: StreamOptions): Promise<Stream & { retryMs: () => number }> {
  const abort = new AbortController();
  const headers = streamHeaders(options);
  headers.set("accept", "text/event-stream");
  const response = await fetch(streamUrl("events", options), { headers, signal: abort.signal });
  if (response.status !== 200) throw response;
  return readEvents(response, abort);
}

/** Reads an answer as a stream of Server-Sent Events. */
export function readEvents(response: Response, abort = new AbortController()): Stream & { retryMs: () => number } {
  const inbox = new Inbox();
  let retryMs = 0;
  const ended = Promise.withResolvers<void>();
  const stream = {
    cursor: undefined as string | undefined,
    beats: 0,
    retryMs: () => retryMs,
    next: () => inbox.take(),
    async leave() {
      abort.abort();
      await ended.promise;
    },
  };
  (async () => {
    let rest = "";
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (rest + text).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const { id, data, comment, retry } of blocks.map(fieldsOf)) {
        if (id !== undefined) stream.cursor = id;
        if (comment !== undefined) stream.beats++;
        if (retry !== undefined) retryMs = Number(retry);
        if (data !== undefined) inbox.put(data);
      }
    }
  })().catch(() => {}).finally(() => {
    inbox.end();
    ended.resolve();
  });
  return stream;
}

/** Opens a WebSocket; throws when it is refused. */
export async function openWebSocket(options: StreamOptions): Promise<Stream & { send: (text: string) => void }> {
  const url = streamUrl("ws", options);
  url.protocol = "ws:";
  const socket = new WebSocket(url, { headers: streamHeaders(options) });
  const inbox = new Inbox();
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const stream = {
    cursor: undefined as string | undefined,
    beats: 0,
    code: undefined as number | undefined,
    pongs: 0,
    next: () => inbox.take(),
    send: (text: string) => socket.send(text),
    async leave() {
      socket.close(1000);
      await closed.promise;
    },
  };
  socket.onopen = () => opened.resolve();
  socket.onerror = (event) => {
    const cause = event instanceof ErrorEvent ? event.message : "unknown";
    opened.reject(new Error(`The WebSocket was refused: ${cause}`));
  };
  socket.onclose = ({ code }) => {
    stream.code = code;
    inbox.end();
    closed.resolve();
  };
  socket.onmessage = ({ data }) => {
    const { type, cursor } = JSON.parse(data);
    if (cursor !== undefined) stream.cursor = cursor;
    if (type === "ping" || type === "pong") stream.beats++;
    else inbox.put(data);
  };
  await opened.promise;
  return stream;
}

/** Answer to a WebSocket handshake. */
export interface HandshakeAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  /** Ends the connection without a word, where the WebSocket was opened; it is never read. */
  cut(): void;
}

/** Sends a WebSocket handshake, to see its status, which `WebSocket` hides. */
export function shakeHands(options: StreamOptions, path = "ws"): Promise<HandshakeAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HandshakeAnswer>();
  const sent = request(streamUrl(path, options), {
    headers: {
      ...Object.fromEntries(streamHeaders(options)),
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
  });
  sent.on("error", reject);
  sent.on("upgrade", ({ headers }, socket) => {
    socket.on("error", () => {});
    resolve({ status: 101, headers, body: {}, cut: () => socket.destroy() });
  });
  sent.on("response", async (answer) => {
    let text = "";
    for await (const part of answer.setEncoding("utf8")) text += part;
    resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: JSON.parse(text), cut: () => {} });
  });
  sent.end();
  return promise;
}
