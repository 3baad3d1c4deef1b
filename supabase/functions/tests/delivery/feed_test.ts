/** The feed: every event once, in one order, to those who may see it. */
import { sign, verify } from "hono/jwt";
import {
  anonymous,
  type Answer,
  assert,
  assertEquals,
  assertExists,
  assertGreater,
  assertLess,
  assertProblem,
  type Client,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  type OperationEvent,
  operationPath,
  report,
  server,
} from "../support/harness.ts";
import { edgeDeno, edgeFlags } from "../../../../local/functions/edge_deno.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";

interface Feed {
  events: OperationEvent[];
  next_cursor: string;
}

type Query = Record<string, string | number | string[] | undefined>;

async function read(client: Client, query: Query = {}): Promise<Feed> {
  const { status, body, text } = await client.get<Feed>("/events/v1/feed", { query });
  assertEquals(status, 200, text);
  return body;
}

/** Everything from a cursor on, page by page. */
async function readAll(client: Client, { after, ...query }: Query = {}): Promise<Feed> {
  const events: OperationEvent[] = [];
  for (let cursor = after;;) {
    const page = await read(client, { ...query, after: cursor });
    events.push(...page.events);
    if (page.events.length === 0) return { events, next_cursor: page.next_cursor };
    cursor = page.next_cursor;
  }
}

/** An operation with so many quantities reported, its operator, and its events so far. */
async function floor(quantities = 0) {
  const operation = await newOperation();
  const workplace = operation.workplace_name ?? "";
  const { client } = await newUser({ workplaces: [workplace] });
  const events = [await reportEvent(operation, "START")];
  for (let round = 0; round < quantities; round++) {
    events.push(await reportEvent(operation, "REPORT_QUANTITY", { qty_good: 1 }));
  }
  return { operation, workplace, client, events };
}

async function reportEvent(
  operation: Operation,
  action: OperationEvent["action_type"],
  more = {},
): Promise<OperationEvent> {
  const { status, body: { operation: _, ...event }, text } = await report(server, operation, action, more);
  assertEquals(status, 201, text);
  return event;
}

const idsOf = (events: OperationEvent[]) => events.map(({ id }) => id);

/** Changes the content of a cursor and signs it again. */
async function forged(cursor: string, change: Record<string, unknown>): Promise<string> {
  const secret = `cursor:${env.secretKey}`;
  return await sign({ ...await verify(cursor, secret, "HS256"), ...change }, secret, "HS256");
}

Deno.test("GET /events/v1/feed: returns each event once, in order, across pages", async () => {
  const { client, events } = await floor(6);
  const all = await readAll(client, { limit: 2 });
  assertEquals(idsOf(all.events), idsOf(events));
  assertEquals(all.events.map(({ op_seq }) => op_seq), [1, 2, 3, 4, 5, 6, 7]);
  const positions = all.events.map(({ pos }) => pos ?? 0);
  assertEquals(positions, positions.toSorted((a, b) => a - b));
  assertEquals(new Set(positions).size, 7);
});

Deno.test("GET /events/v1/feed: returns the same event as a read by its id", async () => {
  const { client, events: [started] } = await floor();
  const { events: [event] } = await read(client);
  assertExists(event);
  assertEquals((await client.get<OperationEvent>(`/events/v1/${started?.id}`)).body, event);
});

