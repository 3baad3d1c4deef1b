/** The proxy of WebSockets, with small functions behind it. */
import { assert, assertEquals, assertRejects } from "../../supabase/functions/tests/support/assertions.ts";
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { inProject } from "../system/paths.ts";
import { holdsWithin } from "../system/poll.ts";
import { proxyWebSocket } from "../gateway/websocket_proxy.ts";

const handshake = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

type Handler = (request: Request) => Response;

/** Runs a function behind the proxy; `run` gets the proxy's port. */
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

/** Opens a WebSocket that is not read, unless the test reads it. */
async function openUnread(port: number): Promise<Deno.Conn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const lines = ["GET / HTTP/1.1", "Host: proxy", ...Object.entries(handshake).map((header) => header.join(": "))];
  await connection.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  return connection;
}

/** Reads so many bytes, or until the end, and closes the connection. */
async function readAll(connection: Deno.Conn, bytes: number): Promise<number> {
  const buffer = new Uint8Array(65_536);
  let read = 0;
  for (let count: number | null = 0; count !== null && read < bytes;) {
    read += count = await connection.read(buffer) ?? 0;
    if (count === 0) break;
  }
  connection.close();
  return read;
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
  let isOpen = false;
  const idle = opening((socket) => {
    isOpen = true;
    socket.onclose = () => isOver = true;
  });
  await withProxy(idle, async (port) => {
    const socket = await openUnread(port);
    assert(await holdsWithin(2_000, () => isOpen), "the function opens");
    assertEquals(isOver, false);
    socket.close();
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
    socket.close();
    assert(await holdsWithin(2_000, () => isOver), "the client has gone");
  });
});

Deno.test("proxyWebSocket: the function sees what waits, when the client does not read", async () => {
  const [messages, length] = [600, 50_000];
  let sender: WebSocket | undefined;
  const flood = opening((socket) => {
    sender = socket;
    for (let count = 0; count < messages; count++) socket.send("x".repeat(length));
  });
  await withProxy(flood, async (port) => {
    const socket = await openUnread(port);
    assert(await holdsWithin(2_000, () => sender !== undefined), "the function opens");
    const waiting = () => sender?.bufferedAmount ?? 0;
    // what the system and the proxy take is soon full
    assertEquals(await holdsWithin(1_500, () => waiting() === 0), false, "all was taken from the function");
    assert(waiting() > messages * length / 4, `${waiting()} of ${messages * length} bytes wait in the function`);
    assert(await readAll(socket, messages * length) >= messages * length, "all comes, once it is read");
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
  // busy with sending, the client may not see the close frame before the connection is cut
  const [code] = await ended;
  assert(code === 4008 || code === 0, `${code}`);
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

/** A part in a process of its own. */
interface Part {
  port: number;
  end(): Promise<void>;
}

async function startPart(...args: string[]): Promise<Part> {
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--v8-flags=--expose-gc",
      inProject("local", "tests", "testing_websockets.ts"),
      ...args,
    ],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  const port = Number((await lines.read()).value);
  return {
    port,
    async end() {
      process.kill();
      await Promise.all([process.status, lines.cancel()]);
    },
  };
}

Deno.test("proxyWebSocket: 24 sockets cost under 20 MB in gateway and function, when nobody reads them", async () => {
  const sender = await startPart("function");
  const gateway = await startPart("gateway", String(sender.port));
  const parts = [sender, gateway];
  const memory_mb = async () => {
    const all = parts.map(async ({ port }) => Number(await (await fetch(`http://127.0.0.1:${port}/memory`)).text()));
    return (await Promise.all(all)).reduce((sum, one) => sum + one, 0) / 1e6;
  };
  const open = () => Promise.all(Array.from({ length: 24 }, () => openUnread(gateway.port)));
  const connections: Deno.Conn[] = [];
  try {
    // the same with 24 that read: what remains of it is not the price of not reading
    await Promise.all((await open()).map((connection) => readAll(connection, 16_000_000)));
    const before_mb = await memory_mb();
    connections.push(...await open());
    let grown_mb = 0;
    const grows = await holdsWithin(3_000, async () => (grown_mb = await memory_mb() - before_mb) > 20);
    assertEquals(grows, false, `${grown_mb} MB`);
    console.log(`MEASURED 24 WebSockets that nobody reads: ${grown_mb.toFixed(1)} MB`);
  } finally {
    for (const connection of connections) connection.close();
    for (const part of parts) await part.end();
  }
});
