/**
 * One half of what a WebSocket passes through, in a process of its own, so that its memory can be measured: `function`
 * sends as a stream does, at most 128 KiB ahead; `gateway <port>` is the proxy before it. Says its port in one line.
 */
import { proxyWebSocket } from "../gateway/websocket_proxy.ts";

const [part, port] = Deno.args;
const ahead_bytes = 128 * 1_024;
const messages = 1_000;
const message = "x".repeat(16_000);

/** Resident memory without garbage: needs `--v8-flags=--expose-gc`. */
function memory(): Response {
  const collect: unknown = Reflect.get(globalThis, "gc");
  if (typeof collect === "function") collect();
  return Response.json(Deno.memoryUsage().rss);
}

function send(request: Request): Response {
  const { socket, response } = Deno.upgradeWebSocket(request);
  let sent = 0;
  const timer = setInterval(() => {
    for (; socket.readyState === WebSocket.OPEN && sent < messages && socket.bufferedAmount < ahead_bytes; sent++) {
      socket.send(message);
    }
  }, 10);
  socket.onclose = () => clearInterval(timer);
  return response;
}

Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(port) }, (request) => {
  if (new URL(request.url).pathname === "/memory") return memory();
  return part === "gateway" ? proxyWebSocket(request, `http://127.0.0.1:${port}/`, request.headers) : send(request);
});
