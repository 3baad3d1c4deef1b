/**
 * The stream. Most tests run the function in this process, against the stack's database, with short times; some go
 * through the gateway.
 */
import { sign } from "hono/jwt";
import { keySet } from "../../../../local/platform/keys.ts";
import { holdsWithin } from "../../../../local/system/poll.ts";
import { Operation } from "../../_shared/operation.ts";
import { rateLimits } from "../../_shared/rate_limit_settings.ts";
import { EventMessage } from "../../stream/schemas.ts";
import {
  assert,
  assertEquals,
  assertExists,
  assertGreater,
  assertLess,
  assertMatch,
  assertRejects,
  clientOf,
  dataApi,
  env,
  newOperation,
  newUser,
  type OperationEvent,
  operationPath,
  server,
  type User,
} from "../support/harness.ts";
import { count, expect, floor, localTest, refusal, reportEvent, secret, ticketOf } from "../support/stream_function.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { race } from "../support/racing.ts";
import {
  openEvents,
  openWebSocket,
  readEvents,
  type Stream,
  type StreamOptions,
  takeAll,
  takeEvents,
} from "../support/stream_client.ts";

const transports: [name: string, open: (options: StreamOptions) => Promise<Stream>][] = [
  ["GET /stream/v1/events", openEvents],
  ["GET /stream/v1/ws", openWebSocket],
];

