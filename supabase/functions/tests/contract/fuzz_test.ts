/**
 * Requests made at random from docs/openapi.json, with hostile values in between, by every kind of caller: no 5xx, no
 * undeclared status, every body as declared. A counterexample is shrunk and told as a curl command.
 *
 * FUZZ_RUNS says how many (`deno task fuzz`: 100,000), FUZZ_SEED repeats a run.
 */
import fc from "fast-check";
import {
  assert,
  assertEquals,
  Client,
  type Credential,
  curl,
  env,
  newOperation,
  newUser,
  newWorkplace,
  report,
  type SentRequest,
  server,
  unique,
} from "../support/harness.ts";
import { newKey, newTicket } from "../support/api_keys.ts";
import { type Endpoint, endpoints, objectForms, resolve, type Schema, typesOf } from "../support/document.ts";
import { race } from "../support/racing.ts";
import { newPerson } from "../support/terminals.ts";
import { newEndpoint } from "../support/webhook_receiver.ts";

const runs = Number(Deno.env.get("FUZZ_RUNS") ?? 6000);
const seed = Number(Deno.env.get("FUZZ_SEED") ?? Date.now() % 2 ** 31);
const workers = 8;

/** A client that reports any 5xx as a violation of the contract. */
class StrictClient extends Client {
  constructor(credential: Credential, readonly sees: "own" | "all" | "nothing") {
    super(credential);
  }

  protected override check(
    request: SentRequest,
    answer: { status: number; headers: Headers; text: string; body: unknown },
  ): void {
    super.check(request, answer);
    if (answer.status >= 500) throw new Error(`HTTP ${answer.status}\n${curl(request)}\n${answer.text}`);
  }
}

/** Values that exist, by the name of the field that holds them. */
type Known = Record<string, unknown[]>;

/** One client of each kind of caller. */
async function newClients(workplaces: string[]): Promise<StrictClient[]> {
  const roles = ["supervisor", "operator", "machine", "readonly", "manager", "admin"] as const;
  const users = await Promise.all(roles.map((role) => newUser({ role, workplaces })));
  return [
    ...users.map(({ token }, n) => new StrictClient({ apikey: env.publishableKey, token }, n < 4 ? "own" : "all")),
    new StrictClient({ apikey: env.secretKey }, "all"),
    new StrictClient({}, "nothing"),
    new StrictClient({ apikey: env.publishableKey }, "nothing"),
    new StrictClient({ token: `${users[0]?.token}x` }, "nothing"),
  ];
}

