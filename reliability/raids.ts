/** Raids of an outsider: every shot is one request, or one connection that stays open. */

/** The kinds of raids, in the order in which they are flown. */
export const items = ["routes", "uploads", "rpc", "streams", "newcomer", "webhooks"] as const;
export type Item = typeof items[number] | "further";

/** One kind of raid: its target, its caller and its duration. */
export interface Raid {
  item: Item;
  seconds: number;
  connections: number;
  supabaseUrl: string;
  publishableKey: string;
  token: string;
  user_id: string;
  email: string;
  /** Only the shots with this in their name. */
  only?: string;
}

/** One kind of request. */
export interface Shot {
  name: string;
  /** Sends it and returns the status of the answer. */
  fire(): Promise<number>;
  /** Lets go of what is still held and returns how many that were. */
  release?(): number | Promise<number>;
}

const mebibyte = 1024 * 1024;
/** Connections that a raid holds at most, beside those that send. */
const maxHeld = 1_000;

const encoder = new TextEncoder();
const jsonOfSize = (bytes: number) => encoder.encode(`[${"1,".repeat(Math.floor(bytes / 2) - 2)}1]`);
const oneMebibyte = jsonOfSize(mebibyte);
const objects = encoder.encode(`[${Array(60_000).fill('{"a":{"b":1}}').join(",")}]`);
const deep = encoder.encode(`${"[".repeat(500_000)}${"]".repeat(500_000)}`);
const names = Array.from({ length: 600_000 }, (_, i) => String(i % 10));
const manyNames = (argument: string) => encoder.encode(JSON.stringify({ [argument]: names }));

/** The shots of a raid. They end when the signal does. */
export function shots(raid: Raid, signal: AbortSignal): Shot[] {
  const all = arsenal[raid.item](new Range(raid, signal));
  return all.filter(({ name }) => raid.only === undefined || name.includes(raid.only));
}

