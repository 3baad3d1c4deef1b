/**
 * Support for the HTTP tests: clients that check every answer against the OpenAPI document, users, workplaces and
 * operations of a test, assertions.
 *
 * @module
 */
import { assert, assertEquals } from "./assertions.ts";
import type { OperationEvent, ReportedEvent } from "../../_shared/event.ts";
import type { Profile } from "../../profiles/schemas.ts";
import type { FieldError, ProblemCode } from "../../_shared/problems.ts";
import type { Operation, OperationWithActions } from "../../_shared/operation.ts";
import { contractViolations } from "./openapi_check.ts";

export * from "./assertions.ts";
export type { Operation, OperationEvent, OperationWithActions, Profile, ReportedEvent };

/** URLs and keys of the stack under test. */
export const env = {
  supabaseUrl: required("SUPABASE_URL"),
  functionsUrl: Deno.env.get("FUNCTIONS_URL") ?? `${required("SUPABASE_URL")}/functions/v1`,
  publishableKey: required("SUPABASE_PUBLISHABLE_KEY"),
  secretKey: required("SUPABASE_SECRET_KEY"),
  /** For tests that need SQL; a deployed project may not have it. */
  databaseUrl: Deno.env.get("DATABASE_URL"),
};

function required(name: string): string {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set: run the tests by \`deno task test\`, which starts a stack`);
  return value;
}

/** A value of JSON. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [member: string]: Json };

/** Answer to a request. `body` is the parsed JSON, undefined when there is no body. */
export interface Answer<Body = JsonObject> {
  status: number;
  headers: Headers;
  body: Body;
  text: string;
}

/** A problem (RFC 9457). */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  errors?: FieldError[];
  [member: string]: unknown;
}

type QueryValue = string | number | boolean;

export interface RequestOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  rawBody?: string | Uint8Array<ArrayBuffer>;
  /** Further headers; null removes one that would be sent. A body has Content-Type application/json by default. */
  headers?: Record<string, string | null>;
  /** Query parameters; an array repeats its parameter, undefined leaves it away. */
  query?: Record<string, QueryValue | QueryValue[] | undefined>;
}

/** Credential of a client. */
export interface Credential {
  apikey?: string;
  token?: string;
}

/** Sends requests with one credential. Type parameters say what body the caller expects. */
class Sender {
  constructor(readonly credential: Credential, readonly baseUrl: string) {}

  async request<Body = JsonObject>(method: string, path: string, options: RequestOptions = {}): Promise<Answer<Body>> {
    const url = new URL(`${this.baseUrl}${path}`);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      for (const one of Array.isArray(value) ? value : value === undefined ? [] : [value]) {
        url.searchParams.append(name, String(one));
      }
    }
    const raw = options.rawBody ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    // bytes, since fetch would give a string a Content-Type of its own
    const sent = typeof raw === "string" ? new TextEncoder().encode(raw) : raw;
    const headers = new Headers(sent === undefined ? {} : { "content-type": "application/json" });
    if (this.credential.apikey !== undefined) headers.set("apikey", this.credential.apikey);
    if (this.credential.token !== undefined) headers.set("authorization", `Bearer ${this.credential.token}`);
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      value === null ? headers.delete(name) : headers.set(name, value);
    }
    const response = await fetch(url, { method, headers, body: sent, redirect: "manual" });
    const text = isEndless(response) ? await leave(response) : await response.text();
    const answer = { status: response.status, headers: response.headers, text, body: parse(text) };
    this.check({ method, url, headers, sent: typeof raw === "string" ? raw : undefined }, answer);
    return answer as Answer<Body>;
  }

  get<Body = JsonObject>(path: string, options?: RequestOptions) {
    return this.request<Body>("GET", path, options);
  }
  post<Body = JsonObject>(path: string, body?: unknown, options?: RequestOptions) {
    return this.request<Body>("POST", path, { body, ...options });
  }
  put<Body = JsonObject>(path: string, body?: unknown, options?: RequestOptions) {
    return this.request<Body>("PUT", path, { body, ...options });
  }
  patch<Body = JsonObject>(path: string, body?: unknown, options?: RequestOptions) {
    return this.request<Body>("PATCH", path, { body, ...options });
  }
  delete<Body = JsonObject>(path: string, options?: RequestOptions) {
    return this.request<Body>("DELETE", path, options);
  }

  /** For what a kind of client demands of every answer. */
  protected check(_request: SentRequest, _answer: Answer<unknown>): void {}
}

export interface SentRequest {
  method: string;
  url: URL;
  headers: Headers;
  sent?: string;
}

/**
 * A client of the functions: paths are relative to `env.functionsUrl`, like `/operations/v1`.
 *
 * It checks every answer against docs/openapi.json, and throws with the curl command of the request on a violation.
 */
export class Client extends Sender {
  constructor(credential: Credential) {
    super(credential, env.functionsUrl);
  }

  protected override check(request: SentRequest, answer: Answer<unknown>): void {
    const path = request.url.pathname.slice(new URL(this.baseUrl).pathname.length);
    const violations = contractViolations({ method: request.method, path, ...answer });
    if (violations.length > 0) {
      throw new Error(
        `The answer breaks the contract:\n  ${violations.join("\n  ")}\n${curl(request)}\n` +
          `HTTP ${answer.status}\n${answer.text.slice(0, 2000)}`,
      );
    }
  }
}