/** New operations, a user and a reason code for random requests to hit. */
async function newTargets(workplaces: string[]): Promise<Known> {
  const statuses = ["PLANNED", "RELEASED", "RELEASED", "IN_PROGRESS", "ON_HOLD", "FINISHED"] as const;
  const operations = await Promise.all(
    statuses.map((status, n) =>
      newOperation({ status, workplace_name: workplaces[n % 2] ?? "", qty_desired: n % 3 === 0 ? null : 20 })
    ),
  );
  const [, started] = operations;
  const event = started === undefined ? undefined : await report(server, started, "START");
  const user = await newUser({ workplaces });
  const person = await newPerson(workplaces);
  const code = unique("REASON");
  assertEquals((await server.post("/reason-codes/v1", { kind: "STOP", code })).status, 201);
  const cause = unique("CAUSE");
  assertEquals((await server.post("/reason-codes/v1", { kind: "DOWNTIME", code: cause })).status, 201);
  const downtimes = await Promise.all([1, 2, 3].map(async () => {
    const place = newWorkplace();
    assertEquals((await server.post("/workplaces/v1", { name: place })).status, 201);
    const downtime = await server.post<{ id: string }>("/downtimes/v1", { workplace_name: place });
    assertEquals(downtime.status, 201, downtime.text);
    return downtime.body.id;
  }));
  const key = await newKey({ role: "operator", workplaces });
  const group = unique("Group");
  assertEquals((await server.post("/workplaces/v1", { name: newWorkplace(), workplace_group: group })).status, 201);
  const ticket = await newTicket(group);
  const calendar = unique("Calendar");
  assertEquals((await server.post("/calendars/v1", { name: calendar, time_zone: "UTC" })).status, 201);
  const url = "https://hooks.example.com/mes";
  const endpoint = await newEndpoint({ url, workplace_names: [newWorkplace()] });
  const endpointPath = `/webhooks/v1/endpoints/${endpoint.id}`;
  const ping = await server.post<{ id: string }>(`${endpointPath}/test`);
  assertEquals(ping.status, 202, ping.text);
  assertEquals((await server.patch(endpointPath, { enabled: false })).status, 200);
  const feed = await server.get<{ next_cursor: string }>("/events/v1/feed?limit=1");
  assertEquals(feed.status, 200, feed.text);
  const ids = [event?.body.id, crypto.randomUUID(), crypto.randomUUID()];
  return {
    order_no: operations.map(({ order_no }) => order_no),
    operation_no: ["0010"],
    asset_id: [1],
    workplace_name: workplaces,
    name: [...workplaces, calendar, newWorkplace()],
    from: ["2026-11-16T00:00:00Z"],
    to: ["2026-11-23T00:00:00Z"],
    date: ["2026-12-25", "2026-12-26"],
    time_zone: ["UTC", "Europe/Amsterdam"],
    start_time: ["06:00"],
    end_time: ["14:00"],
    workplace_access: workplaces,
    workplace_group: [group, unique("Group")],
    activity_code: ["LASER"],
    q: operations.map(({ order_no }) => order_no.slice(0, 6)),
    kind: ["STOP", "SCRAP"],
    code: [code, unique("CODE")],
    reason_code: [code, cause, "UNSPECIFIED"],
    id: [...ids, user.id, ...downtimes, ...downtimes],
    key_id: [key.id],
    ticket_id: [ticket.id],
    event_id: ids,
    reverses_event_id: ids,
    profile_id: [user.id],
    person_id: [person.id],
    person_no: [person.person_no],
    badge_code: [person.badge_code],
    pin: [person.pin],
    user_id: [user.id],
    endpoint_id: [endpoint.id],
    delivery_id: [ping.body.id],
    url: [url],
    enabled: [false],
    workplace_names: [[newWorkplace()]],
    after: [feed.body.next_cursor],
    until: [feed.body.next_cursor],
    "last-event-id": [feed.body.next_cursor],
    wait: [0],
    "idempotency-key": Array.from({ length: 5 }, () => unique("key")),
    "if-match": ['"1"', '"2"', '"3"', "*"],
    "if-none-match": ['"1"', "*"],
  };
}

/** At most `most` of the items, in their order. */
const someOf = <Item>(items: Item[], most: number) => fc.subarray(items, { maxLength: Math.min(most, items.length) });

