/** Events of downtimes by stream and webhook: for those who ask, and nobody else. */
import { assertEquals, env, newUser, server } from "../support/harness.ts";
import { at, pick } from "../support/floor.ts";
import { openEvents, openWebSocket, type StreamMessage } from "../support/stream_client.ts";
import { dispatch, newEndpoint, Receiver, until } from "../support/webhook_receiver.ts";
import { aWorkplace, command, opened } from "../support/stops.ts";

for (const [name, open] of [["events", openEvents], ["ws", openWebSocket]] as const) {
  Deno.test(`GET /stream/v1/${name}: has events of downtimes with include=downtimes alone, at visible workplaces`, async () => {
    const [here, hidden] = [await aWorkplace(), await aWorkplace()];
    const { client } = await newUser({ role: "operator", workplaces: [here] });
    const options = { base: env.functionsUrl, credential: client.credential };
    const stream = await open({ ...options, query: { include: "downtimes" } });
    const plain = await open(options);
    try {
      const ready = await stream.next();
      await plain.next();
      await opened(hidden, { occurred_at: at("08:00") });
      const downtime = await opened(here, { occurred_at: at("08:00") });
      await command(downtime, "end", { occurred_at: at("08:10") });
      const told: StreamMessage[] = [];
      for (let taken = 0; taken < 2; taken++) {
        const message = await stream.next();
        if (message !== undefined) told.push(message);
      }
      assertEquals(
        told.map((message) =>
          message.type === "downtime" ? pick(message.event, "downtime_id", "action_type") : message.type
        ),
        [
          { downtime_id: downtime.id, action_type: "DOWNTIME_START" },
          { downtime_id: downtime.id, action_type: "DOWNTIME_END" },
        ],
      );
      // resumes in the middle
      const again = await open({ ...options, query: { include: "downtimes", after: told[0]?.cursor ?? "" } });
      await again.next();
      const next = await again.next();
      assertEquals(next?.type === "downtime" && next.event.action_type, "DOWNTIME_END");
      await again.leave();
      // a plain stream passes over them to the next event of an operation
      const { order_no, operation_no } = (await server.post<{ order_no: string; operation_no: string }>(
        "/operations/v1",
        { order_no: crypto.randomUUID(), asset_id: 1, operation_no: "0010", workplace_name: here, status: "RELEASED" },
      )).body;
      await server.post("/events/v1", { action_type: "START", order_no, operation_no, workplace_name: here });
      assertEquals((await plain.next())?.type, "event");
      assertEquals(ready?.type, "ready");
    } finally {
      await stream.leave();
      await plain.leave();
    }
  });
}

Deno.test("Webhooks: an endpoint with downtimes gets their events, replayed too, and one without them none", async () => {
  await using receiver = new Receiver();
  await using other = new Receiver();
  const workplace = await aWorkplace();
  const fields = { workplace_names: [workplace] };
  const endpoint = await newEndpoint({ url: receiver.url, ...fields, downtimes: true });
  const plain = await newEndpoint({ url: other.url, ...fields });
  const ofOrders = await newEndpoint({ url: other.url, ...fields, downtimes: true, order_prefix: "4038" });
  assertEquals([endpoint.downtimes, plain.downtimes], [true, false]);
  const downtime = await opened(workplace, { occurred_at: at("08:00") });
  await command(downtime, "end", { occurred_at: at("08:10") });
  await until("both have arrived", async () => {
    await dispatch(endpoint.id);
    return receiver.received.length === 2;
  });
  for (const { id } of [plain, ofOrders]) await dispatch(id);
  assertEquals(other.received.length, 0);
  const [start, end] = receiver.received.toSorted((a, b) => a.message.type < b.message.type ? 1 : -1);
  assertEquals([start?.message.type, end?.message.type], ["downtime.start", "downtime.end"]);
  assertEquals([start?.message.timestamp, end?.message.timestamp], [at("08:00"), at("08:10")]);
  const { data } = JSON.parse(start?.body ?? "");
  assertEquals([data.event.downtime_id, data.downtime.id], [downtime.id, downtime.id]);
  // a call replays a stretch of the feed, which other tests fill
  let replayed = 0;
  let range: Record<string, string> = { since: downtime.created_at };
  for (let has_more = true; has_more && replayed < 2;) {
    const { status, body, text } = await server.post<{ replayed: number; next_cursor: string; has_more: boolean }>(
      `/webhooks/v1/endpoints/${endpoint.id}/replay`,
      range,
    );
    assertEquals(status, 202, text);
    replayed += body.replayed;
    range = { after: body.next_cursor };
    has_more = body.has_more;
  }
  assertEquals(replayed, 2);
});
