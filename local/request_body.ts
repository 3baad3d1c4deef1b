/** Bodies of requests, read within bounds. */
import { delay } from "./poll.ts";

/** Largest body that reaches a function; Supabase's gateway has the same limit. */
export const maxUploadBytes = 20 * 1024 * 1024;
/** Largest body of the Data API and the Auth API: a body of the functions (1 MiB) with the names of its columns added. */
export const maxDataBytes = 2 * 1024 * 1024;
/** Largest body of rows for a table: the Data API library takes 4 s for 2 MiB of them, in which nobody else is answered. */
export const maxRowsBytes = 64 * 1024;
/** An unwanted body is read as far as this and thrown away: a client that is cut off does not see its answer. */
const maxDiscardedBytes = 64 * 1024 * 1024;
const maxDiscardingMs = 10_000;
/** So much of it is read at once. The rest is read at about 16 MB/s, so that nobody else waits for it. */
const unpacedBytes = 1024 * 1024;
const paceMs = 4;

type Bytes = Uint8Array<ArrayBuffer>;
type Reader = ReadableStreamDefaultReader<Bytes>;

/** Returns the size that the request declares; undefined when it declares none, as a chunked body does. */
export function declaredBytes({ headers }: Request): number | undefined {
  const length = headers.get("content-length");
  return length === null || headers.has("transfer-encoding") ? undefined : Number(length);
}

/** Reads a body that nobody wants to its end, so that the client sees the answer; a very long one is cut off. */
export async function discardBody(request: Request): Promise<void> {
  if (request.body !== null && !request.bodyUsed && !request.body.locked) await discard(request.body.getReader());
}

async function discard(reader: Reader): Promise<void> {
  let left = maxDiscardedBytes;
  const timer = setTimeout(() => reader.cancel().catch(() => {}), maxDiscardingMs);
  try {
    while (left > 0) {
      const { done, value } = await reader.read();
      if (done) return;
      left -= value.length;
      if (maxDiscardedBytes - left > unpacedBytes) await delay(paceMs);
    }
    await reader.cancel();
  } catch {
    // The client left.
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the request with a body of at most `maxBytes`; undefined when it is larger. */
export async function withBoundedBody(request: Request, maxBytes: number): Promise<Request | undefined> {
  const declared = declaredBytes(request);
  if (declared !== undefined) return declared > maxBytes ? undefined : request;
  if (request.body === null) return request;
  const upload = new Upload(request.body, maxBytes);
  try {
    const body = await new Response(upload.stream).arrayBuffer();
    return new Request(request.url, { method: request.method, headers: request.headers, body, signal: request.signal });
  } catch (error) {
    if (upload.isTooLarge) return undefined;
    throw error;
  }
}

/** A body on its way to a function. The client's side is read to its end even when the function's side is closed. */
export class Upload {
  readonly stream: ReadableStream<Bytes>;
  /** Whether the client sent more than the limit. */
  isTooLarge = false;
  /** Whether the client left before its end. */
  isBroken = false;

  constructor(body: ReadableStream<Bytes>, maxBytes: number) {
    const reader = body.getReader();
    let left = maxBytes;
    this.stream = new ReadableStream({
      pull: async (controller) => {
        const { done, value } = await reader.read().catch((error) => {
          this.isBroken = true;
          throw error;
        });
        if (done) return controller.close();
        left -= value.length;
        if (left >= 0) return controller.enqueue(value);
        this.isTooLarge = true;
        controller.error(new RangeError(`The body is larger than ${maxBytes} bytes`));
        discard(reader);
      },
      cancel() {
        discard(reader);
      },
    });
  }
}