const arsenal: Record<Item, (range: Range) => Shot[]> = {
  routes: (range) => [
    range.post("1 MB to a function's root", "/functions/v1/operations", oneMebibyte, "nobody"),
    range.post("1 MB to an unknown version", "/functions/v1/operations/v7/x", oneMebibyte, "nobody"),
    range.post("1 MB to health", "/functions/v1/events/health", oneMebibyte, "nobody"),
    range.post("1 MB of objects to a wrong route", "/functions/v1/profiles", objects, "nobody"),
    range.post("1 MB of brackets to a wrong route", "/functions/v1/workplaces/x", deep, "nobody"),
    range.post("1 MB to a wrong route of v1", "/functions/v1/operations/v1/a/b", oneMebibyte),
    range.post("1 MB by a wrong method", "/functions/v1/events/v1/feed", oneMebibyte, "user", "PUT"),
    range.post("1 MB to docs", "/functions/v1/docs/openapi.json", oneMebibyte, "nobody"),
    range.post("1 MB to a real route", "/functions/v1/events/v1/batch", oneMebibyte),
    range.post("1 MB of NDJSON", "/functions/v1/operations/v1/import", ndjson, "user", "POST", "application/x-ndjson"),
    range.post("1 MB of CSV", "/functions/v1/operations/v1/import", csv, "user", "POST", "text/csv"),
  ],

  uploads: (range) => [
    range.post("1 MB with a bad token", "/functions/v1/events/v1", oneMebibyte, "forger"),
    range.upload("40 MB in chunks with a bad token", "/functions/v1/events/v1", "forger"),
    range.upload("40 MB in chunks with a good token", "/functions/v1/events/v1", "user"),
    range.post("1 MB to a missing route with a bad token", "/functions/v1/events/v1/x", oneMebibyte, "forger"),
    range.upload("40 MB in chunks to a missing function", "/functions/v1/nothing", "nobody"),
    range.upload("40 MB in chunks to the Data API", "/rest/v1/rpc/list_operations", "user"),
    range.upload("40 MB in chunks to sign-up", "/auth/v1/signup", "nobody"),
    range.abandoned("1 MB, left in the middle", "/functions/v1/events/v1"),
  ],

  rpc: (range) => [
    range.rpc("list_operations, 600,000 places", "list_operations", manyNames("workplace_names")),
    range.rpc("list_events, 600,000 actions", "list_events", manyNames("action_types")),
    range.rpc("read_feed, 600,000 places", "read_feed", manyNames("workplace_names")),
    range.rpc("update_profile, 600,000 versions", "update_profile", () => ({
      id: range.raid.user_id,
      patch: {},
      if_match: Array(600_000).fill(7),
    })),
    range.rpc("report_events, 100,000 reports", "report_events", () => ({
      reports: Array(100_000).fill({ action_type: "START" }),
      is_atomic: false,
    })),
    range.rpc("update_profile, a key of 1 MB", "update_profile", () => ({
      id: range.raid.user_id,
      patch: { ["k".repeat(mebibyte)]: 1 },
    })),
    range.rpc("update_profile, stored under megabytes", "update_profile", () => ({
      id: range.raid.user_id,
      patch: {},
      idempotency: {
        key: crypto.randomUUID(),
        method: "PATCH",
        route: "/",
        fingerprint: "f".repeat(mebibyte),
        request_id: "r".repeat(mebibyte),
      },
    })),
    range.rpc("create_stream_ticket, 60 KB of filter", "create_stream_ticket", () => ({
      digest: randomHex(32),
      filter: { x: crypto.randomUUID() + "x".repeat(60_000) },
    })),
    range.rpc("create_stream_ticket, plain", "create_stream_ticket", () => ({ digest: randomHex(32), filter: {} })),
    range.rpc("get_operation, 1 MB of order", "get_operation", () => ({
      order_no: "o".repeat(mebibyte),
      asset_id: 1,
      operation_no: "1",
    })),
    range.rpc(
      "report_event, 20,000 levels",
      "report_event",
      encoder.encode(
        `{"report":{"operation_data":${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}}}`,
      ),
    ),
  ],

  streams: (range) => [
    range.held("stream by SSE", "/functions/v1/stream/v1/events"),
    range.silentSocket("stream by WebSocket that never reads", "/functions/v1/stream/v1/ws"),
    range.silentSocket("WebSocket to a missing route", "/functions/v1/stream/v1/nothing"),
    range.post("ticket of a stream", "/functions/v1/stream/v1/tickets", encoder.encode("{}")),
  ],

  newcomer: (range) => [
    range.get("list of workplaces", "/functions/v1/workplaces/v1?limit=500&count=exact"),
    range.get("list of reason codes", "/functions/v1/reason-codes/v1?limit=500&count=exact"),
    range.get("list of operations", "/functions/v1/operations/v1?limit=500&count=exact&skip=10000"),
    range.get("list of events", "/functions/v1/events/v1?limit=500&count=exact&skip=10000"),
    range.get("list of profiles", "/functions/v1/profiles/v1?limit=500&count=exact"),
    range.get("feed from its beginning", "/functions/v1/events/v1/feed?limit=500"),
    range.get("tables of the Data API", "/rest/v1/workplaces?select=*"),
    range.post("batch of 1,000 refused reports under a key", "/functions/v1/events/v1/batch", refusedBatch),
    range.post(
      "own name under a key",
      () => `/functions/v1/profiles/v1/${range.raid.user_id}`,
      () => encoder.encode(JSON.stringify({ full_name: `Nobody ${crypto.randomUUID()}` })),
      "user",
      "PATCH",
    ),
    range.rpc("batch of 1,000 refused reports, directly", "report_events", () => ({
      reports: Array(1000).fill({
        action_type: "START",
        order_no: "x".repeat(60),
        operation_no: "1",
        workplace_name: "w".repeat(60),
      }),
      is_atomic: false,
      idempotency: {
        key: crypto.randomUUID(),
        method: "POST",
        route: "/events/v1/batch",
        fingerprint: randomHex(32),
        request_id: crypto.randomUUID(),
      },
    })),
  ],

  webhooks: (range) => [
    range.get("list of endpoints", "/functions/v1/webhooks/v1/endpoints"),
    range.get("list of deliveries", "/functions/v1/webhooks/v1/deliveries"),
    ...["https://example.com/hook", "https://168.63.129.16/", "https://a..example.com/", "http://127.0.0.1:1/"].map(
      (url) =>
        range.post(
          `endpoint at ${url}`,
          "/functions/v1/webhooks/v1/endpoints",
          encoder.encode(JSON.stringify({ url })),
        ),
    ),
    range.post("dispatch", "/functions/v1/webhooks/v1/dispatch", encoder.encode("{}")),
    range.rpc("create_webhook_endpoint, directly", "create_webhook_endpoint", () => ({
      endpoint: { url: `https://example.com/${crypto.randomUUID()}` },
      secret: `whsec_${randomHex(32)}`,
    })),
  ],

  further: (range) => [
    range.post(
      "sign-in with a wrong password",
      "/auth/v1/token?grant_type=password",
      () => encoder.encode(JSON.stringify({ email: range.raid.email, password: "wrong password" })),
      "nobody",
    ),
    range.post(
      "sign-up",
      "/auth/v1/signup",
      () =>
        encoder.encode(JSON.stringify({ email: `${crypto.randomUUID()}@example.com`, password: "a long password" })),
      "nobody",
    ),
    range.post("sign-up with 500 KB about oneself", "/auth/v1/signup", () =>
      encoder.encode(JSON.stringify({
        email: `${crypto.randomUUID()}@example.com`,
        password: "a long password",
        data: { full_name: "n".repeat(500_000) },
      })), "nobody"),
    range.post(
      "sign-up with a password of 500 KB",
      "/auth/v1/signup",
      () =>
        encoder.encode(JSON.stringify({ email: `${crypto.randomUUID()}@example.com`, password: "p".repeat(500_000) })),
      "nobody",
    ),
    range.get("feed that waits", "/functions/v1/events/v1/feed?wait=25"),
    range.get("health", "/functions/v1/operations/health", "nobody"),
    range.get("OpenAPI document", "/functions/v1/docs/openapi.json", "nobody"),
    range.get("OpenAPI document of the Data API", "/rest/v1/", "user"),
    range.get("ticket that nobody has", "/functions/v1/stream/v1/events?ticket=nobody", "nobody"),
    range.get("select of 1,600 columns", () => `/rest/v1/profiles?select=${columns(1600)}`),
    range.get(
      "or of 2,000 terms",
      () =>
        `/rest/v1/profiles?or=(${
          Array.from({ length: 1000 + Math.floor(Math.random() * 1000) }, (_, i) => `email.eq.${i}`).join(",")
        })`,
    ),
    range.get("regular expression of the Data API", `/rest/v1/profiles?email=match.${encodeURIComponent(regex)}`),
    range.rpc("list_operations rolled back", "list_operations", manyNames("workplace_names"), {
      prefer: "tx=rollback",
    }),
  ],
};

