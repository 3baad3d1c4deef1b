/** The proxy of WebSockets, with small functions behind it; and what clients that never read cost the whole stack. */
import { request as sendRequest } from "node:http";
import type { Duplex } from "node:stream";
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert/mod.js";
import { holdsWithin } from "./poll.ts";
import { descendants, endBy, startAndWait, type StartedCommand } from "./testing.ts";
import { proxyWebSocket } from "./websocket_proxy.ts";

const handshake = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

type Handler = (request: Request) => Response;

/** Runs a function behind the proxy. `run` gets the proxy's port, and the WebSocket that the function has last opened. */
async function withProxy(handler: Handler, run: (port: number) => Promise<void>): Promise<void> {
  const quiet = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const functions = Deno.serve(quiet, handler);
  const gateway = Deno.serve(quiet, (request) => {
    const target = `http://127.0.0.1:${functions.addr.port}${new URL(request.url).pathname}`;
    return proxyWebSocket(request, target, request.headers);
  });
  try {
    await run(gateway.addr.port);
  } finally {
    await Promise.all([gateway.shutdown(), functions.shutdown()]);
  }
}

/** A function that opens every WebSocket. */
function opening(use: (socket: WebSocket) => void): Handler {
  return (request) => {
    const protocol = request.headers.get("sec-websocket-protocol")?.split(", ").at(-1);
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol });
    socket.binaryType = "arraybuffer";
    socket.onopen = () => use(socket);
    return response;
  };
}

/** Opens a WebSocket that is never read, unless by who opened it. */
function openUnread(port: number, path = "/", headers: Record<string, string> = {}): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const sent = sendRequest({ port, path, headers: { ...handshake, ...headers } });
  sent.on("upgrade", (_answer, socket) => {
    socket.pause();
    socket.on("error", () => {});
    resolve(socket);
  });
  sent.on("response", ({ statusCode }) => reject(new Error(`Refused with ${statusCode}`)));
  sent.on("error", reject);
  sent.end();
  return promise;
}

async function openSocket(port: number, protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, protocols);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return socket;
}

const closing = (socket: WebSocket) =>
  new Promise<[number, string]>((resolve) => socket.onclose = ({ code, reason }) => resolve([code, reason]));

Deno.test("proxyWebSocket: passes status, headers and body on, when the function refuses the handshake", async () => {
  const refuse: Handler = () =>
    Response.json({ code: "rate_limited" }, { status: 429, headers: { "retry-after": "5", "x-request-id": "a" } });
  await withProxy(refuse, async (port) => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: handshake });
    assertEquals([answer.status, await answer.json()], [429, { code: "rate_limited" }]);
    assertEquals([answer.headers.get("retry-after"), answer.headers.get("x-request-id")], ["5", "a"]);
  });
});

Deno.test("proxyWebSocket: passes messages, protocol and close code on, when either side sends them", async () => {
  const opened: WebSocket[] = [];
  const echo = opening((socket) => {
    opened.push(socket);
    socket.onmessage = ({ data }) => socket.send(data);
  });
  await withProxy(echo, async (port) => {
    const first = await openSocket(port, ["v1", "v2"]);
    assertEquals(first.protocol, "v2");
    const got: unknown[] = [];
    first.onmessage = ({ data }) => got.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
    first.send("Größe");
    first.send(new Uint8Array([1, 2, 3]));
    first.send("");
    assert(await holdsWithin(2_000, () => got.length === 3), JSON.stringify(got));
    assertEquals(got, ["Größe", [1, 2, 3], ""]);
    opened[0]?.close(4001, "slow_reader");
    assertEquals(await closing(first), [4001, "slow_reader"]);

    const second = await openSocket(port);
    assert(await holdsWithin(2_000, () => opened.length === 2));
    const seen = opened[1] && closing(opened[1]);
    second.close(1000, "done");
    assertEquals(await seen, [1000, "done"]);
  });
});

Deno.test("proxyWebSocket: ends the function's connection, when the client has gone without a word", async () => {
  let isOver = false;
  const idle = opening((socket) => socket.onclose = () => isOver = true);
  await withProxy(idle, async (port) => {
    const socket = await openUnread(port);
    assertEquals(isOver, false);
    socket.destroy();
    assert(await holdsWithin(2_000, () => isOver), "the function sees the end");
  });
});

Deno.test("proxyWebSocket: leaves the function's connection open, when the client does not answer that it ends", async () => {
  let isOver = false;
  const ending = opening((socket) => {
    socket.onclose = () => isOver = true;
    socket.close(4000, "lifetime");
  });
  await withProxy(ending, async (port) => {
    const socket = await openUnread(port);
    assertEquals(await holdsWithin(500, () => isOver), false);
    socket.destroy();
    assert(await holdsWithin(2_000, () => isOver), "the client has gone");
  });
});

