import type { AuthLimiter } from "../platform/auth_limits.ts";
import type { TokenSigner } from "../data_api/auth_tokens.ts";
import { isPreflight, preflightAnswer, withCors } from "./cors.ts";
import type { DataApi } from "../data_api/data_api.ts";
import { messageOf } from "../system/failure.ts";
import { BodyTooLarge, callFunction, ClientGone } from "./function_call.ts";
import type { FunctionHost } from "../functions/functions.ts";
import { holdsWithin } from "../system/poll.ts";
import { discardBody, maxDataBytes, maxRowsBytes, maxUploadBytes, setCaller, withBoundedBody } from "./request_body.ts";
import { Turns } from "./turns.ts";
import { proxyWebSocket } from "./websocket_proxy.ts";
import { answerDemoUsers, isOwnPage } from "../web/demo_users.ts";
import { Pages } from "../web/pages.ts";

/** Requests of one caller that are in progress at once. */
const turnsOfCaller = 4;

/** Requests that wait for the feed. */
const isWaiting = /^\/functions\/v1\/events\/v1\/feed\?(.*&)?wait=/;

/** Services behind the one address. */
export interface GatewayParts {
  dataApi: DataApi;
  functions: FunctionHost;
  signer: TokenSigner;
  authLimiter: AuthLimiter;
  secretKey: string;
  publishableKey: string;
  /** Password of the demo users; undefined when there are none. */
  demoPassword: string | undefined;
}

/** Headers that belong to one connection, not to the request. */
const hopByHop = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

function problem(status: number, code: string, message: string): Response {
  return withCors(Response.json({ code, message }, { status, headers: { "sb-error-code": code } }));
}

function notReady(message: string): Response {
  const answer = problem(503, "NOT_READY", message);
  answer.headers.set("retry-after", "2");
  return answer;
}

function tooLarge(limit: number): Response {
  const body = { code: "BODY_TOO_LARGE", details: null, hint: null, message: `The body is larger than ${limit} bytes` };
  return withCors(Response.json(body, { status: 413, headers: { "sb-error-code": body.code } }));
}

/** The answer of Supabase Auth to one attempt too many. */
function overRateLimit(seconds: number): Response {
  const body = { code: 429, error_code: "over_request_rate_limit", msg: "Request rate limit reached" };
  return withCors(Response.json(body, { status: 429, headers: { "retry-after": String(seconds) } }));
}

/** PostgREST rejects a malformed token; the Data API library would treat the request as anonymous. */
function hasMalformedToken(request: Request): boolean {
  const token = request.headers.get("authorization")?.match(/^Bearer\s+(.*)$/i)?.[1];
  return token !== undefined && !token.startsWith("sb_") && !/^[^.]+\.[^.]+\.[^.]+$/.test(token.trim());
}

/** Answers every request by its path, as Supabase's API gateway does. */
export class Gateway {
  #parts: GatewayParts | undefined;
  // separate, because a called function calls the Data API in turn
  readonly #calls = new Turns(turnsOfCaller);
  readonly #queries = new Turns(turnsOfCaller);
  readonly #signIns = new Turns(turnsOfCaller);
  readonly #pages = new Pages();
  #isFinishing = false;
  #inFlight = 0;
  #callsInFlight = 0;
  #reset: { secretKey: string; run: () => Promise<void> } | undefined;

  /** Lets `deno task reset` recreate the database while the stack runs; Supabase has no such endpoint. */
  allowReset(secretKey: string, run: () => Promise<void>): void {
    this.#reset = { secretKey, run };
  }

  /** Until the parts are there, requests are answered with 503. */
  open(parts: GatewayParts | undefined): void {
    this.#parts = parts;
  }