const ndjson = encoder.encode("{}\n".repeat(mebibyte / 3));
const csv = encoder.encode(`order_no\n${"1\n".repeat(mebibyte / 2 - 100)}`);
const regex = "((((((((((a{0,250}){0,3}b?){1,9})+)+)+)+)+)+)+)\\1$";
const columns = (most: number) =>
  Array.from({ length: 1 + Math.floor(Math.random() * most) }, (_, i) => `c${i}:id`).join(",");

/** Reports of operations that the outsider cannot see, each time under a key of its own. */
function refusedBatch(): Uint8Array<ArrayBuffer> {
  const run = crypto.randomUUID().slice(0, 8);
  return encoder.encode(JSON.stringify({
    events: Array.from({ length: 1000 }, (_, i) => ({
      action_type: "START",
      order_no: `${run}-${i}`,
      operation_no: "0010",
      workplace_name: "A place of others",
    })),
  }));
}

function randomHex(bytes: number): string {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

type As = "nobody" | "user" | "forger";
type Body = Uint8Array<ArrayBuffer>;

/** Makes shots at one stack. */
class Range {
  readonly #client = Deno.createHttpClient({ poolMaxIdlePerHost: 64 });

  constructor(readonly raid: Raid, readonly signal: AbortSignal) {}

  get(name: string, path: string | (() => string), as: As = "user"): Shot {
    return { name, fire: () => this.#send(path, { headers: this.#headers(as) }) };
  }

  post(
    name: string,
    path: string | (() => string),
    body: Body | (() => Body),
    as: As = "user",
    method = "POST",
    contentType = "application/json",
  ): Shot {
    return {
      name,
      fire: () =>
        this.#send(path, {
          method,
          headers: { ...this.#headers(as), "content-type": contentType, "idempotency-key": crypto.randomUUID() },
          body: typeof body === "function" ? body() : body,
        }),
    };
  }

  rpc(name: string, fn: string, args: Body | (() => unknown), headers: Record<string, string> = {}): Shot {
    return {
      name,
      fire: () =>
        this.#send(`/rest/v1/rpc/${fn}`, {
          method: "POST",
          headers: { ...this.#headers("user"), "content-type": "application/json", ...headers },
          body: typeof args === "function" ? encoder.encode(JSON.stringify(args())) : args,
        }),
    };
  }

  /** 40 MB without a Content-Length. */
  upload(name: string, path: string, as: As): Shot {
    return {
      name,
      fire: () => {
        let left = 40;
        const body = new ReadableStream<Body>({
          pull(controller) {
            if (left-- > 0) controller.enqueue(oneMebibyte);
            else controller.close();
          },
        });
        return this.#send(path, {
          method: "POST",
          headers: { ...this.#headers(as), "content-type": "application/json" },
          body,
        });
      },
    };
  }

  /** A client that says that it sends 1 MB, sends a half, and goes. */
  abandoned(name: string, path: string): Shot {
    return {
      name,
      fire: async () => {
        const connection = await this.#connect(`POST ${path} HTTP/1.1`, {
          ...this.#headers("user"),
          "content-type": "application/json",
          "content-length": String(mebibyte),
        });
        await writeAll(connection, oneMebibyte.subarray(0, mebibyte / 2));
        connection.close();
        return 499;
      },
    };
  }

  /** An answer that is held and not read; when there is none, its status. */
  held(name: string, path: string): Shot {
    const bodies: ReadableStream<Uint8Array>[] = [];
    return {
      name,
      fire: async () => {
        if (bodies.length >= maxHeld / 2) await pause(this.signal);
        const response = await fetch(`${this.raid.supabaseUrl}${path}`, {
          headers: this.#headers("user"),
          client: this.#client,
          signal: this.signal,
        });
        if (response.ok && response.body !== null) bodies.push(response.body);
        else await response.body?.cancel();
        return response.status;
      },
      release: () => bodies.length,
    };
  }

  /** A WebSocket whose messages are never read. */
  silentSocket(name: string, path: string): Shot {
    const open: Deno.Conn[] = [];
    return {
      name,
      fire: async () => {
        if (open.length >= maxHeld / 2) await pause(this.signal);
        const connection = await this.#connect(`GET ${path} HTTP/1.1`, {
          ...this.#headers("user"),
          upgrade: "websocket",
          connection: "Upgrade",
          "sec-websocket-version": "13",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        });
        const head = new Uint8Array(4096);
        const read = await connection.read(head).catch(() => null);
        const status = Number(new TextDecoder().decode(head.subarray(0, read ?? 0)).slice(9, 12));
        if (status === 101) open.push(connection);
        else connection.close();
        return status;
      },
      release: () => {
        for (const connection of open) connection.close();
        return open.length;
      },
    };
  }

  async #connect(request: string, headers: Record<string, string>): Promise<Deno.Conn> {
    const { hostname, port, host } = new URL(this.raid.supabaseUrl);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}`);
    await writeAll(connection, encoder.encode([request, ...lines, "", ""].join("\r\n")));
    return connection;
  }

  #headers(as: As): Record<string, string> {
    const { publishableKey: apikey, token } = this.raid;
    if (as === "nobody") return { apikey };
    const signature = as === "user" ? "" : "x";
    return { apikey, authorization: `Bearer ${token}${signature}` };
  }

  async #send(path: string | (() => string), init: RequestInit): Promise<number> {
    const url = `${this.raid.supabaseUrl}${typeof path === "function" ? path() : path}`;
    const response = await fetch(url, { ...init, client: this.#client, signal: this.signal });
    await response.body?.pipeTo(new WritableStream());
    return response.status;
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Waits half a second, or until the raid is over. */
async function pause(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resume) => {
    setTimeout(resume, 500);
    signal.addEventListener("abort", () => resume(), { once: true });
  });
}
