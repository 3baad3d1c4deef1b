/**
 * Request bodies. An endpoint with a body reads it within bounds, after all other checks. A body that no endpoint reads
 * is drained, so that the connection stays usable.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import { decodeUtf8, readJson } from "./json.ts";
import { Problem } from "./problems.ts";

/** Largest body in bytes. */
export const maxBodyBytes = 1024 * 1024;

/** Most pieces in which a body may arrive: each piece costs time, whatever its size. */
const maxPieces = 16_384;

/** Bounds of draining: beyond them, the server closes the connection instead. */
const maxDrainedBytes = 64 * maxBodyBytes;
const maxDrainedMs = 10_000;

/** Pause between pieces once more than {@link maxBodyBytes} are drained, so that other requests do not wait. */
const paceMs = 4;

/** Raised when the client disconnects before its request is complete, so the answer has no receiver. */
export class ClientGone extends Error {
  constructor(cause: unknown) {
    super("The client left before its request was complete", { cause });
    this.name = "ClientGone";
  }
}

/**
 * Creates the middleware that reads the body of an endpoint: Content-Length, Content-Type, the bytes, then the JSON.
 *
 * @param mediaTypes Media types that the endpoint accepts. It gets all but JSON as text.
 * @throws {Problem} `body_too_large`, `unsupported_media_type`, `malformed_json`, `malformed_request`, `validation_failed`
 */
export const bodyReader = (mediaTypes: readonly string[]): MiddlewareHandler =>
  createMiddleware(async ({ req }, next) => {
    // the HTTP server rejects a length that is not a number
    if (Number(req.header("Content-Length")) > maxBodyBytes) throw tooLarge();
    const mediaType = mediaTypeOf(req.header("Content-Type") ?? "");
    const isAccepted = mediaTypes.includes(mediaType);
    const bytes = await readBytes(req.raw, maxBodyBytes);
    if (bytes?.length === 0) {
      const isTable = isAccepted && mediaType !== "application/json";
      throw new Problem(
        isTable ? "malformed_request" : "malformed_json",
        `The request has no body: ${req.method} ${req.path} takes ${mediaTypes[0]}`,
      );
    }
    if (bytes === undefined) throw tooLarge();
    if (!isAccepted) {
      throw new Problem("unsupported_media_type", `Send the body with Content-Type: ${mediaTypes.join(" or ")}`);
    }
    if (mediaType === "application/json") {
      const value = readJson(bytes);
      // validators and handlers get the value parsed here
      Object.assign(req, { json: () => Promise.resolve(value) });
    } else {
      const text = decodeUtf8(bytes);
      Object.assign(req, { text: () => Promise.resolve(text) });
    }
    await next();
  });

function mediaTypeOf(contentType: string): string {
  return /^([\w.+-]+\/[\w.+-]+) *(;|$)/.exec(contentType)?.[1]?.toLowerCase() ?? "";
}

const tooLarge = () =>
  new Problem("body_too_large", `The body is larger than ${maxBodyBytes} bytes`, { limit: maxBodyBytes });

/** Reads the whole body; undefined as soon as it is larger than `limitBytes`. */
async function readBytes({ body }: Request, limitBytes: number): Promise<Uint8Array | undefined> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    while (sizeBytes <= limitBytes) {
      const { done, value } = await reader.read();
      if (done) return join(pieces, sizeBytes);
      if (pieces.length === maxPieces) {
        throw new Problem("malformed_request", `The body arrives in more than ${maxPieces} pieces`);
      }
      pieces.push(value);
      sizeBytes += value.length;
    }
  } catch (error) {
    throw error instanceof Problem ? error : new ClientGone(error);
  } finally {
    reader.releaseLock();
  }
}

function join(pieces: Uint8Array[], sizeBytes: number): Uint8Array {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * Drains the rest of the body before the answer is sent: a client that is still sending would not receive the answer, and
 * the next request on its connection would fail. The server closes the connection when the body exceeds the bounds.
 */
export const draining: MiddlewareHandler = async (c, next) => {
  await next();
  if (!await drain(c.req.raw)) c.header("Connection", "close");
};

/** Returns whether the body was read to its end. */
async function drain({ body, headers }: Request): Promise<boolean> {
  if (body === null) return true;
  // a client that asks first does not send a rejected body
  if (headers.get("Expect")?.toLowerCase() === "100-continue") return false;
  const reader = body.getReader();
  let hasEnded = false;
  const timer = setTimeout(() => reader.releaseLock(), maxDrainedMs);
  try {
    let drainedBytes = 0;
    for (let pieces = 0; pieces < maxPieces && drainedBytes <= maxDrainedBytes && !hasEnded; pieces++) {
      const { done, value } = await reader.read();
      hasEnded = done;
      drainedBytes += value?.length ?? 0;
      if (drainedBytes > maxBodyBytes) await new Promise<void>((resume) => setTimeout(resume, paceMs));
    }
  } catch {
    // the time is up, or the client has disconnected
  } finally {
    clearTimeout(timer);
    reader.releaseLock();
  }
  return hasEnded;
}