const hostileTexts = [
  ...[
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\u202e",
    "😀",
    "e\u0301",
    "../..",
    "%2e%2e",
    "%00",
    "%",
    "' or 1=1 --",
    '"',
    "\\",
    "$1",
    "{}",
    "[]",
  ],
  ...[
    "null",
    "undefined",
    "NaN",
    "infinity",
    "now",
    "-0",
    "1e400",
    "9007199254740993",
    "a,b()",
    "*",
    "x".repeat(65),
    "😀".repeat(65),
  ],
  ...[
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T10:00:00+23:59",
    "9999-12-31T23:59:59.999Z",
  ],
  ...[
    "1970-01-01T00:00:00Z",
    "2026-01-01",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
  ],
];
const hostileValue = fc.oneof(
  fc.constantFrom<unknown>(...hostileTexts),
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -0,
    -1,
    1.5,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 53 - 1,
    2 ** 53,
    1e300,
    5e-324,
    [],
    {},
    [[]],
    [null],
    { a: 1 },
  ),
  fc.string({ unit: "binary" }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Values of the schema; known ones where the name has some. */
function valuesOf(schema: Schema, known: Known, name = ""): fc.Arbitrary<unknown> {
  const { nullable, made } = kindsOf(resolve(schema), known, name);
  return nullable ? fc.option(made, { nil: null, freq: 6 }) : made;
}

function kindsOf(schema: Schema, known: Known, name: string): { nullable: boolean; made: fc.Arbitrary<unknown> } {
  const types = typesOf(schema);
  const nullable = types.includes("null");
  const existing = known[name];
  const made = ((): fc.Arbitrary<unknown> => {
    if (schema.const !== undefined) return fc.constant(schema.const);
    if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
    if (schema.oneOf !== undefined || schema.anyOf !== undefined) {
      return fc.oneof(...[...schema.oneOf ?? [], ...schema.anyOf ?? []].map((form) => valuesOf(form, known, name)));
    }
    if (types.includes("array")) {
      const { minItems = 0, items = {} } = schema;
      return fc.array(valuesOf(items, known, name), { minLength: minItems, maxLength: Math.max(minItems, 4) });
    }
    if (types.includes("object")) {
      return schema.properties === undefined ? fc.dictionary(fc.string(), fc.jsonValue()) : objectsOf(schema, known);
    }
    if (types.includes("boolean")) return fc.boolean();
    if (types.includes("integer")) {
      const { minimum: min = 0, maximum: max = 2_147_483_647 } = schema;
      return fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min, max: Math.min(max, min + 30) }) },
        fc.integer({ min, max }),
        fc.constant(max),
      );
    }
    if (types.includes("number")) {
      const { minimum: min = 0, maximum: max = 1e9 } = schema;
      return fc.oneof(
        fc.double({ min, max, noNaN: true }),
        fc.integer({ min, max: Math.min(max, min + 100) }),
        fc.constant(max),
      );
    }
    if (schema.format === "date-time") {
      const near = fc.integer({ min: -100_000, max: 100 }).map((s) => new Date(Date.now() + s * 1000).toISOString());
      const any = fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true });
      return fc.oneof({ weight: 3, arbitrary: near }, any.map((date) => date.toISOString()));
    }
    if (schema.format === "uuid") return fc.uuid();
    const { minLength = 0, maxLength = 100 } = schema;
    return fc.string({ unit: "grapheme", minLength, maxLength: Math.min(maxLength, 20) });
  })();
  return {
    nullable,
    made: existing === undefined ? made : fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...existing) }, made),
  };
}

/** Objects of the schema, now and then with a hostile value or an unknown member. */
function objectsOf(schema: Schema, known: Known): fc.Arbitrary<unknown> {
  const members = Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, property]) => [
      name,
      fc.oneof({ weight: 40, arbitrary: valuesOf(property, known, name) }, hostileValue),
    ]),
  );
  const required = schema.required ?? [];
  const all = fc.record(members, { requiredKeys: required });
  // most requests have few fields, or hardly any would be valid
  const few = fc.tuple(all, someOf(Object.keys(members), 3))
    .map(([whole, kept]) =>
      Object.fromEntries(Object.entries(whole).filter(([name]) => required.includes(name) || kept.includes(name)))
    );
  const unknown = fc.tuple(few, fc.string(), fc.jsonValue()).map(([object, name, value]) => ({
    ...object,
    [name]: value,
  }));
  return fc.oneof({ weight: 12, arbitrary: few }, { weight: 3, arbitrary: all }, unknown);
}

const hostileBodies = [
  ...[
    "",
    " ",
    "{",
    "null",
    "[]",
    "1",
    '"x"',
    "{} x",
    '{"a":1,"a":1}',
    '{"__proto__":1}',
    '{"a":1e400}',
    '{"a":"\\u0000"}',
    "\ufeff{}",
  ],
  ...["[".repeat(40) + "]".repeat(40), "a,b\n1,2", '{"order_no":"x"}\n{"order_no":', "x".repeat(2000)],
];

