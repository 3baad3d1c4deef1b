/**
 * One HTTP request to an address that was checked before. `fetch` resolves the name again, and could be led elsewhere
 * between check and connection (DNS rebinding): so the connection is made here, to that very address, and TLS proves
 * the name.
 *
 * @module
 */

/** What came back, as far as it is read. */
export interface PostAnswer {
  status: number;
  headers: Headers;
  /** The beginning of the body, at most {@link maxBody_bytes} bytes of it. */
  text: string;
}

export interface PostOptions {
  /** Address of the URL's host. */
  address: string;
  headers: Record<string, string>;
  body: string;
  /** Gives the request up. */
  signal: AbortSignal;
  /** Certificates to trust beside the usual ones, in PEM. */
  caCerts?: string[];
}

const maxHead_bytes = 16 * 1024;
const maxBody_bytes = 4 * 1024;

/** POSTs the body; follows nothing, reads no more than needed. */
export async function post(url: URL, options: PostOptions): Promise<PostAnswer> {
  const { signal, address, caCerts } = options;
  signal.throwIfAborted();
  const connecting = Deno.connect({ hostname: address, port: Number(url.port) || defaultPort(url) });
  // a connection that comes too late is not kept
  const tcp = await untilAborted(connecting, signal, (late) => late.close());
  let connection: Deno.Conn = tcp;
  const close = () => closeQuietly(connection);
  signal.addEventListener("abort", close);
  try {
    if (url.protocol === "https:") {
      const handshake = Deno.startTls(tcp, { hostname: url.hostname, caCerts });
      connection = await untilAborted(handshake, signal, closeQuietly);
    }
    const sent = new TextEncoder().encode(requestText(url, options));
    try {
      for (let from = 0; from < sent.length;) from += await connection.write(sent.subarray(from));
    } catch (error) {
      // who answers before he has read everything may have said why
      if (signal.aborted) throw error;
    }
    return await readAnswer(connection);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // it was closed by the other side, or is part of a TLS connection by now
  }
}

const defaultPort = (url: URL) => url.protocol === "https:" ? 443 : 80;

function requestText(url: URL, { headers, body }: PostOptions): string {
  const lines = Object.entries({
    ...headers,
    "content-length": String(new TextEncoder().encode(body).length),
    connection: "close",
  }).map(([name, value]) => `${name}: ${value}`);
  return [`POST ${url.pathname}${url.search} HTTP/1.1`, `host: ${url.host}`, ...lines, "", body].join("\r\n");
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal, discard: (late: T) => void): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } catch (error) {
    promise.then(discard, () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Bytes of the connection, as text with one character per byte. */
class ByteReader {
  text = "";
  #buffer = new Uint8Array(4096);

  constructor(readonly connection: Deno.Conn) {}

  /** False at the end. */
  async more(): Promise<boolean> {
    const count = await this.connection.read(this.#buffer);
    for (const byte of this.#buffer.subarray(0, count ?? 0)) this.text += String.fromCharCode(byte);
    return count !== null;
  }
}

async function readAnswer(connection: Deno.Conn): Promise<PostAnswer> {
  const reader = new ByteReader(connection);
  for (;;) {
    const end = reader.text.indexOf("\r\n\r\n");
    if (end >= 0) {
      const { status, headers } = parseHead(reader.text.slice(0, end));
      reader.text = reader.text.slice(end + 4);
      // 100 Continue and the like come before the answer
      if (status >= 200) return { status, headers, text: await readBody(reader, status, headers) };
    } else if (reader.text.length > maxHead_bytes) {
      throw new Error("the head of the answer is too long");
    } else if (!await reader.more()) {
      throw new Error("the connection was closed without an answer");
    }
  }
}

function parseHead(head: string): { status: number; headers: Headers } {
  const [first = "", ...lines] = head.split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})( |$)/.exec(first)?.[1]);
  if (!(status >= 100 && status < 600)) throw new Error("the answer is not HTTP/1.1");
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined && !/[\0\r\n]/.test(value)) headers.append(name, value.trim());
  }
  return { status, headers };
}

/** The beginning of the body; an answer that breaks off after its status is one all the same. */
async function readBody(reader: ByteReader, status: number, headers: Headers): Promise<string> {
  if (status === 204 || status === 304) return "";
  const isChunked = headers.get("transfer-encoding")?.toLowerCase().endsWith("chunked") ?? false;
  const length = Math.min(Number(headers.get("content-length") ?? Infinity), maxBody_bytes);
  const isComplete = () =>
    reader.text.length >= maxBody_bytes ||
    (isChunked ? /(^|\r\n)0+\r\n/.test(reader.text) : reader.text.length >= length);
  try {
    while (!isComplete() && await reader.more());
  } catch {
    // what was read is what there is
  }
  const text = isChunked ? dechunk(reader.text) : reader.text.slice(0, length);
  return new TextDecoder().decode(Uint8Array.from(text, (character) => character.charCodeAt(0)));
}

/** The content of the chunks that are there, the last one perhaps in part. */
function dechunk(text: string): string {
  let content = "";
  for (let at = 0;;) {
    const end = text.indexOf("\r\n", at);
    const size = end < 0 ? 0 : parseInt(text.slice(at, end), 16) || 0;
    if (size === 0) return content;
    content += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