for (const [name, open] of transports) {
  Deno.test(`${name}: through the gateway, ready first, then each event as it happens, with its operation`, async () => {
    const { operation, user } = await floor();
    const stream = await open({ base: env.functionsUrl, credential: user.client.credential });
    try {
      const { cursor } = await expect(stream, "ready");
      const id = await count(operation);
      const reported = performance.now();
      const message = await expect(stream, "event");
      assertLess(performance.now() - reported, 2_000);
      EventMessage.strict().extend({ operation: Operation.strict() }).parse(message);
      assertEquals([message.event.id, message.event.op_seq, message.operation?.qty_processed], [id, 2, 1]);
      assertEquals(stream.cursor, message.cursor);
      assertEquals((await user.client.get(`/events/v1/${id}`)).body, { ...message.event });
      // stream and feed have the same cursors
      const feed = async (after: string) =>
        (await user.client.get<{ events: OperationEvent[] }>("/events/v1/feed", { query: { after } })).body;
      assertEquals((await feed(cursor)).events.map((event) => event.id), [id]);
      assertEquals((await feed(message.cursor)).events, []);
    } finally {
      await stream.leave();
    }
  });

  localTest(
    `${name}: misses and repeats nothing when the reader reconnects after each message`,
    async ({ base, hub }) => {
      const { operation, user: { client: { credential } } } = await floor();
      const first = await open({ base, credential });
      let { cursor: after } = await expect(first, "ready");
      await first.leave();
      const reported: string[] = [];
      const writing = (async () => {
        for (let round = 0; round < 12; round++) reported.push(await count(operation));
      })();
      const got: string[] = [];
      while (got.length < 12) {
        const stream = await open({ base, credential, query: { after } });
        for (const { event, cursor } of await takeEvents(stream, Math.min(1 + got.length % 3, 12 - got.length))) {
          got.push(event.id);
          after = cursor;
        }
        await stream.leave();
      }
      await writing;
      assertEquals(got, reported);
      assert(await holdsWithin(2_000, () => hub.size === 0), "streams that were left are forgotten");
    },
  );

  localTest(`${name}: from an old cursor of the feed, the stream catches up and goes on`, async ({ base }) => {
    const { operation, user: { client } } = await floor();
    const { body: { next_cursor: after } } = await client.get<{ next_cursor: string }>("/events/v1/feed?limit=1");
    const reported = [await count(operation), await count(operation)];
    const stream = await open({ base, credential: client.credential, query: { after } });
    const caughtUp = await takeEvents(stream, 2);
    reported.push(await count(operation));
    const live = await takeEvents(stream, 1);
    assertEquals([...caughtUp, ...live].map(({ event }) => event.id), reported);
    await stream.leave();
  });

  localTest(`${name}: hides other workplaces and applies all filters`, async ({ base }) => {
    const mine = await floor();
    const others = await floor();
    const { credential } = mine.user.client;
    const all = await open({ base, credential });
    const foreign = await open({ base, credential, query: { workplace_name: others.workplace } });
    const stops = await open({
      base,
      credential,
      query: { action_type: ["STOP", "START"], workplace_name: [mine.workplace] },
    });
    const order = await open({ base, credential: server.credential, query: { order_no: others.operation.order_no } });
    await Promise.all([all, foreign, stops, order].map((stream) => expect(stream, "ready")));
    const reported = [
      await count(others.operation),
      await count(mine.operation),
      await reportEvent(mine.operation, "STOP"),
    ];
    assertEquals((await takeEvents(all, 2)).map(({ event }) => event.id), reported.slice(1));
    assertEquals((await takeEvents(stops, 1)).map(({ event }) => event.id), reported.slice(2));
    assertEquals((await takeEvents(order, 1)).map(({ event }) => event.id), reported.slice(0, 1));
    // the cursor moves on with what is left out, so that coming again does not begin far back
    const { cursor } = foreign;
    assert(await holdsWithin(3_000, () => foreign.cursor !== cursor), "a heartbeat tells the cursor");
    await Promise.all([all, foreign, stops, order].map((stream) => stream.leave()));
    assertEquals(await takeAll(foreign), []);
  });

  localTest(`${name}: sends heartbeats when there are no events`, async ({ base }) => {
    const { user } = await floor();
    const stream = await open({ base, credential: user.client.credential });
    assert(await holdsWithin(5_000, () => stream.beats >= 2), `${stream.beats} heartbeats`);
    await stream.leave();
  });

  localTest(`${name}: ends after its lifetime, and resumes when the reader reconnects`, async ({ base, settings }) => {
    const { operation, user: { client: { credential } } } = await floor();
    settings.lifetimeMs = 500;
    const stream = await open({ base, credential });
    await expect(stream, "ready");
    const { reason, cursor } = await expect(stream, "close");
    assertEquals([reason, await stream.next()], ["lifetime", undefined]);
    if (name.endsWith("ws")) assertEquals(stream.code, 4000);
    const id = await count(operation);
    const again = await open({ base, credential, query: { after: cursor } });
    assertEquals((await takeEvents(again, 1))[0]?.event.id, id);
    await again.leave();
  });

  localTest(`${name}: a revoked workplace ends the stream within 10 s, and stays out of the next`, async ({ base }) => {
    const { operation, user, workplace } = await floor();
    const stream = await open({ base, credential: user.client.credential });
    await expect(stream, "ready");
    // more to see does not end it
    const other = await floor();
    await server.patch(`/profiles/v1/${user.id}`, { workplace_access: [workplace, other.workplace] });
    assert(
      await holdsWithin(10_000, async () => {
        const id = await count(other.operation);
        const came = stream.next();
        return await Promise.race([
          came.then((message) => message?.type === "event" && message.event.id === id),
          wait(1_500),
        ]);
      }),
    );
    const revoked = performance.now();
    await server.patch(`/profiles/v1/${user.id}`, { workplace_access: [other.workplace] });
    const last = (await takeAll(stream)).at(-1);
    assertLess(performance.now() - revoked, 10_000);
    assertEquals(last?.type === "close" && last.reason, "access_changed");
    if (name.endsWith("ws")) assertEquals(stream.code, 4003);
    await count(operation);
    const id = await count(other.operation);
    const next = await open({ base, credential: user.client.credential, query: { after: last?.cursor } });
    assertEquals((await takeEvents(next, 1))[0]?.event.id, id);
    await next.leave();
  });

  localTest(
    `${name}: a role that is taken away ends the stream; so does the end of the access token`,
    async ({ base }) => {
      const manager = await newUser({ role: "manager" });
      // outlives the change of role by far: what ends this stream is the change
      const short = await tokenOf(manager, 30);
      const ofManager = await open({ base, credential: manager.client.credential });
      const ofToken = await open({ base, credential: clientOf(short).credential });
      await server.patch(`/profiles/v1/${manager.id}`, { workplace_access: ["*"] });
      await server.patch(`/profiles/v1/${manager.id}`, { role: "operator", workplace_access: [] });
      const reasonOf = async (stream: Stream) => {
        const last = (await takeAll(stream)).at(-1);
        return last?.type === "close" ? last.reason : last?.type;
      };
      assertEquals(await reasonOf(ofManager), "access_changed");
      assertEquals(await reasonOf(ofToken), "access_changed");
      const { user } = await floor();
      const stream = await open({ base, credential: clientOf(await tokenOf(user, 2)).credential });
      assertEquals(await reasonOf(stream), "token_expired");
      if (name.endsWith("ws")) assertEquals(stream.code, 4401);
    },
  );

  localTest(`${name}: drops no reading client in a burst, neither live nor after a reconnect`, async ({ base }) => {
    const { operation, user: { client: { credential } } } = await floor();
    const stream = await open({ base, credential });
    const { cursor: after } = await expect(stream, "ready");
    // one offline terminal's batch: more than is sent ahead of anybody
    const { order_no, operation_no, workplace_name } = operation;
    const event = {
      action_type: "REPORT_QUANTITY",
      order_no,
      operation_no,
      workplace_name,
      qty_good: 1,
      operation_data: { text: "x".repeat(1_500) },
    };
    const { status, text } = await server.post("/events/v1/batch", { events: Array(400).fill(event) });
    assertEquals(status, 201, text);
    const opSeqs = async (stream: Stream) => (await takeEvents(stream, 400)).map(({ event }) => event.op_seq);
    const expected = Array.from({ length: 400 }, (_, index) => index + 2);
    assertEquals(await opSeqs(stream), expected);
    const again = await open({ base, credential, query: { after } });
    assertEquals(await opSeqs(again), expected);
    // and on they go, with what all get
    const id = await count(operation);
    assertEquals((await takeEvents(stream, 1))[0]?.event.id, id);
    assertEquals((await takeEvents(again, 1))[0]?.event.id, id);
    await Promise.all([stream.leave(), again.leave()]);
  });

  localTest(
    `${name}: sends feed_reset in the stream when a ticket comes with an invalid cursor`,
    async ({ base }) => {
      const { user: { client } } = await floor();
      const secret = `cursor:${env.secretKey}`;
      const ofAnotherLife = { list: "feed", generation: "0".repeat(32), pos: 1, mark: null };
      for (
        const after of [await sign(ofAnotherLife, secret, "HS256"), await sign(ofAnotherLife, "rotated out", "HS256")]
      ) {
        const stream = await open({ base, query: { ticket: await ticketOf(client), after } });
        const messages = await takeAll(stream);
        if (name.endsWith("ws")) assertEquals([messages, stream.code], [[], 4410]);
        else assertEquals(messages, [{ type: "close", cursor: "", reason: "feed_reset" }]);
      }
    },
  );

  localTest(`${name}: a ticket opens one stream, as its user, with its filter`, async ({ base }) => {
    const { operation, user, workplace } = await floor();
    const others = await floor();
    const ticket = await ticketOf(user.client, {
      workplace_name: [workplace, others.workplace],
      action_type: ["STOP"],
    });
    const opened = await Promise.allSettled(Array.from({ length: 8 }, () => open({ base, query: { ticket } })));
    const streams = opened.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    assertEquals(streams.length, 1, "one of eight gets in");
    const [stream] = streams;
    assertExists(stream);
    await expect(stream, "ready");
    await count(operation);
    await reportEvent(others.operation, "STOP");
    const id = await reportEvent(operation, "STOP");
    assertEquals((await takeEvents(stream, 1))[0]?.event.id, id);
    await assertRejects(() => open({ base, query: { ticket } }));
    await stream.leave();
  });

  localTest(`${name}: sends feed_reset when the database was restored`, async ({ base }) => {
    const { user: { client: { credential } } } = await floor();
    const secret = `cursor:${env.secretKey}`;
    const after = await sign({ list: "feed", generation: "0".repeat(32), pos: 1, mark: null }, secret, "HS256");
    if (name.endsWith("events")) {
      assertEquals(await refusal(open({ base, credential, query: { after } })), [410, "feed_reset"]);
    } else {
      const stream = await open({ base, credential, query: { after } });
      assertEquals(await takeAll(stream), []);
      assertEquals(stream.code, 4410);
    }
  });
}