Deno.test("GET /events/v1/feed?include=operation: each event has its operation as it is now, as far as the caller sees it", async () => {
  const { operation, client, workplace, events } = await floor(2);
  const { body } = await server.get<Record<string, unknown>>(operationPath(operation));
  // minutes of the open run count on
  const { allowed_actions: _, t_actual_processing_min: __, ...now } = body;
  const read = async (query: Query) => {
    const page = await client.get<{ events: (OperationEvent & { operation?: Record<string, unknown> | null })[] }>(
      "/events/v1/feed",
      { query },
    );
    assertEquals(page.status, 200, page.text);
    return page.body.events;
  };
  const included = await read({ include: "operation" });
  assertEquals(included.map(({ id }) => id), idsOf(events));
  const plain = await read({});
  for (const [index, { operation, ...event }] of included.entries()) {
    assertExists(operation);
    const { t_actual_processing_min: _, ...same } = operation;
    assertEquals(same, now);
    assertEquals(event, plain[index]);
  }
  const away = newWorkplace();
  assertEquals((await server.patch(operationPath(operation), { workplace_name: away })).status, 200);
  const moved = await read({ include: "operation", workplace_name: workplace });
  assertEquals(moved.slice(0, 3).map(({ operation }) => operation), [null, null, null]);
  assertProblem(await server.get("/events/v1/feed?include=runs"), 422, "validation_failed");
});

Deno.test("GET /events/v1/feed: returns a cursor to resume from when there is no event", async () => {
  const { client, operation } = await floor();
  const { next_cursor } = await readAll(client);
  const none = await read(client, { after: next_cursor });
  assertEquals(none.events, []);
  const stopped = await reportEvent(operation, "STOP");
  assertEquals(idsOf((await readAll(client, { after: none.next_cursor })).events), [stopped.id]);
  assertEquals(idsOf((await readAll(client, { after: next_cursor })).events), [stopped.id]);
});

Deno.test("GET /events/v1/feed: limit bounds a page, 1 to 500", async () => {
  const { client } = await floor(3);
  assertEquals((await read(client, { limit: 1 })).events.length, 1);
  assertEquals((await read(client, { limit: 500 })).events.length, 4);
  for (const limit of [0, 501]) {
    assertProblem(await client.get("/events/v1/feed", { query: { limit } }), 422, "validation_failed");
  }
});

Deno.test("GET /events/v1/feed: hides events of workplaces that the caller does not see", async () => {
  const mine = await floor();
  const others = await floor();
  assertEquals(idsOf((await readAll(mine.client)).events), idsOf(mine.events));
  assertEquals((await read(mine.client, { workplace_name: others.workplace })).events, []);
  assertEquals((await read(mine.client, { order_no: others.operation.order_no })).events, []);
  const { client: newcomer } = await newUser();
  assertEquals((await readAll(newcomer)).events, []);
  assertProblem(await anonymous.get("/events/v1/feed"), 401, "unauthenticated");
});

Deno.test("GET /events/v1/feed: hides a revoked workplace at the next request", async () => {
  const { operation, workplace } = await floor();
  const { client, id } = await newUser({ workplaces: [workplace] });
  const { next_cursor } = await readAll(client);
  assertEquals((await server.patch(`/profiles/v1/${id}`, { workplace_access: [] })).status, 200);
  await reportEvent(operation, "STOP");
  assertEquals((await readAll(client, { after: next_cursor })).events, []);
});

Deno.test("GET /events/v1/feed: managers and servers follow all workplaces", async () => {
  const { client: manager } = await newUser({ role: "manager" });
  const one = await floor();
  const two = await floor();
  const workplace_name = [one.workplace, two.workplace];
  for (const client of [manager, server]) {
    const { events } = await readAll(client, { workplace_name });
    assertEquals(idsOf(events), idsOf([...one.events, ...two.events]));
  }
  const { next_cursor: after } = await readAll(manager, { workplace_name });
  const later = [await reportEvent(one.operation, "STOP"), await reportEvent(two.operation, "STOP")];
  // without a filter there is what happens elsewhere as well
  const unfiltered = await readAll(manager, { after });
  assertEquals(idsOf(unfiltered.events.filter((event) => later.some(({ id }) => id === event.id))), idsOf(later));
});

