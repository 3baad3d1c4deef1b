/**
 * Bodies: read for an endpoint that takes one, within bounds, once everything before them is in order; what nobody
 * reads is drained, so that the connection stays usable.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import { decodeUtf8, readJson } from "./json.ts";
import { Problem } from "./problems.ts";

/** Largest body in bytes. */
export const maxBody_bytes = 1024 * 1024;

/** Most pieces that a body arrives in: each costs, however small it is. */
const maxPieces = 16_384;

/** How much is read of a body that nobody wants, and for how long, before its connection is closed instead. */
const maxDrained_bytes = 64 * maxBody_bytes;
const maxDrained_ms = 30_000;

/** Beyond a body that an endpoint takes, a piece is drained in this time, so that other requests do not wait for it. */
const pace_ms = 4;

/** The client went away before its request was complete; there is nobody to answer. */
export class ClientGone extends Error {
  constructor(cause: unknown) {
    super("The client left before its request was complete", { cause });
    this.name = "ClientGone";
  }
}

/**
 * Reads the body of an endpoint: size by its length, Content-Type, the bytes, then the JSON in them.
 *
 * @param mediaTypes Media types that the endpoint takes; any but JSON are left to it as text.
 * @throws {Problem} `body_too_large`, `unsupported_media_type`, `malformed_json`, `malformed_request`, `validation_failed`
 */
export const bodyOf = (mediaTypes: readonly string[]): MiddlewareHandler =>
  createMiddleware(async ({ req }, next) => {
    // a length that is not a number is the HTTP server's to refuse
    if (Number(req.header("Content-Length")) > maxBody_bytes) throw tooLarge();
    const mediaType = mediaTypeOf(req.header("Content-Type") ?? "");
    const isTaken = mediaTypes.includes(mediaType);
    const bytes = await readBytes(req.raw, maxBody_bytes);
    if (bytes?.length === 0) {
      const isTable = isTaken && mediaType !== "application/json";
      throw new Problem(
        isTable ? "malformed_request" : "malformed_json",
        `The request has no body: ${req.method} ${req.path} takes ${mediaTypes[0]}`,
      );
    }
    if (bytes === undefined) throw tooLarge();
    if (!isTaken) {
      throw new Problem("unsupported_media_type", `Send the body with Content-Type: ${mediaTypes.join(" or ")}`);
    }
    if (mediaType === "application/json") {
      const value = readJson(bytes);
      // the validators and handlers get what was parsed here
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
  new Problem("body_too_large", `The body is larger than ${maxBody_bytes} bytes`, { limit: maxBody_bytes });

/** The whole body; undefined as soon as it is larger than `limit_bytes`. */
async function readBytes({ body }: Request, limit_bytes: number): Promise<Uint8Array | undefined> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  let size_bytes = 0;
  try {
    while (size_bytes <= limit_bytes) {
      const { done, value } = await reader.read();
      if (done) return joined(pieces, size_bytes);
      if (pieces.length === maxPieces) {
        throw new Problem("malformed_request", `The body arrives in more than ${maxPieces} pieces`);
      }
      pieces.push(value);
      size_bytes += value.length;
    }
  } catch (error) {
    throw error instanceof Problem ? error : new ClientGone(error);
  } finally {
    reader.releaseLock();
  }
}

function joined(pieces: Uint8Array[], size_bytes: number): Uint8Array {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  const whole = new Uint8Array(size_bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * Drains what was not read of a body before the answer is sent: a client that is still sending would not hear it, and
 * the next request on its connection would fail. A body that does not end within the bounds loses its connection.
 */
export const drained: MiddlewareHandler = async (c, next) => {
  await next();
  if (!await drain(c.req.raw)) c.header("Connection", "close");
};

/** True when the body is read to its end. */
async function drain({ body, headers }: Request): Promise<boolean> {
  if (body === null) return true;
  // a client that asks first does not send what is refused
  if (headers.get("Expect")?.toLowerCase() === "100-continue") return false;
  const reader = body.getReader();
  let hasEnded = false;
  const timer = setTimeout(() => reader.releaseLock(), maxDrained_ms);
  try {
    let drained_bytes = 0;
    for (let pieces = 0; pieces < maxPieces && drained_bytes <= maxDrained_bytes && !hasEnded; pieces++) {
      const { done, value } = await reader.read();
      hasEnded = done;
      drained_bytes += value?.length ?? 0;
      if (drained_bytes > maxBody_bytes) await new Promise<void>((resume) => setTimeout(resume, pace_ms));
    }
  } catch {
    // the time is up, or the client has gone
  } finally {
    clearTimeout(timer);
    reader.releaseLock();
  }
  return hasEnded;
}
