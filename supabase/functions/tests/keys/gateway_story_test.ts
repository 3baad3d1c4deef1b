/**
 * The story of a gateway: an admin makes its key, it reports ten days of work that it has buffered, its secret is
 * rotated in the middle, and in the end the key is revoked.
 */
import {
  assertEquals,
  assertProblem,
  type Client,
  newUser,
  newWorkplace,
  operationPath,
  type ReportedEvent,
  server,
  unique,
} from "../support/harness.ts";
import { keyAdmin, keyClient } from "../support/api_keys.ts";

const days = 10;
const dayMs = 86_400_000;
const piecesOfADay = 20;

Deno.test("keys: a gateway reports ten days with a rotation in the middle, and nothing after its key is revoked", async () => {
  const { client: admin } = await keyAdmin();
  const workplace_name = newWorkplace();
  const name = unique("Gateway");
  const planner = await newUser({ role: "supervisor", workplaces: ["*"] });

  // 1. the key, for this workplace and this work only
  const made = await admin.post<{ id: string; key: string }>("/keys/v1", {
    name,
    role: "machine",
    workplace_access: [workplace_name],
    scopes: ["events:report", "operations:read"],
    expires_at: new Date(Date.now() + 30 * dayMs).toISOString(),
  });
  assertEquals(made.status, 201, made.text);
  const { id, key } = made.body;
  let gateway = keyClient(key);

  // 2. the plan: one operation a day; the gateway finds them at its workplace
  const orders = Array.from({ length: days }, () => unique("O"));
  for (const order_no of orders) {
    const planned = {
      order_no,
      asset_id: 1,
      operation_no: "0010",
      workplace_name,
      status: "RELEASED",
      qty_desired: 40,
    };
    assertEquals((await planner.client.post("/operations/v1", planned)).status, 201);
  }
  assertProblem(
    await gateway.post("/operations/v1", { order_no: "X", asset_id: 1, operation_no: "1" }),
    403,
    "forbidden",
  );
  const found = await gateway.get<{ order_no: string }[]>("/operations/v1", { query: { workplace_name, limit: 500 } });
  assertEquals(found.body.map(({ order_no }) => order_no).toSorted(), orders.toSorted());

  // 3. ten days of work, reported day by day with the times at which it happened
  const firstDay = Date.now() - (days + 1) * dayMs;
  const eventsOf = (day: number) => {
    const at = (minute: number) => new Date(firstDay + day * dayMs + minute * 60_000).toISOString();
    const operation = { order_no: orders[day], operation_no: "0010", asset_id: 1, workplace_name };
    const event = (action_type: string, minute: number, more = {}) => (
      { id: crypto.randomUUID(), action_type, occurred_at: at(minute), ...operation, ...more }
    );
    const counts = Array.from(
      { length: piecesOfADay },
      (_, piece) => event("REPORT_QUANTITY", piece + 1, { qty_good: 2 }),
    );
    return [event("START", 0), ...counts, event("FINISH", piecesOfADay + 1)];
  };
  const send = (client: Client, events: unknown[]) =>
    client.post<{ results: { status: number; problem: unknown }[] }>("/events/v1/batch", { events });
  let earlier: Client | undefined;
  for (let day = 0; day < days; day++) {
    const events = eventsOf(day);
    const sent = await send(gateway, events);
    assertEquals(sent.status, 201, sent.text);
    if (day !== days / 2) continue;
    // 4. in the middle the secret is rotated; the gateway still sends with the earlier one, and repeats the day with the new one
    const rotated = await admin.post<{ key: string }>(`/keys/v1/${id}/rotate`, { overlap_h: 24 });
    assertEquals(rotated.status, 200, rotated.text);
    earlier = gateway;
    for (const client of [earlier, keyClient(rotated.body.key)]) {
      const again = await send(client, events);
      assertEquals(again.status, 200, again.text);
    }
    gateway = keyClient(rotated.body.key);
  }
  const ended = await admin.post<{ key: string }>(`/keys/v1/${id}/rotate`, { overlap_h: 0 });
  assertEquals(ended.status, 200, ended.text);
  if (earlier) assertProblem(await send(earlier, eventsOf(0)), 401, "unauthenticated");
  gateway = keyClient(ended.body.key);

  // 5. every event is there once, with the key's name and no user
  for (const order_no of orders) {
    const { body: operation } = await gateway.get<{ status: string; qty_processed: number }>(
      operationPath({ order_no, asset_id: 1, operation_no: "0010" }),
    );
    assertEquals([operation.status, operation.qty_processed], ["FINISHED", 2 * piecesOfADay]);
    const { body: events } = await server.get<ReportedEvent[]>(`/events/v1?order_no=${order_no}&limit=500`);
    assertEquals(events.length, piecesOfADay + 2);
    for (const { reported_by, user_id, user_email } of events) {
      assertEquals({ reported_by, user_id, user_email }, {
        reported_by: { kind: "integration", id, name },
        user_id: null,
        user_email: null,
      });
    }
  }

  // 6. the end: nothing gets in any more, and the log still names the key
  assertEquals((await admin.delete(`/keys/v1/${id}`)).status, 204);
  assertProblem(await send(gateway, eventsOf(0)), 401, "unauthenticated");
  assertProblem(await gateway.get(`/operations/v1?workplace_name=${workplace_name}`), 401, "unauthenticated");
  const { body: [last] } = await server.get<ReportedEvent[]>(`/events/v1?order_no=${orders[0]}&limit=1`);
  assertEquals(last?.reported_by?.id, id);
});