Deno.test("GET /events/v1/feed: filters combine with and; a workplace named twice is followed once", async () => {
  const { client, operation, workplace, events } = await floor(2);
  const second = await newOperation({ workplace_name: workplace });
  const other = await reportEvent(second, "START");
  const ids = async (query: Query) => idsOf((await readAll(client, query)).events);
  assertEquals(await ids({ action_type: ["START"] }), [events[0]?.id, other.id]);
  assertEquals(await ids({ action_type: ["START", "REPORT_QUANTITY"], order_no: operation.order_no }), idsOf(events));
  assertEquals(await ids({ order_no: second.order_no }), [other.id]);
  assertEquals(await ids({ workplace_name: [workplace, workplace] }), [...idsOf(events), other.id]);
  assertEquals(await ids({ workplace_name: newWorkplace() }), []);
  assertProblem(await client.get("/events/v1/feed?action_type=DANCE"), 422, "validation_failed");
  assertProblem(await client.get("/events/v1/feed?colour=red"), 422, "validation_failed");
});

Deno.test("GET /events/v1/feed: answers at once when an event arrives during wait", async () => {
  const { client, operation } = await floor();
  const { next_cursor: after } = await readAll(client);
  const began = performance.now();
  const waiting = read(client, { after, wait: 20 }).then((feed) => ({ ...feed, at: performance.now() }));
  // it waits: so far nothing has come
  await read(client, { after, wait: 1 });
  const stopped = await reportEvent(operation, "STOP");
  const reported = performance.now();
  const { events, at } = await waiting;
  assertEquals(idsOf(events), [stopped.id]);
  assertGreater(at - began, 1_000);
  assertLess(at - reported, 1_500);
});

Deno.test("GET /events/v1/feed: answers with a cursor when wait ends without an event", async () => {
  const { client } = await floor();
  const { next_cursor: after } = await readAll(client);
  const began = performance.now();
  const { events, next_cursor } = await read(client, { after, wait: 1 });
  const tookMs = performance.now() - began;
  assertEquals(events, []);
  assertExists(next_cursor);
  assert(tookMs >= 950 && tookMs < 4_000, `${tookMs} ms`);
  assertProblem(await client.get("/events/v1/feed?wait=26"), 422, "validation_failed");
});

Deno.test("GET /events/v1/feed: rejects a cursor that is not of the feed", async () => {
  const { client } = await floor();
  const { next_cursor } = await read(client);
  const [header, , signature] = next_cursor.split(".");
  const tampered = [header, btoa('{"list":"feed","generation":"x","pos":1}'), signature].join(".");
  const ofAnotherList = await forged(next_cursor, { list: "/operations/v1?" });
  for (const after of ["", "17", tampered, ofAnotherList]) {
    assertProblem(await client.get("/events/v1/feed", { query: { after } }), 422, "validation_failed");
  }
});

Deno.test("Cursors: are valid under every secret key of the project, and under no other key", async () => {
  const script = new URL("../support/cursor_keys.ts", import.meta.url).pathname;
  const read = async (...keys: string[]) => {
    const { stdout } = await new Deno.Command(await edgeDeno(), {
      args: [...edgeFlags, script, ...keys],
      env: { SUPABASE_URL: env.supabaseUrl },
    }).output();
    return JSON.parse(new TextDecoder().decode(stdout));
  };
  assertEquals(await read("sb_secret_new", "sb_secret_old"), { pos: 1 });
  assertEquals(await read("sb_secret_new"), null);
});

Deno.test("GET /events/v1/feed: answers feed_reset to old cursors when the database was restored", async () => {
  const { client, events } = await floor();
  const { next_cursor } = await readAll(client);
  const reset = (answer: Answer<unknown>) => assertProblem(answer, 410, "feed_reset");
  // another life of the feed, a position that this one has not reached, and one where another event stands
  for (const change of [{ generation: "0".repeat(32) }, { pos: Number.MAX_SAFE_INTEGER }, { mark: "0".repeat(12) }]) {
    const after = await forged(next_cursor, change);
    reset(await client.get("/events/v1/feed", { query: { after } }));
    reset(await client.get("/events/v1/feed", { query: { after, wait: 5 } }));
  }
  assertEquals(idsOf((await readAll(client)).events), idsOf(events));
});

