/**
 * Support for the tests of webhooks: receivers on this machine, endpoints that point to them, dispatching.
 *
 * @module
 */
import { Webhook } from "standardwebhooks";
import { assert, assertEquals, type Client, newOperation, newWorkplace, type Operation, server } from "./harness.ts";
import type { WebhookDelivery } from "../../webhooks/deliveries/schemas.ts";
import type { WebhookEndpointWithSecret } from "../../webhooks/endpoints/schemas.ts";
import type { Dispatched } from "../../webhooks/sending/schemas.ts";

/** A message as it came. */
export interface Received {
  id: string;
  headers: Headers;
  body: string;
  message: { type: string; timestamp: string; data: { event?: { id: string; order_no: string } } };
  at: number;
}

/** Answer of a receiver; `undefined` = 200. */
export type Reply = (received: Received) => Response | undefined | Promise<Response | undefined>;

/** A receiver of webhooks on a port of its own. */
export class Receiver implements AsyncDisposable {
  readonly received: Received[] = [];
  reply: Reply = () => undefined;
  #server: Deno.HttpServer<Deno.NetAddr>;
  #ending = Promise.withResolvers<undefined>();

  constructor(reply?: Reply) {
    if (reply !== undefined) this.reply = reply;
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
      const body = await request.text().catch(() => undefined);
      // its sender was killed
      if (body === undefined) return new Response();
      const { headers } = request;
      const received: Received = {
        id: headers.get("webhook-id") ?? "",
        headers,
        body,
        message: JSON.parse(body),
        at: performance.now(),
      };
      this.received.push(received);
      return await Promise.race([this.reply(received), this.#ending.promise]) ?? new Response("ok");
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/hook`;
  }

  /** Answers that are held back are given, so that nothing waits for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.resolve(undefined);
    await this.#server.shutdown();
  }
}

/** A receiver, an endpoint for it, and an operation whose events go there and nowhere else. */
export class Hook implements AsyncDisposable {
  constructor(
    readonly receiver: Receiver,
    readonly endpoint: WebhookEndpointWithSecret,
    readonly operation: Operation,
  ) {}

  static async open(options: Record<string, unknown> = {}, reply?: Reply): Promise<Hook> {
    const receiver = new Receiver(reply);
    const workplace_name = newWorkplace();
    const endpoint = await newEndpoint({ url: receiver.url, workplace_names: [workplace_name], ...options });
    return new Hook(receiver, endpoint, await newOperation({ workplace_name, qty_desired: null }));
  }

  get path(): string {
    return `/webhooks/v1/endpoints/${this.endpoint.id}`;
  }

  /** Reports `count` events at once; their ids. */
  async report(count = 1): Promise<string[]> {
    const { order_no, operation_no, workplace_name, status } = this.operation;
    const isFirst = status === "RELEASED";
    const events = Array.from({ length: count }, (_, index) => ({
      id: crypto.randomUUID(),
      order_no,
      operation_no,
      workplace_name,
      ...(isFirst && index === 0 ? { action_type: "START" } : { action_type: "REPORT_QUANTITY", qty_good: 1 }),
    }));
    for (let from = 0; from < count; from += 500) {
      const answer = await server.post<{ summary: Record<string, number> }>("/events/v1/batch", {
        events: events.slice(from, from + 500),
      });
      assertEquals(answer.body.summary.recorded, Math.min(500, count - from), answer.text.slice(0, 1000));
    }
    this.operation.status = "IN_PROGRESS";
    return events.map(({ id }) => id);
  }

  deliveries(query: Record<string, string | number> = {}): Promise<WebhookDelivery[]> {
    return deliveriesOf(this.endpoint.id, query);
  }

  /** Sends what is due to it. */
  dispatch(): Promise<Dispatched> {
    return dispatch(this.endpoint.id);
  }

  /** The only delivery. */
  async delivery(): Promise<WebhookDelivery> {
    const [delivery, ...others] = await this.deliveries();
    assert(delivery !== undefined && others.length === 0, `expected one delivery`);
    return delivery;
  }

  /** Throws unless the message is signed by the endpoint's secret. */
  verify({ body, headers }: Received, secret = this.endpoint.secret): unknown {
    return new Webhook(secret).verify(body, Object.fromEntries(headers));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await server.delete(this.path);
    await this.receiver[Symbol.asyncDispose]();
  }
}

/** Endpoints that this file's tests have made. */
const made = new Set<string>();

// Of enabled endpoints there are 100 at most, for all tests that run beside each other.
Deno.test.afterEach(async () => {
  const ids = [...made];
  made.clear();
  await Promise.all(ids.map((id) => server.delete(`/webhooks/v1/endpoints/${id}`)));
});

/** Creates an endpoint, which is deleted after the test. */
export async function newEndpoint(fields: Record<string, unknown>, client: Client = server) {
  const created = await client.post<WebhookEndpointWithSecret>("/webhooks/v1/endpoints", fields);
  assertEquals(created.status, 201, created.text);
  made.add(created.body.id);
  return created.body;
}

/** The newest deliveries of an endpoint, 500 at most. */
export async function deliveriesOf(endpoint_id: string, query: Record<string, string | number> = {}) {
  const answer = await server.get<WebhookDelivery[]>("/webhooks/v1/deliveries", {
    query: { endpoint_id, limit: 500, ...query },
  });
  assertEquals(answer.status, 200, answer.text);
  return answer.body;
}

/** Sends what is due to these endpoints; what is due to those of other tests is theirs. */
export async function dispatch(...endpoint_id: string[]): Promise<Dispatched> {
  const answer = await server.post<Dispatched>("/webhooks/v1/dispatch", undefined, { query: { endpoint_id } });
  assertEquals(answer.status, 200, answer.text);
  return answer.body;
}

/** Waits until the condition holds; fails after `within_s`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, within_s = 20): Promise<void> {
  for (const end = performance.now() + within_s * 1000; !await condition();) {
    assert(performance.now() < end, `Not within ${within_s} s: ${what}`);
    await new Promise((resume) => setTimeout(resume, 20));
  }
}

/** Dispatches again and again, never beside itself, until `stop`; `stop` does not wait for what is under way. */
export function keepDispatching(...endpoint_id: string[]): { stop(): void } {
  let isOver = false;
  (async () => {
    while (!isOver) {
      const { claimed } = await dispatch(...endpoint_id);
      if (claimed === 0) await new Promise((resume) => setTimeout(resume, 50));
    }
  })();
  return { stop: () => void (isOver = true) };
}