Deno.test("proxyWebSocket: the function sees what waits, when the client does not read", async () => {
  const [messages, length] = [600, 50_000];
  let sender: WebSocket | undefined;
  const flood = opening((socket) => {
    sender = socket;
    for (let count = 0; count < messages; count++) socket.send("x".repeat(length));
    socket.close(4000, "all");
  });
  await withProxy(flood, async (port) => {
    const socket = await openUnread(port);
    const waiting = () => sender?.bufferedAmount ?? 0;
    let least = Infinity;
    // what the system and the proxy take is soon full
    const drains = await holdsWithin(1_500, () => (least = waiting()) === 0 && least === 0);
    assertEquals(drains, false, "all was taken from the function");
    assert(least > messages * length / 4, `${least} of ${messages * length} bytes wait in the function`);
    let read = 0;
    socket.on("data", (bytes: Uint8Array) => read += bytes.length);
    socket.resume();
    assert(await holdsWithin(5_000, () => read > messages * length), `${read} bytes came`);
    socket.destroy();
  });
});

Deno.test("proxyWebSocket: disconnects the client, when it sends more than the function takes", async () => {
  const accept = async (connection: Deno.Conn) => {
    // a function that opens the WebSocket, and then never reads
    const head = new Uint8Array(4_096);
    const text = new TextDecoder().decode(head.subarray(0, await connection.read(head) ?? 0));
    const key = /sec-websocket-key: (.*)\r\n/i.exec(text)?.[1] ?? "";
    const bytes = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes)).toBase64();
    const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
    const answer = [...lines, `Sec-WebSocket-Accept: ${digest}`, "\r\n"].join("\r\n");
    await connection.write(new TextEncoder().encode(answer));
  };
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept().then(async (connection) => {
    await accept(connection);
    return connection;
  });
  const target = `http://127.0.0.1:${listener.addr.port}/`;
  const gateway = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => proxyWebSocket(request, target, request.headers),
  );
  const socket = await openSocket(gateway.addr.port);
  const connection = await accepted;
  const ended = closing(socket);
  const message = new Uint8Array(1_000_000);
  for (let count = 0; count < 60; count++) socket.send(message);
  assertEquals((await ended)[0], 4008);
  connection.close();
  listener.close();
  await gateway.shutdown();
});

Deno.test("proxyWebSocket: throws, when the function cannot be reached", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const request = new Request("http://127.0.0.1/", { headers: handshake });
  await assertRejects(
    () => proxyWebSocket(request, `http://127.0.0.1:${port}/`, request.headers),
    Error,
    "ECONNREFUSED",
  );
});

/** Resident memory of the gateway and of the functions, in bytes. */
async function memoryOf({ process: { pid } }: StartedCommand): Promise<number> {
  let total = 0;
  for (const one of [pid, ...await descendants(pid)]) {
    const command = await Deno.readTextFile(`/proc/${one}/cmdline`).catch(() => "");
    if (!command.includes("start.ts") && !command.includes("functions_host.ts")) continue;
    const [, kilobytes = "0"] = /VmRSS:\s+(\d+)/.exec(await Deno.readTextFile(`/proc/${one}/status`)) ?? [];
    total += Number(kilobytes) * 1_024;
  }
  return total;
}

Deno.test({
  name: "GET /stream/v1/ws: 24 sockets cost under 20 MB in gateway and functions, when nobody reads them",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const started = await startAndWait(["--ephemeral", "--no-seed"]);
    const sockets: Duplex[] = [];
    try {
      const { SUPABASE_URL: url = "", SUPABASE_SECRET_KEY: apikey = "" } = started.settings;
      const post = async (path: string, body: unknown) => {
        const answer = await fetch(`${url}/functions/v1${path}`, {
          method: "POST",
          headers: { apikey, "content-type": "application/json" },
          body: JSON.stringify(body),
        });
        const text = await answer.text();
        assert(answer.ok, text);
      };
      const operation = { order_no: "M-1", operation_no: "0010", workplace_name: "Memory" };
      await post("/operations/v1", { ...operation, asset_id: 1, status: "RELEASED" });
      await post("/events/v1", { ...operation, action_type: "START" });
      const operation_data = { text: "x".repeat(15_000) };
      const event = { ...operation, action_type: "REPORT_QUANTITY", qty_good: 1, operation_data };
      // as much as the system holds for a connection, and more
      const flood = async () => {
        for (let round = 0; round < 16; round++) await post("/events/v1/batch", { events: Array(60).fill(event) });
      };
      const open = () => openUnread(Number(new URL(url).port), "/functions/v1/stream/v1/ws", { apikey });
      // the same with one that reads, for what is not the price of a socket
      const reader = await open();
      reader.resume();
      await flood();
      reader.destroy();
      const before = await memoryOf(started);
      for (let count = 0; count < 24; count++) sockets.push(await open());
      await flood();
      const grown_mb = (await memoryOf(started) - before) / 1e6;
      console.log(`MEASURED 24 WebSockets that are not read: ${grown_mb.toFixed(1)} MB`);
      assertLess(grown_mb, 20);
    } finally {
      for (const socket of sockets) socket.destroy();
      await endBy("SIGTERM", started);
    }
  },
});