/** A stream has no end to read to: see stream_client.ts. */
const isEndless = ({ headers }: Response) => headers.get("content-type")?.startsWith("text/event-stream") ?? false;

async function leave(response: Response): Promise<string> {
  await response.body?.cancel();
  return "";
}

function parse(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The request as a command, with the credential by its name in local.env. */
export function curl({ method, url, headers, sent }: SentRequest): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const header = ([name, value]: [string, string]) => {
    if (name === "authorization") return `-H "Authorization: Bearer $TOKEN"`;
    if (value === env.secretKey) return `-H "${name}: $SUPABASE_SECRET_KEY"`;
    if (value === env.publishableKey) return `-H "${name}: $SUPABASE_PUBLISHABLE_KEY"`;
    return `-H ${quote(`${name}: ${value}`)}`;
  };
  const body = sent === undefined ? [] : [`--data-raw ${quote(sent.slice(0, 5000))}`];
  return ["curl -i", `-X ${method}`, ...[...headers].map(header), ...body, quote(url.href)].join(" ");
}

/** A server, with the secret key. */
export const server = new Client({ apikey: env.secretKey });

/** A caller without a credential. */
export const anonymous = new Client({});

/** The client of a user's access token. */
export function clientOf(token: string): Client {
  return new Client({ apikey: env.publishableKey, token });
}

/**
 * Straight calls past the functions: paths are relative to `env.supabaseUrl`, like `/rest/v1/mes_operations` or
 * `/auth/v1/token`. Nothing is checked here.
 *
 * @param credential A client, or a credential; for anonymous calls the publishable key as `apikey`.
 */
export function dataApi(credential: Client | Credential): Sender {
  return new Sender(credential instanceof Client ? credential.credential : credential, env.supabaseUrl);
}

/** A user of one test. */
export interface User {
  id: string;
  email: string;
  password: string;
  token: string;
  client: Client;
}

/**
 * Signs a user up with a role and workplaces.
 *
 * @param profile `role` (operator by default) and `workplaces` (none by default; `*` = all).
 */
export async function newUser(
  { role, workplaces, full_name }: { role?: Profile["role"]; workplaces?: string[]; full_name?: string } = {},
): Promise<User> {
  const email = `${unique("user").toLowerCase()}@example.com`;
  const password = crypto.randomUUID();
  const signedUp = await dataApi({ apikey: env.publishableKey })
    .post<{ access_token: string; user: { id: string } }>("/auth/v1/signup", { email, password });
  assertEquals(signedUp.status, 200, signedUp.text);
  const { access_token: token, user: { id } } = signedUp.body;
  const profile = { role, workplace_access: workplaces, full_name };
  if (Object.values(profile).some((value) => value !== undefined)) {
    const patched = await server.patch(`/profiles/v1/${id}`, profile);
    assertEquals(patched.status, 200, patched.text);
  }
  return { id, email, password, token, client: clientOf(token) };
}

/** A name that nothing else has, usable as a key and in URLs: `prefix-` and 12 random characters. */
export function unique(prefix: string): string {
  return `${prefix}-${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}`;
}

/** Returns the name of a new workplace. The first operation that names it creates it, without a limit of capacity. */
export function newWorkplace(): string {
  return unique("Workplace");
}

/** Creates an operation with the secret key; by default RELEASED, 50 pieces, at its own workplace. */
export async function newOperation(overrides: Partial<Operation> = {}): Promise<OperationWithActions> {
  const created = await server.post<OperationWithActions>("/operations/v1", {
    order_no: unique("O"),
    asset_id: 1,
    operation_no: "0010",
    workplace_name: newWorkplace(),
    activity_code: "LASER",
    status: "RELEASED",
    qty_desired: 50,
    ...overrides,
  });
  assertEquals(created.status, 201, created.text);
  return created.body;
}

/** Path of an operation, for the client. */
export function operationPath(operation: Pick<Operation, "order_no" | "asset_id" | "operation_no">): string {
  const { order_no, asset_id, operation_no } = operation;
  return `/operations/v1/${[order_no, asset_id, operation_no].map(encodeURIComponent).join("/")}`;
}

/** Reports an event of the operation. */
export function report<Body = ReportedEvent>(
  client: Client,
  { order_no, operation_no, workplace_name, asset_id }: Operation,
  action: OperationEvent["action_type"],
  more: Record<string, unknown> = {},
): Promise<Answer<Body>> {
  return client.post<Body>("/events/v1", {
    action_type: action,
    order_no,
    operation_no,
    workplace_name,
    asset_id,
    ...more,
  });
}

/** Path of the next page of a list, for the client, from its `Link` header; undefined on the last page. */
export function nextPage(answer: Answer<unknown>): string | undefined {
  const link = answer.headers.get("link");
  if (link === null) return undefined;
  const [, url] = /^<(\/functions\/v1\/[^>]+)>; rel="next"$/.exec(link) ?? [];
  assert(url !== undefined, `Link "${link}" is not one to the next page`);
  return url.slice("/functions/v1".length);
}

/** The answer is this problem; returns it, for what else it carries. */
export function assertProblem(answer: Answer<unknown>, status: number, code: ProblemCode): ProblemBody {
  const problem = answer.body as ProblemBody | undefined;
  assertEquals({ status: answer.status, code: problem?.code }, { status, code }, answer.text);
  assertEquals(problem?.type, `/functions/v1/docs/errors/${code}`);
  assertEquals(answer.headers.get("content-type"), "application/problem+json");
  return problem as ProblemBody;
}