interface FuzzRequest {
  template: string;
  client: number;
  method: string;
  path: string;
  headers: Record<string, string>;
  rawBody?: string;
}

const printable = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
  maxLength: 40,
});

/** Returns whether hardly any request without the parameter would be valid. */
const isNeeded = ({ template }: Endpoint, { name, required }: Endpoint["parameters"][number]) =>
  required === true || template.startsWith("/reports/") && ["from", "to"].includes(name);

function requestsTo(endpoint: Endpoint, known: Known, clients: StrictClient[]): fc.Arbitrary<FuzzRequest> {
  const inUrl = (schema: Schema, name: string) =>
    fc.oneof({ weight: 25, arbitrary: valuesOf(schema, known, name) }, hostileValue)
      .map((value) =>
        (Array.isArray(value) ? value : [value]).map((one) =>
          encode(typeof one === "string" ? one : JSON.stringify(one) ?? "")
        )
      );
  const named = (place: string) => endpoint.parameters.filter((one) => one.in === place);
  const parts = fc.record(
    Object.fromEntries(named("path").map(({ name, schema }) => [name, inUrl(schema, name).map(([one]) => one || "x")])),
  );
  const needed = named("query").filter((parameter) => isNeeded(endpoint, parameter)).map(({ name }) => name);
  const query = fc.record(Object.fromEntries(named("query").map(({ name, schema }) => [name, inUrl(schema, name)])), {
    requiredKeys: needed,
  })
    .chain((all) => {
      const kept = Object.entries(all).filter(([name]) => needed.includes(name));
      return someOf(Object.entries(all).filter(([name]) => !needed.includes(name)), 4 - kept.length)
        .map((some) => [...kept, ...some]);
    });
  const headers = fc.record({
    ...Object.fromEntries(
      // no client is a terminal: with an acting token every request is 401
      named("header").filter(({ name }) => name !== "x-acting-for").map((
        { name },
      ) => [
        name,
        fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...(known[name] ?? ["x"]) as string[]) }, printable),
      ]),
    ),
    accept: fc.constantFrom("application/json", "*/*", "text/html", ""),
    "x-request-id": printable,
  }, { requiredKeys: [] }).chain((all) => someOf(Object.entries(all) as [string, string][], 2));

  const [mediaType = ""] = Object.keys(endpoint.body);
  const form = endpoint.body["application/json"];
  const valid = form === undefined
    ? fc.constant(undefined)
    : fc.oneof(...(typesOf(resolve(form)).includes("array") ? [resolve(form)] : objectForms(form)).map((one) =>
      valuesOf(one, known)
    ));
  const body = form === undefined ? fc.constant<{ type: string; rawBody: string } | undefined>(undefined) : fc.oneof(
    { weight: 30, arbitrary: valid.map((value) => ({ type: "application/json", rawBody: JSON.stringify(value) })) },
    { weight: 2, arbitrary: fc.constantFrom(...hostileBodies).map((rawBody) => ({ type: mediaType, rawBody })) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...Object.keys(endpoint.body), "text/plain", "application/problem+json").map((
        type,
      ) => ({ type, rawBody: '{"order_no":"x"}' })),
    },
  );
  const method = fc.oneof(
    { weight: 30, arbitrary: fc.constant(endpoint.method) },
    fc.constantFrom(...(endpoint.method === "GET" ? ["HEAD"] : []), "OPTIONS"),
  );
  return fc.record({ client: fc.nat(clients.length - 1), method, parts, query, headers, body }).map((made) => ({
    template: endpoint.template,
    client: made.client,
    method: made.method,
    path: endpoint.template.replaceAll(/\{([^}]+)\}/g, (_, name) => made.parts[name] ?? "x") +
      (made.query.length === 0
        ? ""
        : `?${made.query.flatMap(([name, values]) => (values ?? []).map((value) => `${name}=${value}`)).join("&")}`),
    headers: {
      ...Object.fromEntries(made.headers),
      ...(made.body === undefined ? {} : { "content-type": made.body.type }),
    },
    ...(made.body === undefined || ["HEAD", "OPTIONS"].includes(made.method) ? {} : { rawBody: made.body.rawBody }),
  }));
}

