/**
 * One HTTP request to an address that was checked before. `fetch` resolves the name again, and could be led elsewhere
 * between check and connection (DNS rebinding): here the name is looked up as the checked address, and TLS proves it.
 *
 * @module
 */
import { isIPv6, type Socket } from "node:net";

/** What came back, as far as it is read. */
export interface PostAnswer {
  status: number;
  /** Header `Retry-After`. */
  retryAfter: string | undefined;
  /** The beginning of the body, about {@link maxBody_bytes} bytes of it. */
  text: string;
}

export interface PostOptions {
  /** Address of the URL's host. */
  address: string;
  headers: Record<string, string>;
  body: string;
  /** Gives the request up. */
  signal: AbortSignal;
  /** How long connecting may take, which the signal does not end. */
  connect_ms?: number;
  /** Certificates to trust instead of the usual ones, in PEM. */
  ca?: string[];
}

const maxHead_bytes = 16 * 1024;
const maxBody_bytes = 4 * 1024;

/** Whatever an answer is made of: one that goes on and on without saying anything costs time to parse. */
const maxAnswer_bytes = 256 * 1024;

/** POSTs the body; follows nothing, reads no more than needed. */
export async function post(url: URL, options: PostOptions): Promise<PostAnswer> {
  const { address, headers, body, signal, connect_ms, ca } = options;
  // loaded by who sends: no other endpoint of the function needs it
  const { Agent, buildConnector, request } = await import("undici");
  const found = { address, family: isIPv6(address) ? 6 : 4 };
  const connect = buildConnector({
    ca,
    timeout: connect_ms,
    lookup: (_hostname, { all }, tell) => all ? tell(null, [found]) : tell(null, found.address, found.family),
  });
  const agent = new Agent({
    connect: (target, connected) =>
      connect(target, (...outcome) => {
        const [error, socket] = outcome;
        if (error === null) limitSize(socket);
        connected(...outcome);
      }),
    maxHeaderSize: maxHead_bytes,
  });
  try {
    const answer = await request(url, { method: "POST", headers, body, signal, dispatcher: agent });
    const retryAfter = answer.headers["retry-after"];
    return {
      status: answer.statusCode,
      retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
      text: await beginning(answer.body),
    };
  } finally {
    // the rest of an endless answer, too
    await agent.destroy();
  }
}

/** Judged at each read, before it is parsed: a peer that sends faster than that leaves no time for timers. */
function limitSize(socket: Socket): void {
  socket.prependListener("readable", () => {
    if (socket.bytesRead > maxAnswer_bytes) socket.destroy(new Error("the answer is too long"));
  });
}

/** An answer that breaks off after its status is one all the same. */
async function beginning(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length >= maxBody_bytes) break;
    }
  } catch {
    // what was read is what there is
  }
  return text;
}
