/**
 * Many clients write, many follow, and all reconnect: no event is missed, duplicated or out of
 * order. The short form runs in the suite; RELIABILITY=full runs the long one and tells the times.
 */
import type postgres from "postgres";
import {
  assert,
  assertEquals,
  env,
  newOperation,
  newUser,
  type Operation,
  type OperationEvent,
  report,
  server,
} from "../support/harness.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { isLongForm, race } from "../support/racing.ts";
import { openEvents, openWebSocket, type Stream, type StreamOptions } from "../support/stream_client.ts";

const writers = 16;
const readers = 20;
const eventsPerWriter = isLongForm ? 120 : 12;
const operationsPerWorkplace = 4;

const pause = (mostMs: number) => new Promise<void>((resume) => setTimeout(resume, Math.random() * mostMs));

/** When each event was acknowledged, to tell how long it took to the readers. */
const acknowledged = new Map<string, number>();
const lags = new Map<string, number[]>();

interface Reader {
  transport: string;
  workplace: string;
  got: OperationEvent[];
}

/** One event in 33 is written and taken back: its position must not be missed by anybody. */
async function write(operations: Operation[], sql: postgres.Sql | undefined): Promise<void> {
  for (let round = 0; round < eventsPerWriter; round++) {
    const operation = operations[Math.floor(Math.random() * operations.length)];
    assert(operation);
    await pause(40);
    const { order_no, operation_no, workplace_name, asset_id } = operation;
    const event = { action_type: "REPORT_QUANTITY", order_no, operation_no, workplace_name, asset_id, qty_good: 1 };
    if (sql !== undefined && Math.random() < 0.03) {
      await sql.begin(async (tx) => {
        await tx`set local role service_role`;
        await tx`select public.report_event(${JSON.stringify(event)}::text::jsonb)`;
        await tx`reset role`;
        // it has its position, and loses it
        await tx`set constraints all immediate`;
        throw "undo";
      }).catch((error) => {
        if (error !== "undo") throw error;
      });
    }
    const { status, body, text } = await report(server, operation, "REPORT_QUANTITY", { qty_good: 1 });
    assertEquals(status, 201, text);
    acknowledged.set(body.id, performance.now());
  }
}

function take({ got, transport }: Reader, event: OperationEvent): void {
  got.push(event);
  const at = acknowledged.get(event.id);
  // what comes before its own acknowledgement has no lag
  lags.set(transport, [...lags.get(transport) ?? [], at === undefined ? 0 : performance.now() - at]);
}

/** Reads until it has as many as there are, coming again all the time. */
async function readFeed(reader: Reader, options: StreamOptions, isDone: () => boolean): Promise<void> {
  for (let after = options.query?.after; !isDone();) {
    const url = new URL(
      `${options.base}/events/v1/feed?wait=1&limit=${1 + Math.floor(Math.random() * 50)}&after=${after}`,
    );
    const response = await fetch(url, { headers: { authorization: `Bearer ${options.credential?.token}` } });
    const { events, next_cursor } = await response.json();
    for (const event of events) take(reader, event);
    after = next_cursor;
  }
}

async function follow(
  open: (options: StreamOptions) => Promise<Stream>,
  reader: Reader,
  options: StreamOptions,
  isDone: () => boolean,
): Promise<void> {
  for (let after = options.query?.after; !isDone();) {
    const stream = await open({ ...options, query: { after } });
    const patience = setTimeout(() => stream.leave(), 300 + Math.random() * 1_000);
    for (let message = await stream.next(); message !== undefined; message = await stream.next()) {
      if (message.type === "event") take(reader, message.event);
      after = message.cursor;
      if (Math.random() < 0.02 || isDone()) break;
    }
    clearTimeout(patience);
    await stream.leave();
  }
}

const transports: Record<string, (reader: Reader, options: StreamOptions, isDone: () => boolean) => Promise<void>> = {
  feed: readFeed,
  sse: (...all) => follow(openEvents, ...all),
  websocket: (...all) => follow(openWebSocket, ...all),
};

Deno.test(`Feed and streams: ${writers} writers with rollbacks, ${readers} readers who come and go: nothing missed, repeated or out of order`, async () => {
  await withRollbacks(async (sql) => {
    const workplaces = await race(2, async () => {
      const first = await newOperation({ qty_desired: null });
      const more = await race(
        operationsPerWorkplace - 1,
        () => newOperation({ qty_desired: null, workplace_name: first.workplace_name }),
      );
      const operations = [first, ...more];
      for (const operation of operations) await report(server, operation, "START");
      return { name: first.workplace_name ?? "", operations };
    });
    const users = await race(2, (index) => newUser({ workplaces: [workplaces[index]?.name ?? ""] }));
    const { body: { next_cursor: after } } = await server.get<{ next_cursor: string }>("/events/v1/feed", {
      query: { workplace_name: workplaces.map(({ name }) => name), limit: 500 },
    });

    let writing = true;
    const expected = () => writers / 2 * eventsPerWriter;
    const following = race(readers, async (index) => {
      const [transport = "", run] = Object.entries(transports)[index % 3] ?? [];
      const reader: Reader = { transport, workplace: workplaces[index % 2]?.name ?? "", got: [] };
      const options = { base: env.functionsUrl, credential: users[index % 2]?.client.credential, query: { after } };
      let patience = Infinity;
      await run?.(reader, options, () => {
        if (writing) return false;
        if (patience === Infinity) patience = performance.now() + 10_000;
        return reader.got.length >= expected() || performance.now() > patience;
      });
      return reader;
    });
    const began = performance.now();
    await race(writers, (index) => write(workplaces[index % 2]?.operations ?? [], sql));
    const took_s = (performance.now() - began) / 1_000;
    writing = false;

    const orderOf = new Map<string, string[]>();
    for (const { workplace, got, transport } of await following) {
      const ids = got.map(({ id }) => id);
      assertEquals(new Set(ids).size, ids.length, `${transport}: repeated`);
      assertEquals(got.length, expected(), `${transport}: missed`);
      assert(got.every((event) => event.workplace_name === workplace), `${transport}: of another workplace`);
      const last = new Map<string, number>();
      for (const { order_no, op_seq } of got) {
        assert(op_seq > (last.get(order_no) ?? 0), `${transport}: out of order`);
        last.set(order_no, op_seq);
      }
      // all readers of a workplace have heard the same story
      assertEquals(ids, orderOf.get(workplace) ?? ids, transport);
      orderOf.set(workplace, ids);
    }
    if (isLongForm) tell(took_s);
  });
});

function tell(took_s: number): void {
  const perTransport = [...lags].map(([transport, all]) => {
    const sorted = all.toSorted((a, b) => a - b);
    const at = (share: number) => `${Math.round(sorted[Math.floor(sorted.length * share)] ?? 0)} ms`;
    return `${transport} ${sorted.length} events, lag p50 ${at(0.5)}, p99 ${at(0.99)}`;
  });
  const perSecond = Math.round(writers * eventsPerWriter / took_s);
  console.log(`MEASURED Feed and streams: ${perSecond} events/s; ${perTransport.join("; ")}`);
}

/** Rollbacks need a connection; elsewhere there are none. */
async function withRollbacks(run: (sql: postgres.Sql | undefined) => Promise<void>): Promise<void> {
  if (hasDatabase) await withDatabase((sql) => run(sql));
  else await run(undefined);
}
