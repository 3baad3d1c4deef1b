/**
 * An HTTP request to a checked address. `fetch` would resolve the name again, and the name could point elsewhere by then
 * (DNS rebinding). This module connects to the checked address, and TLS verifies the name.
 *
 * @module
 */
import { isIPv6, type Socket } from "node:net";

/** Answer of the receiver, as far as it is read. */
export interface PostAnswer {
  status: number;
  /** Header `Retry-After`. */
  retryAfter: string | undefined;
  /** The beginning of the body, about {@link maxBodyBytes} bytes of it. */
  text: string;
}

export interface PostOptions {
  /** Address of the URL's host. */
  address: string;
  headers: Record<string, string>;
  body: string;
  /** Aborts the request. */
  signal: AbortSignal;
  /** Time limit of connecting, which the signal does not abort. */
  connectMs?: number;
  /** Certificates to trust instead of the default ones, in PEM. */
  ca?: string[];
}

const maxHeadBytes = 16 * 1024;
const maxBodyBytes = 4 * 1024;

/** Largest answer, heads and padding included: parsing an endless one costs time. */
const maxAnswerBytes = 256 * 1024;

/** POSTs the body. Follows no redirects and reads only the beginning of the answer. */
export async function post(url: URL, options: PostOptions): Promise<PostAnswer> {
  const { address, headers, body, signal, connectMs, ca } = options;
  // loaded on first use, because only the dispatcher needs it
  const { Agent, buildConnector, request } = await import("undici");
  const found = { address, family: isIPv6(address) ? 6 : 4 };
  const connect = buildConnector({
    ca,
    timeout: connectMs,
    lookup: (_hostname, { all }, tell) => all ? tell(null, [found]) : tell(null, found.address, found.family),
  });
  const agent = new Agent({
    connect: (target, connected) =>
      connect(target, (...outcome) => {
        const [error, socket] = outcome;
        if (error === null) limitSize(socket);
        connected(...outcome);
      }),
    maxHeaderSize: maxHeadBytes,
  });
  try {
    const answer = await request(url, { method: "POST", headers, body, signal, dispatcher: agent });
    const retryAfter = answer.headers["retry-after"];
    return {
      status: answer.statusCode,
      retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
      text: await readBeginning(answer.body),
    };
  } finally {
    // closes the connection, also during an endless answer
    await agent.destroy();
  }
}

/** Limits the size at each read, before parsing: a fast peer leaves no time for timers. */
function limitSize(socket: Socket): void {
  socket.prependListener("readable", () => {
    if (socket.bytesRead > maxAnswerBytes) socket.destroy(new Error("the answer is too long"));
  });
}

/** Reads the beginning of an answer. An answer that breaks off after its status still counts. */
async function readBeginning(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length >= maxBodyBytes) break;
    }
  } catch {
    // the part that arrived is the answer
  }
  return text;
}