for (const end of ["commit", "rollback"] as const) {
  Deno.test({
    name: `GET /events/v1/feed: stops before a commit that is under way, until its ${end}`,
    ignore: !hasDatabase,
    fn: () =>
      withDatabase(async (sql) => {
        const early = await floor();
        const late = await floor();
        const query = { workplace_name: [early.workplace, late.workplace] };
        const { next_cursor: after } = await readAll(server, query);
        const { order_no, operation_no, workplace_name } = early.operation;
        const stop = JSON.stringify({ action_type: "STOP", order_no, operation_no, workplace_name });
        let stopped = "";
        await sql.begin(async (tx) => {
          await tx`set local role service_role`;
          const [row] = await tx<
            { id: string }[]
          >`select public.report_event(${stop}::text::jsonb) #>> '{body,id}' as id`;
          stopped = row?.id ?? "";
          // as far as a commit goes before others see it
          await tx.unsafe("reset role; set constraints all immediate");
          late.events.push(await reportEvent(late.operation, "STOP"));
          assertEquals((await readAll(server, { ...query, after })).events, []);
          if (end === "rollback") throw "undo";
        }).catch((error) => {
          if (error !== "undo") throw error;
        });
        const { events } = await readAll(server, { ...query, after });
        const expected = idsOf(late.events.slice(1));
        assertEquals(idsOf(events), end === "commit" ? [stopped, ...expected] : expected);
      }),
  });
}

Deno.test({
  name: "read_feed: begins after the cut when the reader starts while the feed is cut off",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const { operation } = await floor(2);
      await sql.begin(async (tx) => {
        // the floor is ahead of what is there, as while it is being cut off
        await tx`update app.feed_state set floor_pos = (select min(pos) from app.feed) + 1`;
        await tx`set local role service_role`;
        const { order_no } = operation;
        type Page = {
          events: OperationEvent[];
          pos: number;
          generation: string;
          mark: string | null;
          has_more: boolean;
        };
        const [first] = await tx<{ page: Page }[]>`select public.read_feed(order_no => ${order_no}) as page`;
        // a call looks at 10,000 positions, which may all be of other tests
        let page = first?.page;
        while (page?.events.length === 0 && page.has_more) {
          const { pos, generation, mark } = page;
          const [next] = await tx<{ page: Page }[]>`
            select public.read_feed(order_no => ${order_no}, after_pos => ${pos}, generation => ${generation}, mark => ${mark}) as page`;
          page = next?.page;
        }
        assertEquals(page?.events.length, 3);
        throw "undo";
      }).catch((error) => {
        if (error !== "undo") throw error;
      });
    }),
});

Deno.test({
  name:
    "prune_feed: what is older than the retention goes, with new events or at once, and a cursor of before it is told so",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const { operation, events: [first] } = await floor(2);
      // alone in a transaction that is undone: the others' feed stays whole
      await sql.begin(async (tx) => {
        await tx`update app.feed_state set retention = '1 hour'`;
        const [{ pos = 0 } = {}] = await tx<{ pos: number }[]>`
          update app.feed set recorded_at = clock_timestamp() - interval '2 hours' where event_id = ${
          first?.id ?? ""
        } returning pos::int`;
        await tx`update app.feed set recorded_at = clock_timestamp() - interval '2 hours' where pos <= ${pos}`;
        // commits that draw positions take some of the oldest away
        const kept = () =>
          tx<{ first: number; floor: number }[]>`
          select min(f.pos)::int as first, s.floor_pos::int as floor from app.feed f, app.feed_state s group by s.floor_pos`;
        const [before] = await kept();
        const { order_no, operation_no, workplace_name } = await newOperation();
        const report = { order_no, operation_no, workplace_name };
        const events = Array.from({ length: 16 }, (_, index) =>
          index === 0
            ? { ...report, action_type: "START" }
            : { ...report, action_type: "REPORT_QUANTITY", qty_good: 1 });
        await tx`set local role service_role`;
        await tx`select public.report_events(${JSON.stringify(events)}::text::jsonb, true, null)`;
        await tx.unsafe("reset role; set constraints all immediate");
        const [after] = await kept();
        assert(
          before && after && after.first > before.first && after.floor < after.first,
          JSON.stringify([before, after]),
        );

        await tx`set local role service_role`;
        let cut = after.floor;
        for (let [row] = await tx<{ cut: number | null }[]>`select public.prune_feed()::int as cut`; row?.cut;) {
          cut = row.cut;
          [row] = await tx<{ cut: number | null }[]>`select public.prune_feed()::int as cut`;
        }
        assertEquals(cut, pos);
        const [{ feed } = { feed: undefined }] = await tx<{ feed: { events: OperationEvent[] } }[]>`
          select public.read_feed(order_no => ${operation.order_no}) as feed`;
        assertEquals(
          feed?.events.map(({ op_seq }) =>
            op_seq
          ),
          [2, 3],
        );
        const at = await tx`select public.read_feed(after_pos => ${pos})`;
        assertEquals(at.length, 1);
        const refused = await tx.savepoint((nested) => nested`select public.read_feed(after_pos => ${pos - 1})`)
          .then(() => undefined, (error) => error);
        assertEquals([refused?.code, refused?.message], ["PT410", "feed_reset"]);
        throw "undo";
      }).catch((error) => {
        if (error !== "undo") throw error;
      });
    }),
});

