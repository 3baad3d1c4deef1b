/** The examples of docs/openapi.json do what it says they do: each is sent, and succeeds. */
import { assert, assertEquals } from "../support/assertions.ts";
import {
  type Answer,
  env,
  type Json,
  type JsonObject,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { readEvents, streamHeaders, streamUrl } from "../support/stream_client.ts";
import { newEndpoint } from "../support/webhook_receiver.ts";

interface Endpoint {
  operationId: string;
  parameters?: { name: string; in: string; example?: Json; schema: JsonObject & { examples?: Json[] } }[];
  requestBody?: { content: Record<string, { schema: JsonObject; example?: Json }> };
  responses: Record<string, unknown>;
}

interface Document {
  paths: Record<string, Record<string, Endpoint>>;
  components: { schemas: Record<string, JsonObject> };
}

const document: Document = JSON.parse(
  Deno.readTextFileSync(new URL("../../../../docs/openapi.json", import.meta.url)),
);
const endpoints = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, endpoint]) => ({ path, method: method.toUpperCase(), ...endpoint }))
);

/** The example of a body; of a list, its only item. */
function bodyExample({ requestBody }: Endpoint): JsonObject {
  const { schema, example } = requestBody?.content["application/json"] ?? { schema: {} };
  const component = document.components.schemas[String(schema.$ref).split("/").at(-1) ?? ""];
  const [item] = Array.isArray(example) ? example : [];
  return (item ?? example ?? component?.example ?? {}) as JsonObject;
}

/** New names instead of those that other tests may have used. */
const own = {
  order: ({ order_no, asset_id, operation_no, workplace_name }: Operation) => ({
    order_no,
    asset_id,
    operation_no,
    workplace_name,
  }),
};

/** Path of a webhook endpoint to which no event goes. */
async function quietEndpoint(): Promise<string> {
  const { id } = await newEndpoint({ url: "https://hooks.example.com/mes", workplace_names: [newWorkplace()] });
  return `/webhooks/v1/endpoints/${id}`;
}

type Send = (path: string, body: unknown) => Promise<Answer<unknown>>;

/**
 * For each endpoint with a body: makes what the example refers to, and sends the example, in which nothing but names
 * is changed.
 */
const sendExample: Record<string, (example: JsonObject, send: Send) => Promise<Answer<unknown>>> = {
  createOperation: (example, send) => send("/operations/v1", { ...example, order_no: unique("O") }),
  updateOperations: async (example, send) => {
    const { order_no } = await newOperation({ status: "PLANNED" });
    return send("/operations/v1", { ...example, filter: { ...example.filter as JsonObject, order_no } });
  },
  importOperations: (example, send) => send("/operations/v1/import", [{ ...example, order_no: unique("O") }]),
  updateOperation: async (example, send) => {
    const operation = await newOperation();
    assertEquals((await report(server, operation, "START")).status, 201);
    return send(operationPath(operation), example);
  },
  transitionOperation: async (example, send) => send(`${operationPath(await newOperation())}/transitions`, example),
  reportEvent: async (example, send) => send("/events/v1", { ...example, ...own.order(await newOperation()) }),
  reportEvents: async (example, send) => {
    const operation = own.order(await newOperation());
    const events = (example.events as JsonObject[]).map((event) => ({
      ...event,
      ...operation,
      id: crypto.randomUUID(),
    }));
    return send("/events/v1/batch", { ...example, events });
  },
  createWorkplace: (example, send) => send("/workplaces/v1", { ...example, name: newWorkplace() }),
  updateWorkplace: async (example, send) => {
    const { workplace_name } = await newOperation();
    return send(`/workplaces/v1/${encodeURIComponent(String(workplace_name))}`, example);
  },
  createReasonCode: (example, send) => send("/reason-codes/v1", { ...example, code: unique("CODE") }),
  updateReasonCode: async (example, send) => {
    const code = unique("CODE");
    const created = await server.post("/reason-codes/v1", { kind: "STOP", code, description: "Tool change" });
    assertEquals(created.status, 201, created.text);
    return send(`/reason-codes/v1/STOP/${code}`, example);
  },
  createProfile: async (example, send) => {
    const { id } = await newUser();
    assertEquals((await server.delete(`/profiles/v1/${id}`)).status, 204);
    return send("/profiles/v1", { ...example, id });
  },
  createStreamTicket: (example, send) => send("/stream/v1/tickets", example),
  createWebhookEndpoint: (example, send) =>
    send("/webhooks/v1/endpoints", { ...example, enabled: false, workplace_names: [newWorkplace()] }),
  updateWebhookEndpoint: async (example, send) => send(await quietEndpoint(), example),
  rotateWebhookSecret: async (example, send) => send(`${await quietEndpoint()}/rotate`, example),
  replayWebhookEvents: async (example, send) => send(`${await quietEndpoint()}/replay`, example),
  updateProfile: async (example, send) => send(`/profiles/v1/${(await newUser()).id}`, example),
};

for (const endpoint of endpoints.filter(({ requestBody }) => requestBody !== undefined)) {
  const { operationId, method, path, responses } = endpoint;
  Deno.test(`${method} ${path}: the document's example succeeds`, async () => {
    const prepared = sendExample[operationId];
    assert(prepared, `this test does not know how to send the example of ${operationId}`);
    const answer = await prepared(bodyExample(endpoint), (at, body) => server.request(method, at, { body }));
    const expected = "201" in responses ? 201 : "202" in responses ? 202 : 200;
    assertEquals(answer.status, expected, answer.text);
  });
}

for (const mediaType of ["application/x-ndjson", "text/csv"]) {
  Deno.test(`POST /operations/v1/import: the document's example of ${mediaType} succeeds`, async () => {
    const { example } = document.paths["/operations/v1/import"]?.post?.requestBody?.content[mediaType] ?? {};
    const rawBody = String(example).replace("404200-001", unique("O"));
    const answer = await server.post<JsonObject>("/operations/v1/import", undefined, {
      rawBody,
      headers: { "content-type": mediaType },
    });
    assertEquals([answer.status, answer.body.summary], [200, { total: 1, created: 1 }], answer.text);
  });
}

/** A stream has no end to wait for: that it opens is its success. */
async function opensStream(query: Record<string, string | string[]>): Promise<void> {
  const options = { base: env.functionsUrl, credential: server.credential, query };
  const abort = new AbortController();
  const response = await fetch(streamUrl("events", options), { headers: streamHeaders(options), signal: abort.signal });
  assertEquals(response.status, 200, JSON.stringify(query));
  const stream = readEvents(response, abort);
  const first = await stream.next();
  await stream.leave();
  assertEquals(first?.type, "ready");
}

for (const { operationId, method, path, parameters = [] } of endpoints) {
  const query = parameters.filter(({ in: place }) => place === "query");
  if (method !== "GET" || query.length === 0) continue;
  Deno.test(`GET ${path}: the document's example of each query parameter succeeds`, async () => {
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
      const example = parameters.find((parameter) => parameter.name === name)?.example;
      return encodeURIComponent(String(example));
    });
    for (const { name, schema: { examples: [example] = [] } } of query) {
      assert(example !== undefined, `${operationId} has no example of ${name}`);
      // a cursor is true for one list of one project only, a ticket for one stream
      if (["cursor", "after", "ticket"].includes(name)) continue;
      const values = Array.isArray(example) ? example.map(String) : String(example);
      if (operationId === "streamEvents") {
        await opensStream({ [name]: values });
        continue;
      }
      const answer = await server.get(filled, { query: { [name]: values } });
      assertEquals(answer.status, 200, `${name}=${values}: ${answer.text}`);
    }
  });
}