  /** Refuses new requests, and waits until those in flight are answered; false when `withinMs` was too short. */
  async finish(withinMs: number): Promise<boolean> {
    this.#isFinishing = true;
    return await holdsWithin(withinMs, () => this.#inFlight === 0);
  }

  async answer(request: Request, client: Deno.NetAddr): Promise<Response> {
    this.#inFlight++;
    setCaller(request, client.hostname);
    try {
      return await this.#route(request, client);
    } finally {
      this.#inFlight--;
      // not awaited: the client reads the answer while it still sends
      discardBody(request);
    }
  }

  async #route(request: Request, client: Deno.NetAddr): Promise<Response> {
    const pathStart = request.url.indexOf("/", 8);
    const path = request.url.slice(pathStart);
    const parts = this.#parts;
    if (this.#isFinishing && !this.#isNeeded(path)) return notReady("The stack is stopping");
    if (path === "/local/reset" && request.method === "POST") return await this.#resetData(request);
    if (!parts) return notReady("The stack is starting or stopping, or its last reset failed");
    const isRead = ["GET", "HEAD"].includes(request.method);
    const isStart = isRead && (/^\/functions\/v1\/?($|\?)/.test(path) || (isRoot(path) && !wantsPage(request)));
    if (isStart || path.startsWith("/functions/v1/")) {
      const call = () => this.#countCall(parts, request, isStart ? "/docs/start" : path.slice(13), client);
      // a request that waits for the feed takes no turn: the function bounds the waiting requests of a caller
      return isWaiting.test(path) ? await call() : await this.#inTurn(this.#calls, parts, request, client, call);
    }
    if (path.startsWith("/rest/v1")) {
      if (isPreflight(request)) return preflightAnswer(request);
      if (hasMalformedToken(request)) return problem(401, "PGRST301", "Expected 3 parts in JWT");
      const query = async () => withCors(await this.#callDataApi(parts, request));
      return await this.#inTurn(this.#queries, parts, request, client, query);
    }
    if (path.startsWith("/auth/v1")) {
      if (isPreflight(request)) return preflightAnswer(request);
      const seconds = await parts.authLimiter.secondsToWait(request, client.hostname);
      if (seconds !== undefined) return overRateLimit(seconds);
      const signIn = async () => withCors(await parts.signer.resignAnswer(await this.#callDataApi(parts, request)));
      return await this.#inTurn(this.#signIns, parts, request, client, signIn);
    }
    return await this.#answerPage(parts, request, client) ??
      problem(404, "NOT_FOUND", "no Route matched with those values");
  }

  /** The files of `web/`, with what only the local stack has. */
  async #answerPage(
    { publishableKey, demoPassword }: GatewayParts,
    request: Request,
    client: Deno.NetAddr,
  ): Promise<Response | undefined> {
    const { pathname } = new URL(request.url);
    const hasDemoUsers = demoPassword !== undefined && isOwnPage(request, client.hostname);
    if (pathname === "/demo-users.json") return hasDemoUsers ? answerDemoUsers(demoPassword) : undefined;
    return await this.#pages.answer(request, {
      functions_url: "/functions/v1",
      auth_url: "/auth/v1",
      publishable_key: publishableKey,
      demo_users_url: hasDemoUsers ? "/demo-users.json" : undefined,
    });
  }

  /** Only a token with a valid signature counts, so that one caller cannot pose as many. Servers have the secret key. */
  async #inTurn(
    turns: Turns,
    { signer, secretKey }: GatewayParts,
    request: Request,
    client: Deno.NetAddr,
    answer: () => Promise<Response>,
  ): Promise<Response> {
    if (request.headers.get("apikey") === secretKey) {
      setCaller(request, undefined);
      return await answer();
    }
    const token = request.headers.get("authorization")?.match(/^Bearer\s+(.+)$/i)?.[1];
    const claims = token === undefined ? undefined : await signer.verify(token);
    const caller = typeof claims?.sub === "string" ? claims.sub : client.hostname;
    setCaller(request, caller);
    const endTurn = await turns.take(caller);
    try {
      return await answer();
    } finally {
      // The client reads the answer while it still sends. Its next request waits until it has sent this one.
      discardBody(request).finally(endTurn);
    }
  }