/** As in a URL; half a surrogate pair as the bytes that some clients make of it. */
function encode(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : "%ED%A0%80";
}

/** A change of many operations at once must not touch those of other tests. */
function couldTouchOthers({ template, method, rawBody }: FuzzRequest, client: StrictClient): boolean {
  return method === "PATCH" && /^\/operations\/v\d+$/.test(template) && client.sees === "all" &&
    /"dry_run"\s*:\s*false/.test(rawBody ?? "");
}

/** A read of the feed that waits holds its worker up. */
function couldWait({ template, path }: FuzzRequest): boolean {
  return /^\/events\/v\d+\/feed$/.test(template) && /[?&]wait=0*[1-9]/.test(path);
}

/** Returns whether a request could queue or send webhooks, which the dispatchers of other tests would send. */
function couldSendWebhooks({ template, method, rawBody }: FuzzRequest, client: StrictClient): boolean {
  if (client.sees !== "all" || !template.startsWith("/webhooks/v1/")) return false;
  if (method === "POST" && /\/(dispatch|test)$|deliveries.*\/replay$/.test(template)) return true;
  // an endpoint that is disabled is sent nothing
  return ["POST", "PATCH"].includes(method) && /\/endpoints(\/\{endpoint_id\})?$/.test(template) &&
    !/"enabled"\s*:\s*false/.test(rawBody ?? "");
}

/** Generates requests to all endpoints, more for those that change something than for those that describe the API. */
function anyRequest(known: Known, clients: StrictClient[]): fc.Arbitrary<FuzzRequest> {
  const weights: Record<string, number> = { POST: 6, PATCH: 6, GET: 3, DELETE: 1 };
  return fc.oneof(...endpoints.map((endpoint) => ({
    weight: /\/v\d/.test(endpoint.template) ? weights[endpoint.method] ?? 1 : 1,
    arbitrary: requestsTo(endpoint, known, clients),
  })));
}

Deno.test(`${runs} random requests: no 5xx, no undeclared status, every body as declared`, async () => {
  const workplaces = [newWorkplace(), newWorkplace()];
  const clients = await newClients(workplaces);
  const statuses = new Map<string, number>();
  let begun = 0;
  await race(workers, async () => {
    // new targets now and then: the old ones are deleted and finished by and by
    while (begun < runs) {
      const numRuns = Math.min(250, runs - begun);
      const requests = anyRequest(await newTargets(workplaces), clients);
      const batchSeed = seed + begun;
      begun += numRuns;
      const property = fc.asyncProperty(requests, async (request) => {
        const client = clients[request.client];
        if (client === undefined || couldTouchOthers(request, client) || couldSendWebhooks(request, client)) return;
        if (couldWait(request)) return;
        const { method, path, template, headers, rawBody } = request;
        const { status } = await client.request(method, path, { headers, rawBody });
        const name = `${method} ${template} ${status}`;
        statuses.set(name, (statuses.get(name) ?? 0) + 1);
      });
      await fc.assert(property, { numRuns, seed: batchSeed });
    }
  });

  if (Deno.env.has("FUZZ_RUNS")) {
    for (const [name, count] of [...statuses].sort()) console.log(`${String(count).padStart(7)}  ${name}`);
  }
  // a generator that makes nothing valid proves nothing
  const silent = endpoints.filter(({ method, template }) =>
    ![200, 201, 204, 207].some((status) => statuses.has(`${method} ${template} ${status}`))
  ).map(({ title }) => title);
  assert(silent.length <= endpoints.length / 5, `never successful: ${silent.join(", ")}`);
});
