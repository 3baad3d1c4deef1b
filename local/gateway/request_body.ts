/** Bodies of requests, read within bounds. */
import { Pace } from "./pace.ts";
import { Turns } from "./turns.ts";

/** Largest body that reaches a function; Supabase's gateway has the same limit. */
export const maxUploadBytes = 20 * 1024 * 1024;
/** Largest body of the Data API and the Auth API: a body of the functions (1 MiB) with the names of its columns added. */
export const maxDataBytes = 2 * 1024 * 1024;
/** Largest body of rows for a table: the Data API library takes 4 s for 2 MiB of them and answers no one else meanwhile. */
export const maxRowsBytes = 64 * 1024;
/** An unwanted body is read as far as this and thrown away: a client that is cut off does not see its answer. */
const maxDiscardedBytes = 64 * 1024 * 1024;
const maxDiscardingMs = 10_000;
/** Each body is read this far as fast as it comes: a batch of 1,000 reports is smaller. */
const unpacedBytes = 256 * 1024;
/** Rate at which the rest of all bodies together is read: faster reading delays the requests of others. */
const pace = new Pace(16 * 1024 * 1024);
/**
 * One body of a caller is read further: until its end, a body holds about half of its bytes in memory. The limit is per
 * caller, because a slow client would block a limit that all callers share.
 */
const largeBodies = new Turns(1);
/** A client that pauses for longer loses its turn, and its connection. */
const maxPauseMs = 5000;

type Bytes = Uint8Array<ArrayBuffer>;

/** The sender of a request, unless it is a server with the secret key. */
const callers = new WeakMap<Request, string>();

/** Returns the caller whose turn the body of a request takes; undefined = it needs none. */
export function setCaller(request: Request, caller: string | undefined): void {
  if (caller === undefined) callers.delete(request);
  else callers.set(request, caller);
}

/** Bodies that are read here, so that their rest can be discarded. */
const received = new WeakMap<Request, ReceivedBody>();

/** A body on its way from the client. */
class ReceivedBody {
  readonly #reader: ReadableStreamDefaultReader<Bytes>;
  readonly #caller: string | undefined;
  #bytes = 0;
  /** Asked for once, also when the way to the function and the discarding read at the same time. */
  #turn: Promise<() => void> | undefined;
  #isOver = false;
  #rest: Promise<void> | undefined;

  private constructor(body: ReadableStream<Bytes>, caller: string | undefined) {
    this.#reader = body.getReader();
    this.#caller = caller;
    this.#reader.closed.catch(() => {}).finally(() => {
      this.#isOver = true;
      this.#turn?.then((endTurn) => endTurn());
    });
  }

  /** Returns the body of a request that no other code has begun to read. */
  static of(request: Request): ReceivedBody | undefined {
    const known = received.get(request);
    if (known || request.body === null || request.bodyUsed || request.body.locked) return known;
    const body = new ReceivedBody(request.body, callers.get(request));
    received.set(request, body);
    return body;
  }

  /** Reads the next piece; undefined at the end. */
  async read(): Promise<Bytes | undefined> {
    const pause = this.#turn && setTimeout(() => this.#cutOff(), maxPauseMs);
    const { done, value } = await this.#reader.read().finally(() => clearTimeout(pause));
    if (done) return undefined;
    this.#bytes += value.length;
    if (this.#bytes > unpacedBytes) await this.#waitForTurn(value.length);
    return value;
  }

  async #waitForTurn(bytes: number): Promise<void> {
    if (this.#isOver) return;
    if (this.#caller !== undefined) await (this.#turn ??= largeBodies.take(this.#caller));
    await pace.wait(bytes);
  }

  /** Reads the rest and throws it away. A client that sends for too long is cut off. */
  discard(): Promise<void> {
    return this.#rest ??= this.#readRest();
  }

  async #readRest(): Promise<void> {
    const timer = setTimeout(() => this.#cutOff(), maxDiscardingMs);
    try {
      while (await this.read() !== undefined) {
        if (this.#bytes > maxDiscardedBytes) await this.#cutOff();
      }
    } catch {
      // The client left.
    } finally {
      clearTimeout(timer);
    }
  }

  async #cutOff(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

/** Returns the size that the request declares; undefined when it declares none, as a chunked body does. */
export function declaredBytes({ headers }: Request): number | undefined {
  const length = headers.get("content-length");
  return length === null || headers.has("transfer-encoding") ? undefined : Number(length);
}

/** Reads what is left of a request's body, so that the client sees the answer. */
export async function discardBody(request: Request): Promise<void> {
  // a GET has none, and asking for that of a WebSocket throws
  if (request.method !== "GET") await ReceivedBody.of(request)?.discard();
}

/** Returns the request with a body of at most `maxBytes`; undefined when it is larger. */
export async function withBoundedBody(request: Request, maxBytes: number): Promise<Request | undefined> {
  const declared = declaredBytes(request);
  if (declared !== undefined && declared > maxBytes) return undefined;
  if (request.body === null || (declared !== undefined && declared <= unpacedBytes)) return request;
  const upload = new Upload(request, maxBytes);
  try {
    const body = await new Response(upload.stream).arrayBuffer();
    return new Request(request.url, { method: request.method, headers: request.headers, body, signal: request.signal });
  } catch (error) {
    if (upload.isTooLarge) return undefined;
    throw error;
  }
}

/** A body on its way to a function. */
export class Upload {
  readonly stream: ReadableStream<Bytes>;
  /** True when the client sent more than the limit. */
  isTooLarge = false;
  /** True when the client disconnected before the end. */
  isBroken = false;

  constructor(request: Request, maxBytes: number) {
    const body = ReceivedBody.of(request);
    let left = maxBytes;
    this.stream = new ReadableStream({
      pull: async (controller) => {
        const value = await body?.read().catch((error) => {
          this.isBroken = true;
          throw error;
        });
        if (value === undefined) return controller.close();
        left -= value.length;
        if (left >= 0) return controller.enqueue(value);
        this.isTooLarge = true;
        throw new RangeError(`The body is larger than ${maxBytes} bytes`);
      },
    });
  }
}