  /** Functions that have a request in flight still ask the Data API. */
  #isNeeded(path: string): boolean {
    return this.#callsInFlight > 0 && path.startsWith("/rest/v1");
  }

  async #callDataApi(parts: GatewayParts, request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const isTable = pathname.startsWith("/rest/v1/") && !pathname.startsWith("/rest/v1/rpc/");
    const maxBytes = isTable ? maxRowsBytes : maxDataBytes;
    const bounded = await withBoundedBody(request, maxBytes);
    return bounded ? await parts.dataApi.fetch(bounded) : tooLarge(maxBytes);
  }

  async #countCall(parts: GatewayParts, request: Request, path: string, client: Deno.NetAddr): Promise<Response> {
    this.#callsInFlight++;
    try {
      return await this.#callFunction(parts, request, path, client);
    } finally {
      this.#callsInFlight--;
    }
  }

  async #resetData(request: Request): Promise<Response> {
    if (!this.#reset) return notReady("The stack is starting or stopping");
    if (request.headers.get("apikey") !== this.#reset.secretKey) return problem(401, "UNAUTHORIZED", "Invalid API key");
    try {
      await this.#reset.run();
      return new Response(null, { status: 204 });
    } catch (error) {
      return problem(500, "RESET_FAILED", messageOf(error));
    }
  }

  async #callFunction(parts: GatewayParts, request: Request, path: string, client: Deno.NetAddr): Promise<Response> {
    const name = path.slice(1).split(/[/?#]/, 1)[0] ?? "";
    const port = parts.functions.currentPort ?? await parts.functions.port();
    const info = parts.functions.functions.get(name);
    if (!info) return problem(404, "NOT_FOUND", "Requested function was not found");
    if (port === undefined) return problem(503, "BOOT_ERROR", "Worker failed to boot (please check logs)");
    if (info.verifyJwt && request.method !== "OPTIONS") {
      const token = request.headers.get("authorization")?.match(/^Bearer\s+(.+)$/i)?.[1];
      if (!token) return problem(401, "UNAUTHORIZED_NO_AUTH_HEADER", "Missing authorization header");
      if (!await parts.signer.verify(token)) return problem(401, "UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT");
    }
    const headers = forwardedHeaders(request, client);
    try {
      if (isWebSocket(request)) return await proxyWebSocket(request, `http://127.0.0.1:${port}${path}`, headers);
      return await callFunction(
        request,
        () => `http://127.0.0.1:${parts.functions.currentPort ?? port}${path}`,
        headers,
      );
    } catch (error) {
      if (error instanceof BodyTooLarge) return tooLarge(maxUploadBytes);
      if (request.signal.aborted || error instanceof ClientGone) return new Response(null, { status: 499 });
      await parts.functions.noticeEnd(port);
      console.error(`Function "${name}" did not answer: ${error}`);
      return problem(502, "WORKER_ERROR", "Function exited due to an error (please check logs)");
    }
  }
}

const isRoot = (path: string) => /^\/($|\?)/.test(path);

/** At `/`, people get the pages, programs the URLs of the API. */
function wantsPage({ headers }: Request): boolean {
  return headers.get("accept")?.includes("text/html") ?? false;
}

/** An incomplete handshake is no WebSocket: the request reaches the function without the headers of one. */
function isWebSocket({ method, headers }: Request): boolean {
  return method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket" &&
    /\bupgrade\b/i.test(headers.get("connection") ?? "") && headers.has("sec-websocket-key");
}

function forwardedHeaders(request: Request, client: Deno.NetAddr): Headers {
  const headers = new Headers(request.headers);
  for (const name of hopByHop) headers.delete(name);
  const url = new URL(request.url);
  // As proxies do, it adds the address at the end of what the client sent.
  headers.append("x-forwarded-for", client.hostname);
  // The client's own values of these headers are not trustworthy.
  headers.set("x-forwarded-proto", url.protocol.slice(0, -1));
  headers.set("x-forwarded-host", url.hostname);
  headers.set("x-forwarded-port", url.port || "80");
  headers.set("x-forwarded-path", url.pathname);
  headers.set("x-forwarded-prefix", "/functions/v1");
  return headers;
}
