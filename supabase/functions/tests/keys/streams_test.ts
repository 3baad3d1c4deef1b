/** Streams of API keys: they follow what the key sees, and end within 10 seconds when it may see less. */
import { assertEquals, assertLess, type Client, newWorkplace, report, server } from "../support/harness.ts";
import { type ApiKeyOfTest, keyAdmin, newKey } from "../support/api_keys.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { count, expect, floor, localTest } from "../support/stream_function.ts";
import {
  openEvents,
  openWebSocket,
  type Stream,
  type StreamOptions,
  takeAll,
  takeEvents,
} from "../support/stream_client.ts";

const transports: [name: string, open: (options: StreamOptions) => Promise<Stream>][] = [
  ["GET /stream/v1/events", openEvents],
  ["GET /stream/v1/ws", openWebSocket],
];

const change = (body: Record<string, unknown>) => async (admin: Client, { id }: ApiKeyOfTest) => {
  const changed = await admin.patch(`/keys/v1/${id}`, body);
  assertEquals(changed.status, 200, changed.text);
};

/** What is done to the key while it streams. */
const narrowings: [what: string, narrow: (admin: Client, key: ApiKeyOfTest) => Promise<void>][] = [
  ["is revoked", async (admin, { id }) => assertEquals((await admin.delete(`/keys/v1/${id}`)).status, 204)],
  ["expires", (admin, key) => change({ expires_at: new Date(Date.now() + 500).toISOString() })(admin, key)],
  ["loses the scope", change({ scopes: ["events:read"] })],
  ["loses the workplace", change({ workplace_access: [newWorkplace()] })],
  ["may not be used from the address any more", change({ allowed_cidrs: ["192.0.2.0/24"] })],
  ["gets another secret, and the earlier ones end", async (admin, { id }) => {
    assertEquals((await admin.post(`/keys/v1/${id}/rotate`, { overlap_h: 0 })).status, 200);
  }],
];

for (const [name, open] of transports) {
  for (const [what, narrow] of narrowings) {
    localTest(`${name}: the stream of a key ends within 10 s when the key ${what}`, async ({ base }) => {
      const { operation, workplace } = await floor();
      const { client: admin } = await keyAdmin();
      const key = await newKey({
        role: "readonly",
        workplaces: [workplace],
        scopes: ["stream:read", "events:read"],
        allowed_cidrs: ["203.0.113.0/24"],
      });
      const headers = { "x-forwarded-for": "203.0.113.7" };
      const stream = await open({ base, credential: key.client.credential, headers });
      await expect(stream, "ready");
      const id = await count(operation);
      assertEquals((await takeEvents(stream, 1))[0]?.event.id, id);
      const narrowed = performance.now();
      await narrow(admin, key);
      const last = (await takeAll(stream)).at(-1);
      assertLess(performance.now() - narrowed, 10_000);
      assertEquals(last?.type === "close" && last.reason, "access_changed");
      if (name.endsWith("ws")) assertEquals(stream.code, 4003);
    });
  }

  localTest(`${name}: the stream of a key goes on when the key gets more, and when it is rotated`, async ({ base }) => {
    const { operation, workplace } = await floor();
    const other = await floor();
    const { client: admin } = await keyAdmin();
    const key = await newKey({ role: "readonly", workplaces: [workplace], scopes: ["stream:read"] });
    const stream = await open({ base, credential: key.client.credential });
    await expect(stream, "ready");
    await change({ workplace_access: [workplace, other.workplace], scopes: ["stream:read", "events:read"] })(
      admin,
      key,
    );
    assertEquals((await admin.post(`/keys/v1/${key.id}/rotate`, {})).status, 200);
    // access is checked once a second here: the events after the next check come
    const seen: string[] = [];
    for (const endMs = performance.now() + 5_000; performance.now() < endMs && seen.length === 0;) {
      const id = await count(other.operation);
      await count(operation);
      const [message] = await takeEvents(stream, 1);
      if (message?.event.id === id) seen.push(id);
    }
    assertEquals(seen.length, 1);
    await stream.leave();
  });
}

Deno.test({
  name: "keys: the stream of a secret that was replaced ends when its time ends",
  ignore: !hasDatabase,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const { local } = await import("../support/stream_function.ts");
    if (local === undefined) return;
    const { client: admin } = await keyAdmin();
    const key = await newKey({ workplaces: ["*"], scopes: ["stream:read"] });
    const stream = await openEvents({ base: local.base, credential: key.client.credential });
    await expect(stream, "ready");
    assertEquals((await admin.post(`/keys/v1/${key.id}/rotate`, {})).status, 200);
    await withDatabase(async (sql) => {
      await sql`update app.api_key_secrets set valid_until = clock_timestamp()
        where key_id = ${key.id} and valid_until is not null`;
    });
    const last = (await takeAll(stream)).at(-1);
    assertEquals(last?.type === "close" && last.reason, "access_changed");
  },
});

Deno.test("webhooks: the payload of a key's event names the key", async () => {
  const { operation, workplace } = await floor();
  const key = await newKey({ role: "machine", workplaces: [workplace], scopes: ["events:report"] });
  const stopped = await report(key.client, operation, "STOP");
  assertEquals(stopped.status, 201, stopped.text);
  const { body } = await server.get<{ reported_by: { id: string } }>(`/events/v1/${stopped.body.id}`);
  assertEquals(body.reported_by.id, key.id);
});
