/** Only managers and above read the answers of webhook receivers, on every way on which an event is read. */
import {
  assert,
  assertEquals,
  assertExists,
  type Client,
  dataApi,
  env,
  newUser,
  type OperationEvent,
  report,
  type ReportedEvent,
} from "../support/harness.ts";
import { Hook } from "../support/webhook_receiver.ts";
import { openEvents, takeEvents } from "../support/stream_client.ts";
import { type FeedEnd, feedEnd } from "../support/feed_end.ts";

/** Webhooks are dispatched by the test itself, where no timer does. */
const ignore = env.databaseUrl === undefined || Deno.env.get("LOCAL_JWT_SECRET") === undefined;

/** Answer of the receiver, which only managers may read. */
const secretAnswer = "internal: order margin 12 %";

interface RefusedEvent {
  hook: Hook;
  place: string;
  id: string;
  /** End of the feed before the event. */
  end: FeedEnd;
}

/** An event whose only webhook was refused with {@link secretAnswer}. */
async function refusedEvent(): Promise<RefusedEvent> {
  const end = await feedEnd();
  const hook = await Hook.open({}, () => new Response(secretAnswer, { status: 500 }));
  const [id] = await hook.report();
  await hook.dispatch();
  assertExists(id);
  return { hook, place: hook.operation.workplace_name ?? "", id, end };
}

interface Way {
  name: string;
  read: (client: Client, event: RefusedEvent) => Promise<{ text: string; event?: OperationEvent }>;
}

const ways: Way[] = [
  {
    name: "GET /events/v1/{event_id}",
    read: async (client, { id }) => {
      const { body, text } = await client.get<OperationEvent>(`/events/v1/${id}`);
      return { text, event: body };
    },
  },
  {
    name: "GET /events/v1",
    read: async (client, { place }) => {
      const { body, text } = await client.get<OperationEvent[]>("/events/v1", { query: { workplace_name: place } });
      return { text, event: body[0] };
    },
  },
  {
    name: "GET /events/v1/workplace/{workplace_name}",
    read: async (client, { place }) => {
      const { body, text } = await client.get<OperationEvent[]>(`/events/v1/workplace/${place}`);
      return { text, event: body[0] };
    },
  },
  {
    name: "GET /events/v1/feed",
    read: async (client, { place }) => {
      const { body, text } = await client.get<{ events: OperationEvent[] }>("/events/v1/feed", {
        query: { workplace_name: place },
      });
      return { text, event: body.events[0] };
    },
  },
  {
    name: "rpc/read_feed of the Data API with operations",
    read: async (client, { place, end }) => {
      const { body, text } = await dataApi(client).post<{ events: OperationEvent[] }>("/rest/v1/rpc/read_feed", {
        ...end,
        workplace_names: [place],
        with_operations: true,
      });
      return { text, event: body.events[0] };
    },
  },
  {
    name: "rpc/get_event of the Data API",
    read: async (client, { id }) => {
      const { body, text } = await dataApi(client).post<OperationEvent>("/rest/v1/rpc/get_event", { id });
      return { text, event: body };
    },
  },
  {
    name: "rpc/list_events of the Data API",
    read: async (client, { place }) => {
      const { body, text } = await dataApi(client).post<{ items: OperationEvent[] }>("/rest/v1/rpc/list_events", {
        workplace_name: place,
      });
      return { text, event: body.items[0] };
    },
  },
];

for (const { name, read } of ways) {
  Deno.test(
    { name: `${name}: tells what receivers answered when the caller is a manager or above`, ignore },
    async () => {
      const event = await refusedEvent();
      await using _ = event.hook;
      for (const role of ["readonly", "machine", "operator", "supervisor"] as const) {
        for (const workplaces of [[event.place], ["*"]]) {
          const { client } = await newUser({ role, workplaces });
          const { text, event: read_ } = await read(client, event);
          const { id, webhook_success, webhook_response, error_message } = read_ ?? {};
          assertEquals([id, webhook_success, webhook_response, error_message], [event.id, false, null, null], role);
          assert(!text.includes("margin") && !text.includes("HTTP 500"), `${role}: ${text}`);
        }
      }
      for (const role of ["manager", "admin"] as const) {
        const { client } = await newUser({ role });
        const { event: told } = await read(client, event);
        assertEquals(
          [told?.webhook_response, told?.error_message],
          [`500 ${secretAnswer}`, "Answered HTTP 500"],
          role,
        );
      }
    },
  );
}

Deno.test(
  { name: "POST /events/v1: does not tell what receivers answered when an operator repeats a report", ignore },
  async () => {
    const { hook, place } = await refusedEvent();
    await using _ = hook;
    const { client } = await newUser({ workplaces: [place] });
    const id = crypto.randomUUID();
    const send = () => report<ReportedEvent>(client, hook.operation, "REPORT_QUANTITY", { id, qty_good: 1 });
    assertEquals((await send()).status, 201);
    await hook.dispatch();
    const again = await send();
    assertEquals([again.status, again.body.webhook_response, again.body.error_message], [200, null, null]);
    const { client: manager } = await newUser({ role: "manager" });
    const { body: told } = await manager.get<OperationEvent>(`/events/v1/${id}`);
    assertEquals(told.webhook_response, `500 ${secretAnswer}`);
  },
);

Deno.test(
  { name: "GET /rest/v1/operation_events: has no column of what receivers answered for any caller", ignore },
  async () => {
    const { hook, place, id } = await refusedEvent();
    await using _ = hook;
    const { client } = await newUser({ workplaces: [place] });
    const row = await dataApi(client).get(`/rest/v1/operation_events?id=eq.${id}`);
    assertEquals(row.status, 200, row.text);
    assert(row.text.includes(id) && !row.text.includes("margin"), row.text);
    for (const column of ["webhook_response", "error_message"]) {
      const { status, text } = await dataApi(client).get(`/rest/v1/operation_events?id=eq.${id}&select=${column}`);
      assert(status >= 400 && !text.includes("margin"), `${status} ${text}`);
    }
  },
);

Deno.test({ name: "GET /stream/v1/events: tells nobody what receivers answered", ignore }, async () => {
  const { hook, place, id } = await refusedEvent();
  await using _ = hook;
  const { client } = await newUser({ workplaces: [place] });
  // a cursor from before the event, so that the stream reads it again with its answers
  const first = await client.get<{ next_cursor: string }>("/events/v1/feed", {
    query: { workplace_name: place, limit: 1 },
  });
  await hook.report(2);
  await hook.dispatch();
  const stream = await openEvents({
    base: env.functionsUrl,
    credential: client.credential,
    query: { workplace_name: place, after: first.body.next_cursor },
  });
  try {
    const events = await takeEvents(stream, 2);
    assertEquals(events.map(({ event }) => [event.webhook_response, event.error_message]), [[null, null], [
      null,
      null,
    ]]);
    assert(events.every(({ event }) => event.id !== id));
  } finally {
    await stream.leave();
  }
});
