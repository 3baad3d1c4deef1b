import { declaredBytes, maxUploadBytes, Upload } from "./request_body.ts";

/** A body up to this size is sent in one piece, together with the headers. */
const maxPooledBytes = 16 * 1024;

/**
 * Connections that carry one request. A function may answer before it has read a large body; its end of the connection
 * is then closed, and a pool would give that connection to the next request.
 */
const single = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });

/** The body is larger than a function may receive. */
export class BodyTooLarge extends Error {
  override name = "BodyTooLarge";
}

/** The client left before its body was whole. */
export class ClientGone extends Error {
  override name = "ClientGone";
}

/** Says where the functions listen now; undefined when they do not. */
type Target = () => Promise<string | undefined> | string | undefined;

/**
 * Sends a request to a function.
 *
 * @throws {BodyTooLarge} Before or while the body is read.
 * @throws {ClientGone} While the body is read.
 * @throws {TypeError} The function's process did not answer.
 */
export async function callFunction(request: Request, target: Target, headers: Headers): Promise<Response> {
  const options = { method: request.method, headers, redirect: "manual", signal: request.signal } as const;
  if (request.body === null) return await callTwice(request, target, options);
  const declared = declaredBytes(request);
  if (declared !== undefined && declared > maxUploadBytes) throw new BodyTooLarge();
  if (declared !== undefined && declared <= maxPooledBytes) {
    const bytes = await request.arrayBuffer().catch(() => {
      throw new ClientGone();
    });
    return await fetch(await addressOf(target), { ...options, body: bytes });
  }
  const upload = new Upload(request, maxUploadBytes);
  try {
    return await fetch(await addressOf(target), { ...options, body: upload.stream, client: single });
  } catch (error) {
    if (upload.isTooLarge) throw new BodyTooLarge();
    throw upload.isBroken ? new ClientGone() : error;
  }
}

/** Repeats a request that changes nothing, on a fresh connection: the first one may have been closed meanwhile. */
async function callTwice(request: Request, target: Target, options: RequestInit): Promise<Response> {
  try {
    return await fetch(await addressOf(target), options);
  } catch (error) {
    const isSafe = ["GET", "HEAD", "OPTIONS"].includes(request.method);
    if (!isSafe || request.signal.aborted) throw error;
    return await fetch(await addressOf(target), { ...options, client: single });
  }
}

async function addressOf(target: Target): Promise<string> {
  const address = await target();
  if (address === undefined) throw new TypeError("The functions do not run");
  return address;
}
