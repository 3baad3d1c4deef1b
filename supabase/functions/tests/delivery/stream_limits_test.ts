/**
 * Limits of streams: a caller without a workplace gets none, and one caller gets a few in all isolates together.
 * The function in this process and that behind the gateway are two isolates.
 */
import { holdsWithin } from "../../../../local/system/poll.ts";
import { proxyWebSocket } from "../../../../local/gateway/websocket_proxy.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { newKey } from "../support/api_keys.ts";
import { assert, assertEquals, assertLess, type Credential, env, newUser, server } from "../support/harness.ts";
import { race, tally } from "../support/racing.ts";
import { openEvents, openWebSocket, shakeHands, type Stream, type StreamOptions } from "../support/stream_client.ts";
import { floor, localTest, otherSecretKey, refusal, secret, ticketOf } from "../support/stream_function.ts";
import { watchFunctions } from "../support/watched_functions.ts";

interface Opened {
  leave(): Promise<void>;
}

const limited = "429 rate_limited";
const base = env.functionsUrl;

/** Opens a stream of Server-Sent Events: `200`, or status and code of its refusal. */
async function tryEvents(options: StreamOptions, opened: Opened[]): Promise<string> {
  const opening = openEvents(options);
  const stream = await opening.catch(() => undefined);
  if (stream === undefined) return (await refusal(opening)).join(" ");
  opened.push(stream);
  return "200";
}

/** Opens a WebSocket: `101`, or status and code of its refusal. */
async function trySocket(options: StreamOptions, opened: Opened[]): Promise<string> {
  const { status, body: { code }, headers, cut } = await shakeHands(options);
  if (status === 429) assertEquals(headers["retry-after"], "5");
  if (status !== 101) return `${status} ${code}`;
  opened.push({ leave: () => Promise.resolve(cut()) });
  return "101";
}

async function leaveAll(streams: Opened[]): Promise<void> {
  await Promise.all(streams.map((stream) => stream.leave()));
}

Deno.test("GET /stream/v1: 10 of 20 openings succeed, when one user sends them at once by both transports", async () => {
  const { user: { client: { credential } } } = await floor();
  const opened: Opened[] = [];
  const outcomes = await race(
    20,
    (index) => index % 2 ? tryEvents({ base, credential }, opened) : trySocket({ base, credential }, opened),
  );
  const { [limited]: refused, ...rest } = tally(outcomes);
  assertEquals([refused, (rest["101"] ?? 0) + (rest["200"] ?? 0)], [10, 10], JSON.stringify(rest));
  const answer = await shakeHands({ base, credential });
  assertEquals([answer.status, answer.body.limit, answer.headers["retry-after"]], [429, 10, "5"]);
  assertEquals(answer.headers["content-type"], "application/problem+json");
  await leaveAll(opened);
});

localTest(
  "GET /stream/v1: the places of one user are counted in all isolates, when two serve the streams",
  async (local) => {
    const { user: { client } } = await floor();
    const { credential } = client;
    const streams = await race(10, (index) => openEvents({ base: index % 2 ? base : local.base, credential }));
    assertEquals(await refusal(openEvents({ base: local.base, credential })), [429, "rate_limited"]);
    assertEquals(await refusal(openEvents({ base, query: { ticket: await ticketOf(client) } })), [429, "rate_limited"]);
    await streams.pop()?.leave();
    let again: Stream | undefined;
    assert(
      await holdsWithin(3_000, async () => {
        again = await openEvents({ base: local.base, credential }).catch(() => undefined);
        return again !== undefined;
      }),
      "the place that was left in one isolate is free in the other",
    );
    await leaveAll([...streams, ...again ? [again] : []]);
  },
);

const transports: [name: string, open: (options: StreamOptions) => Promise<Opened>][] = [
  ["GET /stream/v1/events", openEvents],
  ["GET /stream/v1/ws", openWebSocket],
];

for (const [name, open] of transports) {
  Deno.test(`${name}: opens at once, when the user has just closed another of 10 streams`, async () => {
    const { user: { client: { credential } } } = await floor();
    const streams = await race(10, () => open({ base, credential }));
    for (let round = 0; round < 10; round++) {
      await streams.shift()?.leave();
      streams.push(await open({ base, credential }));
    }
    await leaveAll(streams);
  });
}

