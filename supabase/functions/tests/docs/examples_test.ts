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
import { keyAdmin, newKey } from "../support/api_keys.ts";
import { readEvents, streamHeaders, streamUrl } from "../support/stream_client.ts";
import { version2Path } from "../support/version2_client.ts";
import { newPerson, newTerminal, tryToSignIn } from "../support/terminals.ts";
import { aDowntimeReason, aWorkplace, opened } from "../support/stops.ts";
import { newEndpoint } from "../support/webhook_receiver.ts";

interface Endpoint {
  operationId: string;
  parameters?: {
    name: string;
    in: string;
    description?: string;
    required?: boolean;
    example?: Json;
    schema: JsonObject & { examples?: Json[] };
  }[];
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

/** Path of a new calendar. */
async function newCalendar(): Promise<string> {
  const name = unique("Calendar");
  const { status, text } = await server.post("/calendars/v1", { name, time_zone: "Europe/Amsterdam" });
  assertEquals(status, 201, text);
  return `/calendars/v1/${name}`;
}

/** A downtime that begins before the moments of the examples. */
async function aDowntime(): Promise<string> {
  const { id } = await opened(await aWorkplace(), { occurred_at: "2026-11-23T08:15:00Z" });
  return `/downtimes/v1/${id}`;
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
  createCalendar: (example, send) => send("/calendars/v1", { ...example, name: unique("Calendar") }),
  updateCalendar: async (example, send) => send(await newCalendar(), example),
  storeCalendarExceptions: async (example, send) => send(`${await newCalendar()}/exceptions`, example),
  putCalendarException: async (example, send) => send(`${await newCalendar()}/exceptions/2026-12-25`, example),
  reportMachineState: async (example, send) => send(`/workplaces/v1/${await aWorkplace()}/state`, example),
  openDowntime: async (example, send) =>
    send("/downtimes/v1", {
      ...example,
      workplace_name: await aWorkplace(),
      reason_code: await aDowntimeReason(),
    }),
  endDowntime: async (example, send) => send(`${await aDowntime()}/end`, example),
  classifyDowntime: async (example, send) =>
    send(`${await aDowntime()}/classify`, { ...example, reason_code: await aDowntimeReason() }),
  splitDowntime: async (example, send) =>
    send(`${await aDowntime()}/split`, { ...example, reason_code: await aDowntimeReason() }),
  cancelDowntime: async (example, send) => send(`${await aDowntime()}/cancel`, example),
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
  createPerson: (example, send) =>
    send("/people/v1", { ...example, person_no: unique("P"), badge_code: unique("badge") }),
  updatePerson: async (example, send) => send(`/people/v1/${(await newPerson([])).id}`, example),
  signInPerson: async ({ pin }) => {
    const { workplace_name } = await newOperation();
    const { badge_code } = await newPerson(["*"], { pin });
    return tryToSignIn((await newTerminal([workplace_name ?? ""])).client, { badge_code, pin });
  },
  createBoardTicket: async (example, send) => {
    const workplace_group = unique("Group");
    const created = await server.post("/workplaces/v1", { name: newWorkplace(), workplace_group });
    assertEquals(created.status, 201, created.text);
    return send("/boards/v1", { ...example, workplace_group });
  },
  createKey: (example, send) => send("/keys/v1", example),
  updateKey: async (example, send) => send(`/keys/v1/${(await newKey()).id}`, example),
  rotateKey: async (example, send) => send(`/keys/v1/${(await newKey()).id}/rotate`, example),
};

for (const endpoint of endpoints.filter(({ requestBody }) => requestBody !== undefined)) {
  const { operationId, method, path, responses } = endpoint;
  Deno.test(`${method} ${path}: the document's example succeeds`, async () => {
    // those of version 2 are sent as those of version 1, to version 2
    const prepared = sendExample[operationId.replace(/V2$/, "")];
    assert(prepared, `this test does not know how to send the example of ${operationId}`);
    const toVersion = operationId.endsWith("V2") ? version2Path : (at: string) => at;
    const answer = await prepared(bodyExample(endpoint), async (at, body) => {
      const client = /^\/(keys|boards)\//.test(at) ? (await keyAdmin()).client : server;
      return await client.request(method, toVersion(at), { body });
    });
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

/** Examples of the parameters without which the one of this name has no meaning: a window has two ends. */
function companions(operationId: string, name: string, query: NonNullable<Endpoint["parameters"]>) {
  const isShift = ["shift_date", "shift_code"].includes(name);
  const needed = query.filter((parameter) =>
    parameter.required || operationId.startsWith("report") &&
      // the plant of the tests has more workplaces than a report may hold
      [...isShift ? ["shift_date", "shift_code"] : ["from", "to"], "workplace_group"].includes(parameter.name)
  );
  return Object.fromEntries(
    needed.map(({ name, example, schema }) => [name, String(example ?? schema.examples?.[0])]),
  );
}

for (const { operationId, method, path, parameters = [] } of endpoints) {
  const query = parameters.filter(({ in: place }) => place === "query");
  if (method !== "GET" || query.length === 0) continue;
  Deno.test(`GET ${path}: the document's example of each query parameter succeeds`, async () => {
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
      const example = parameters.find((parameter) => parameter.name === name)?.example;
      return encodeURIComponent(String(example));
    });
    for (const parameter of query) {
      const { name, description = "", schema } = parameter;
      const example = schema.examples?.[0] ?? parameter.example;
      assert(example !== undefined, `${operationId} has no example of ${name}`);
      // a cursor is true for one list of one project only, a ticket for one stream
      if (["cursor", "after", "ticket"].includes(name)) continue;
      const values = Array.isArray(example) ? example.map(String) : String(example);
      if (operationId === "streamEvents") {
        await opensStream({ [name]: values });
        continue;
      }
      const isPaged = query.some(({ name }) => name === "limit");
      const form = description.startsWith("CSV: ") ? { format: "csv", ...isPaged && { limit: 1 } } : {};
      const client = /^\/(keys|boards)\//.test(path) ? (await keyAdmin()).client : server;
      const answer = await client.get(filled, {
        query: { ...companions(operationId, name, query), [name]: values, ...form },
      });
      assertEquals(answer.status, 200, `${name}=${values}: ${answer.text}`);
    }
  });
}
