/** Connects a client's WebSocket with the function that it asked for. */
export function proxyWebSocket(request: Request, target: string, headers: Headers): Response {
  const protocols = request.headers.get("sec-websocket-protocol")?.split(",").map((name) => name.trim()) ?? [];
  const forwarded = new Headers(headers);
  for (const name of [...forwarded.keys()]) {
    if (name.startsWith("sec-websocket-") || ["connection", "upgrade", "host"].includes(name)) forwarded.delete(name);
  }
  const upstream = new WebSocket(target.replace(/^http/, "ws"), { protocols, headers: forwarded });
  const { socket: client, response } = Deno.upgradeWebSocket(request, { protocol: protocols[0], idleTimeout: 0 });
  upstream.binaryType = "arraybuffer";
  client.binaryType = "arraybuffer";

  const early: (string | ArrayBuffer)[] = [];
  client.onmessage = ({ data }) => {
    if (upstream.readyState === WebSocket.OPEN) upstream.send(data);
    else early.push(data);
  };
  upstream.onopen = () => {
    for (const data of early.splice(0)) upstream.send(data);
  };
  upstream.onmessage = ({ data }) => {
    if (client.readyState === WebSocket.OPEN) client.send(data);
  };
  client.onclose = ({ code, reason }) => close(upstream, code, reason);
  upstream.onclose = ({ code, reason }) => close(client, code, reason);
  client.onerror = () => close(upstream, 1011, "");
  upstream.onerror = () => close(client, 1011, "");
  return response;
}

function close(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState === WebSocket.CLOSED || socket.readyState === WebSocket.CLOSING) return;
  // Only these codes may be sent; the others describe what the other side saw.
  const isSendable = code === 1000 || (code >= 3000 && code <= 4999);
  if (isSendable) socket.close(code, reason);
  else socket.close();
}