localTest(
  "GET /stream/v1: another user gets a stream, when one sends 500 openings at once",
  async ({ base, settings }) => {
    settings.maxStreams = 40;
    const { user: { client: { credential } }, workplace } = await floor();
    const other = await newUser({ workplaces: [workplace] });
    const opened: Opened[] = [];
    const flood = race(500, () => tryEvents({ base, credential }, opened));
    const stream = await openEvents({ base, credential: other.client.credential });
    assertEquals((await stream.next())?.type, "ready");
    assertEquals(tally(await flood), { "200": 10, [limited]: 490 });
    await leaveAll([...opened, stream]);
  },
);

Deno.test({
  name: "GET /stream/v1: asks the database for 10 places only, when a key sends 60 openings at once",
  ignore: secret === undefined,
  async fn() {
    const { client: { credential } } = await newKey({ scopes: ["stream:read"] });
    const functions = await watchFunctions(["stream"]);
    try {
      const opened: Opened[] = [];
      const outcomes = await race(60, () => tryEvents({ base: functions.url, credential }, opened));
      assertEquals(tally(outcomes), { "200": 10, [limited]: 50 });
      assertEquals(functions.takeCalls().filter((call) => call.endsWith("/take_stream_place")).length, 10);
      await leaveAll(opened);
    } finally {
      await functions.end();
    }
  },
});

localTest("GET /stream/v1: gives the place back, when the key may not follow the stream", async ({ base }) => {
  const { client: { credential } } = await newKey({ scopes: ["events:read"] });
  const outcomes = await race(20, () => tryEvents({ base, credential }, []));
  assertEquals(tally(outcomes), { "403 forbidden": 20 });
});

localTest(
  "GET /stream/v1: 50 of 60 openings succeed, when a server sends them with one secret key",
  async ({ base }) => {
    const opened: Opened[] = [];
    const credential: Credential = { apikey: otherSecretKey };
    const outcomes = await race(60, () => tryEvents({ base, credential }, opened));
    assertEquals(tally(outcomes), { "200": 50, [limited]: 10 });
    const stream = await openEvents({ base, credential: server.credential });
    await leaveAll([...opened, stream]);
  },
);

Deno.test("GET /stream/v1: answers 403, when the caller is below manager and has no workplace", async () => {
  for (const role of ["operator", "machine", "readonly", "supervisor"] as const) {
    const { client: { credential } } = await newUser({ role });
    assertEquals(await refusal(openEvents({ base, credential })), [403, "forbidden"], role);
    const { status, body: { code } } = await shakeHands({ base, credential });
    assertEquals([status, code], [403, "forbidden"], role);
  }
  const manager = await newUser({ role: "manager" });
  const everywhere = await newUser({ workplaces: ["*"] });
  for (const { client: { credential } } of [manager, everywhere, (await floor()).user]) {
    await leaveAll([await openEvents({ base, credential })]);
  }
});

Deno.test("GET /stream/v1/ws: answers its HTTP status through the gateway, when the handshake is refused", async () => {
  const { user: { client } } = await floor();
  const { credential } = client;
  const newcomer = (await newUser()).client.credential;
  // deno-fmt-ignore
  const cases: [expected: [number, string], options: Omit<StreamOptions, "base">, path?: string][] = [
    [[401, "unauthenticated"],   {}],
    [[401, "unauthenticated"],   { credential: { token: "a.b.c" } }],
    [[401, "unauthenticated"],   { query: { ticket: "none" } }],
    [[403, "forbidden"],         { credential: newcomer }],
    [[404, "unknown_route"],     { credential }, "nothing"],
    [[422, "validation_failed"], { credential, query: { after: "17" } }],
    [[422, "validation_failed"], { credential, query: { colour: "red" } }],
  ];
  for (const [expected, options, path] of cases) {
    const { status, headers, body } = await shakeHands({ base, ...options }, path);
    assertEquals([[status, body.code], body.status], [expected, status]);
    assertEquals(headers["content-type"], "application/problem+json");
    assertEquals(body.instance, headers["x-request-id"]);
  }
});

localTest("GET /stream/v1/ws: keeps the place, when the client does not answer that the stream ends", async (local) => {
  local.settings.lifetimeMs = 300;
  const { user: { client: { credential } } } = await floor();
  const options = { base: local.base, credential };
  const sockets = await race(10, () => shakeHands(options));
  assertEquals(tally(sockets.map(({ status }) => status)), { 101: 10 });
  assert(await holdsWithin(3_000, () => local.hub.size === 0), "all were ended");
  assertEquals((await shakeHands(options)).status, 429);
  sockets.pop()?.cut();
  let again: Stream | undefined;
  assert(
    await holdsWithin(3_000, async () => {
      again = await openEvents(options).catch(() => undefined);
      return again !== undefined;
    }),
    "the connection that was cut leaves its place",
  );
  for (const { cut } of sockets) cut();
  await again?.leave();
});