function wait(ms: number): Promise<false> {
  return new Promise((resume) => setTimeout(() => resume(false), ms));
}

/** An access token of the user that expires soon. */
async function tokenOf({ token, id }: User, seconds: number): Promise<string> {
  const claims = JSON.parse(atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
  const key = { ...JSON.parse(keySet(secret ?? "")).keys[0] };
  return await sign({ ...claims, sub: id, exp: Math.floor(Date.now() / 1000) + seconds }, key, "HS256");
}

localTest("GET /stream/v1/events: Last-Event-ID goes before after, as browsers send both", async ({ base }) => {
  const { operation, user: { client: { credential } } } = await floor();
  const stream = await openEvents({ base, credential });
  const { cursor: after } = await expect(stream, "ready");
  assert(stream.retryMs() >= 500 && stream.retryMs() <= 1_500, `${stream.retryMs()} ms`);
  await count(operation);
  const [first] = await takeEvents(stream, 1);
  const id = await count(operation);
  await stream.leave();
  const headers = { "last-event-id": first?.cursor ?? "" };
  const again = await openEvents({ base, credential, query: { after }, headers });
  assertEquals((await takeEvents(again, 1))[0]?.event.id, id);
  await again.leave();
});

localTest(
  "GET /stream/v1/events: the operation is left out where it is planned now and the reader sees nothing",
  async ({ base }) => {
    const operation = await newOperation({ status: "PLANNED" });
    const { client: { credential } } = await newUser({ workplaces: [operation.workplace_name ?? ""] });
    const stream = await openEvents({ base, credential });
    const { cursor: after } = await expect(stream, "ready");
    await stream.leave();
    await reportEvent(operation, "RELEASE");
    const there = (await newOperation()).workplace_name;
    const moved = await server.patch(operationPath(operation), { workplace_name: there });
    assertEquals(moved.status, 200, moved.text);
    const again = await openEvents({ base, credential, query: { after } });
    const [message] = await takeEvents(again, 1);
    assertEquals([message?.event.action_type, message?.operation], ["RELEASE", null]);
    await again.leave();
  },
);

localTest(
  "GET /stream/v1/events: a reader who does not read is disconnected, and gets the rest when they reconnect",
  async ({ fetch, base, settings, hub }) => {
    const { operation, user: { token, client: { credential } } } = await floor();
    settings.maxBacklogBytes = 20_000;
    settings.stallMs = 500;
    const request = (after?: string) =>
      fetch(
        new Request(`${base}/stream/v1/events${after ? `?after=${after}` : ""}`, {
          headers: { authorization: `Bearer ${token}` },
        }),
      );
    const response = await request();
    const reported: string[] = [];
    for (let round = 0; round < 20; round++) reported.push(await count(operation, { note: "x".repeat(2_000) }));
    assert(await holdsWithin(5_000, () => hub.size === 0), "the reader is dropped");
    const messages = await takeAll(readEvents(response));
    const last = messages.at(-1);
    assertEquals(last?.type === "close" && last.reason, "slow_reader");
    const got = messages.flatMap((message) => message.type === "event" ? [message.event.id] : []);
    assertEquals(got, reported.slice(0, got.length));
    assert(got.length > 2 && got.length < 12, `the reader was sent ${got.length} events`);

    settings.maxBacklogBytes = 1_000_000;
    const again = await openEvents({ base, credential, query: { after: last?.cursor } });
    assertEquals((await takeEvents(again, 20 - got.length)).map(({ event }) => event.id), reported.slice(got.length));
    await again.leave();
  },
);

localTest("GET /stream/v1/ws: drops a reader that does not read", async ({ base, settings, hub }) => {
  const { operation, user: { token } } = await floor();
  settings.maxBacklogBytes = 100_000;
  settings.stallMs = 500;
  const { hostname, port } = new URL(base);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const lines = [
    "GET /stream/v1/ws HTTP/1.1",
    `Host: ${hostname}:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    `Authorization: Bearer ${token}`,
    "\r\n",
  ];
  await connection.write(new TextEncoder().encode(lines.join("\r\n")));
  assert(await holdsWithin(5_000, () => hub.size === 1), "the reader is connected");
  const operation_data = { text: "x".repeat(15_000) };
  const { order_no, operation_no, workplace_name } = operation;
  const event = { action_type: "REPORT_QUANTITY", order_no, operation_no, workplace_name, qty_good: 1, operation_data };
  // more than the system holds for a connection that is not read
  for (let round = 0; round < 30 && hub.size > 0; round++) {
    const { status, text } = await server.post("/events/v1/batch", { events: Array(60).fill(event) });
    assertEquals(status, 201, text);
  }
  assert(await holdsWithin(5_000, () => hub.size === 0), "the reader is dropped");
  connection.close();
});

localTest("GET /stream/v1/ws: answers pings, and nothing that is too long", async ({ base }) => {
  const { user: { client: { credential } } } = await floor();
  const stream = await openWebSocket({ base, credential });
  await expect(stream, "ready");
  stream.send("what?");
  stream.send('{"type":"ping"}');
  assert(await holdsWithin(2_000, () => stream.beats > 0));
  stream.send("x".repeat(2_000));
  assertEquals(await takeAll(stream), []);
  assertEquals(stream.code, 4400);
});

localTest(
  "GET /stream/v1: refused without a credential, with a bad cursor, an unknown filter, a filter beside a ticket",
  async ({ base }) => {
    const { user: { client } } = await floor();
    const { credential } = client;
    const cases: [expected: [number, string], options: Omit<StreamOptions, "base">][] = [
      [[401, "unauthenticated"], {}],
      [[401, "unauthenticated"], { credential: { token: "a.b.c" } }],
      [[401, "unauthenticated"], { query: { ticket: "none" } }],
      [[401, "unauthenticated"], { credential, query: { ticket: await ticketOf(client) } }],
      [[422, "validation_failed"], { credential, query: { after: "17" } }],
      [[422, "validation_failed"], { credential, headers: { "last-event-id": "17" } }],
      [[422, "validation_failed"], { credential, query: { colour: "red" } }],
      [[422, "validation_failed"], { credential, query: { action_type: "DANCE" } }],
      [[422, "validation_failed"], { query: { ticket: await ticketOf(client), order_no: "1" } }],
    ];
    for (const [expected, options] of cases) {
      assertEquals(await refusal(openEvents({ base, ...options })), expected, JSON.stringify(options));
      if (options.headers === undefined) await assertRejects(() => openWebSocket({ base, ...options }));
    }
    const upgrade = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
    for (const url of [base, env.functionsUrl]) {
      for (const incomplete of [{}, upgrade]) {
        const plain = await fetch(`${url}/stream/v1/ws`, {
          headers: { authorization: `Bearer ${credential.token}`, ...incomplete },
        });
        assertEquals([plain.status, (await plain.json()).code, plain.headers.get("upgrade")], [
          426,
          "upgrade_required",
          "websocket",
        ]);
      }
    }
    // made past the API
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("forged"))).toHex();
    assertEquals(
      (await dataApi(client).post("/rest/v1/rpc/create_stream_ticket", { digest, filter: { a: 1 } })).status,
      200,
    );
    assertEquals(await refusal(openEvents({ base, query: { ticket: "forged" } })), [401, "unauthenticated"]);
  },
);

localTest(
  "GET /stream/v1: the isolate is asked to stay while a stream is open, and no longer",
  async ({ base, hub }) => {
    assert(await holdsWithin(5_000, () => hub.size === 0 && !hub.isRunning), "nobody follows");
    let isOver = false;
    const waitUntil = (work: Promise<unknown>) => void work.then(() => isOver = true);
    Reflect.set(globalThis, "EdgeRuntime", { waitUntil });
    // their settlement is other work that outlives an answer
    rateLimits.areOn = false;
    try {
      const { user: { client: { credential } } } = await floor();
      const stream = await openWebSocket({ base, credential });
      await expect(stream, "ready");
      assertEquals(isOver, false);
      await stream.leave();
      assert(await holdsWithin(8_000, () => isOver), "it may go");
    } finally {
      rateLimits.areOn = true;
      Reflect.deleteProperty(globalThis, "EdgeRuntime");
    }
  },
);

localTest("GET /stream/v1/events: answers 503 when the isolate has no room", async ({ base, settings }) => {
  const { user: { client: { credential } } } = await floor();
  settings.maxStreams = 1;
  const stream = await openEvents({ base, credential });
  assertEquals(await refusal(openEvents({ base, credential })), [503, "unavailable"]);
  await stream.leave();
});

localTest(
  "GET /stream/v1/events: not compressed, not kept, and read by one query however many follow",
  async ({ base }) => {
    const { user: { token }, operation, workplace } = await floor();
    const response = await fetch(`${base}/stream/v1/events`, {
      headers: { authorization: `Bearer ${token}`, "accept-encoding": "gzip", accept: "text/event-stream" },
    });
    assertMatch(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    assertEquals(response.headers.get("cache-control"), "no-store, no-transform");
    assertEquals(response.headers.get("content-encoding"), null);
    assertExists(response.headers.get("x-request-id"));
    const users = await race(3, () => newUser({ workplaces: [workplace] }));
    const streams = await race(30, (index) => openEvents({ base, credential: users[index % 3]?.client.credential }));
    await Promise.all(streams.map((stream) => expect(stream, "ready")));
    const id = await count(operation);
    const got = await Promise.all(streams.map((stream) => takeEvents(stream, 1)));
    assertEquals(new Set(got.map(([message]) => message?.event.id)), new Set([id]));
    await Promise.all([...streams.map((stream) => stream.leave()), response.body?.cancel()]);
  },
);

Deno.test({
  name: "POST /stream/v1/tickets: 30 seconds, kept as a digest only, useless afterwards and for anything else",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const { user } = await floor();
      const { body, status } = await user.client.post<{ ticket: string; expires_at: string }>("/stream/v1/tickets", {});
      assertEquals(status, 201);
      const leftMs = Date.parse(body.expires_at) - Date.now();
      assert(leftMs > 25_000 && leftMs <= 31_000, `${leftMs} ms`);
      const rows = await sql<
        { row: string }[]
      >`select t::text as row from app.stream_tickets t where user_id = ${user.id}`;
      assertEquals(rows.length, 1);
      assert(!rows[0]?.row.includes(body.ticket), "the ticket is not in the database");
      const { functionsUrl: base } = env;
      const other = await fetch(`${base}/stream/v1/tickets?ticket=${body.ticket}`, {
        method: "POST",
        body: "{}",
        headers: { "content-type": "application/json" },
      });
      assertEquals([other.status, (await other.json()).code], [401, "unauthenticated"]);
      await sql`update app.stream_tickets set expires_at = clock_timestamp() where user_id = ${user.id}`;
      assertEquals(await refusal(openEvents({ base, query: { ticket: body.ticket } })), [401, "unauthenticated"]);
      await ticketOf(user.client);
      const [{ count = 0 } = {}] = await sql<{ count: number }[]>`
        select count(*)::int from app.stream_tickets where user_id = ${user.id}`;
      assertEquals(count, 1, "what has expired is removed");
      assertGreater(body.ticket.length, 40);
    }),
});

localTest("HEAD /stream/v1/events: is answered as GET is, and leaves no stream behind", async ({ hub, fetch }) => {
  const { size } = hub;
  const answer = await fetch(
    new Request("http://stream/stream/v1/events", { method: "HEAD", headers: { apikey: env.secretKey } }),
  );
  assertEquals([answer.status, answer.headers.get("content-type"), await answer.text()], [
    200,
    "text/event-stream",
    "",
  ]);
  assertEquals(hub.size, size);
});