Deno.test({
  name: "announce_feed: where Realtime is, each commit is broadcast once; elsewhere there is no trigger",
  ignore: !hasDatabase,
  fn: () =>
    withDatabase(async (sql) => {
      const [{ here } = { here: true }] = await sql<{ here: boolean }[]>`
        select to_regnamespace('realtime') is not null as here`;
      if (here) return;
      const { order_no, operation_no, workplace_name } = await newOperation();
      const migration = await Deno.readTextFile(
        new URL("../../../schemas/70_feed/04_announcing.sql", import.meta.url),
      );
      await sql.begin(async (tx) => {
        await tx.unsafe(`
          create schema realtime;
          create table realtime.sent (topic text, private boolean);
          create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
          language sql as $$ insert into realtime.sent values (topic, private) $$;
          ${migration}
          set local role service_role;`);
        for (const action_type of ["START", "STOP", "START"]) {
          const started = JSON.stringify({ action_type, order_no, operation_no, workplace_name });
          await tx`select public.report_event(${started}::text::jsonb)`;
        }
        const head = await tx<{ head: { is_announced: boolean } }[]>`select public.feed_head() as head`;
        assertEquals(head[0]?.head.is_announced, true);
        await tx.unsafe("reset role; set constraints all immediate");
        assertEquals([...await tx`select topic, private from realtime.sent`], [{ topic: "mes-feed", private: true }]);
        throw "undo";
      }).catch((error) => {
        if (error !== "undo") throw error;
      });
    }),
});

Deno.test("GET /events/v1/feed: ten requests of a user wait when twenty are sent", async () => {
  const { client, operation } = await floor();
  const { next_cursor } = await readAll(client);
  const refused: Answer<unknown>[] = [];
  const { promise: tenAreRefused, resolve } = Promise.withResolvers<void>();
  const answers = Array.from({ length: 20 }, async () => {
    const answer = await client.get("/events/v1/feed", { query: { after: next_cursor, wait: 25 } });
    if (answer.status === 429 && refused.push(answer) === 10) resolve();
    return answer.status;
  });
  await tenAreRefused;
  for (const answer of refused) {
    assertEquals(assertProblem(answer, 429, "rate_limited").limit, 10);
    assertEquals(answer.headers.get("retry-after"), "5");
  }
  await reportEvent(operation, "STOP");
  assertEquals((await Promise.all(answers)).filter((status) => status === 200).length, 10);
  const again = await reportEvent(operation, "START");
  const { events } = await read(client, { after: next_cursor, wait: 25 });
  assertEquals(events.at(-1)?.id, again.id);
});