localTest("GET /stream/v1: places are free within 20 s, when nobody holds them any more", async ({ base }) => {
  await withDatabase(async (sql) => {
    const { user: { id, client: { credential } } } = await floor();
    const stream = await openEvents({ base, credential });
    const held = async () => {
      const rows = await sql<{ seconds: number }[]>`
        select extract(epoch from held_until - clock_timestamp())::float8 as seconds
        from app.stream_places where holder = ${id} order by held_until desc`;
      return rows.map(({ seconds }) => seconds);
    };
    const [first = 99] = await held();
    assertLess(first, 20.001);
    // its isolate holds it, again and again
    await sql`update app.stream_places set held_until = clock_timestamp() + interval '3 seconds' where holder = ${id}`;
    assert(await holdsWithin(3_000, async () => Math.max(...await held()) > 19), "the place is held");
    // nine of an isolate that was killed
    await sql`
      insert into app.stream_places (id, holder, held_until)
      select gen_random_uuid(), ${id}, clock_timestamp() + interval '1500 milliseconds' from generate_series(1, 9)`;
    assertEquals(await refusal(openEvents({ base, credential })), [429, "rate_limited"]);
    let again: Stream | undefined;
    assert(
      await holdsWithin(4_000, async () => {
        again = await openEvents({ base, credential }).catch(() => undefined);
        return again !== undefined;
      }),
      "their places are free",
    );
    assertEquals((await held()).length, 2, "what is stale is swept");
    await leaveAll([stream, ...again ? [again] : []]);
    assert(await holdsWithin(3_000, async () => (await held()).length === 0), "what is left is given up");
  });
}, !hasDatabase);

Deno.test({
  name: "take_stream_place: waits for no place that is given up, and does not count it, when its row is locked",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql, held) => {
      const { user: { id } } = await floor();
      const places = Array.from({ length: 10 }, () => crypto.randomUUID());
      const list = (values: string[]) => `{${values}}`;
      await sql`select public.hold_stream_places(${list(places)}, ${list(places.map(() => id))}, '{}')`;
      // as hold_stream_places locks it, which may wait for another place that the opening removes
      await held`begin`;
      await held`select from app.stream_places where id = ${places[0] ?? ""} for update`;
      await sql`set lock_timeout = 1`;
      await sql`select public.take_stream_place(${crypto.randomUUID()}, ${id}, 10, ${list(places.slice(0, 2))})`;
      await held`rollback`;
      const left = await sql`select from app.stream_places where holder = ${id}`;
      assertEquals(left.length, 10, "9 of the first, and the new one");
      await sql`select public.hold_stream_places('{}', '{}', ${list(places)})`;
    }),
});

localTest(
  "GET /stream/v1/ws: drops a reader that does not read, when the stack's proxy stands before it",
  async (local) => {
    const { operation, user: { client: { credential } } } = await floor();
    local.settings.maxBacklogBytes = 100_000;
    local.settings.stallMs = 500;
    const gateway = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const { pathname, search } = new URL(request.url);
      return proxyWebSocket(request, `${local.base}${pathname}${search}`, request.headers);
    });
    const base = `http://127.0.0.1:${gateway.addr.port}`;
    try {
      const socket = await shakeHands({ base, credential });
      assert(await holdsWithin(3_000, () => local.hub.size === 1), "the reader is in");
      const operation_data = { text: "x".repeat(15_000) };
      const { order_no, operation_no, workplace_name } = operation;
      const event = {
        action_type: "REPORT_QUANTITY",
        order_no,
        operation_no,
        workplace_name,
        qty_good: 1,
        operation_data,
      };
      // more than the system holds for two connections that are not read
      for (let round = 0; round < 30 && local.hub.size > 0; round++) {
        assertEquals((await server.post("/events/v1/batch", { events: Array(60).fill(event) })).status, 201);
      }
      assert(await holdsWithin(5_000, () => local.hub.size === 0), "the reader is dropped");
      socket.cut();
    } finally {
      await gateway.shutdown();
    }
  },
);
