/**
 * Each endpoint makes one call of the database, and that of a SQL function: two would be two transactions. Those that
 * last, and cannot, have their calls written down. The functions run once more, in a process whose way to the Data API leads through this test.
 */
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { edgeDeno, edgeFlags } from "../../../../local/functions/edge_deno.ts";
import { inProject } from "../../../../local/system/paths.ts";
import { keySet } from "../../../../local/platform/keys.ts";
import {
  assert,
  assertEquals,
  env,
  newOperation,
  newUser,
  newWorkplace,
  operationPath,
  server,
  unique,
} from "../support/harness.ts";
import { readEvents } from "../support/stream_client.ts";
import { newEndpoint } from "../support/webhook_receiver.ts";
import contract from "../../../../docs/openapi.json" with { type: "json" };

const resources = ["operations", "events", "profiles", "workplaces", "reason-codes", "webhooks", "stream"];

const newestMigration = "POST /rest/v1/rpc/health";

/** The functions, and which calls they have made since they were asked last. */
interface WatchedFunctions {
  url: string;
  calls(): string[];
  /** As calls(), with those that are no part of a request. */
  allCalls(): string[];
  end(): Promise<void>;
}

async function watchFunctions(): Promise<WatchedFunctions> {
  let calls: string[] = [];
  const door = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    calls.push(`${request.method} ${pathname}`);
    const body = request.body === null ? undefined : await request.bytes();
    return await fetch(`${env.supabaseUrl}${pathname}${search}`, {
      method: request.method,
      headers: request.headers,
      body,
    });
  });
  const modules = resources.map((name) => [name, import.meta.resolve(`../../${name}/index.ts`)]);
  const secret = Deno.env.get("LOCAL_JWT_SECRET");
  const host = new Deno.Command(await edgeDeno(), {
    args: [...edgeFlags, inProject("local", "functions", "functions_host.ts"), JSON.stringify(modules)],
    env: {
      SUPABASE_URL: `http://127.0.0.1:${door.addr.port}`,
      SUPABASE_AUTH_ISSUER: `${env.supabaseUrl}/auth/v1`,
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: env.publishableKey }),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: env.secretKey }),
      ...(secret === undefined ? {} : { SUPABASE_JWKS: keySet(secret) }),
    },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const port = Promise.withResolvers<string>();
  const reading = (async () => {
    for await (const line of host.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      const [, number] = /^listening (\d+)$/.exec(String(line)) ?? [];
      if (number !== undefined) port.resolve(number);
    }
    port.reject(new Error("The functions ended"));
  })();
  return {
    url: `http://127.0.0.1:${await port.promise}`,
    // once a minute the functions ask beside the requests whether the database has their migration
    calls() {
      const made = calls.filter((call) => call !== newestMigration);
      calls = [];
      return made;
    },
    allCalls() {
      const made = calls;
      calls = [];
      return made;
    },
    async end() {
      await host.stdin.close();
      await host.status;
      await reading.catch(() => {});
      await door.shutdown();
    },
  };
}

/** One request per endpoint, each of which succeeds as far as its caller may: operationId, method, path, status, body. */
type Step = [operationId: string, method: string, path: string, status: number, body?: unknown];

async function steps(caller: string): Promise<Step[]> {
  const operation = await newOperation();
  const { order_no, operation_no, asset_id, workplace_name } = operation;
  const path = operationPath(operation);
  const mine = { order_no: unique("O"), asset_id: 1, operation_no: "0010", workplace_name };
  const report = { action_type: "REPORT_QUANTITY", order_no, operation_no, asset_id, workplace_name, qty_good: 1 };
  const event_id = crypto.randomUUID();
  const workplace = unique("Workplace");
  const reason = unique("R");
  const user = await newUser();
  const target = { url: "https://hooks.example.com/mes", workplace_names: [newWorkplace()] };
  const hook = `/webhooks/v1/endpoints/${(await newEndpoint(target)).id}`;
  const delivery = `/webhooks/v1/deliveries/${(await server.post<{ id: string }>(`${hook}/test`)).body.id}`;
  return [
    ["createOperation", "POST", "/operations/v1", 201, mine],
    ["getOperation", "GET", operationPath({ ...operation, ...mine }), 200],
    ["updateOperation", "PATCH", path, 200, { activity_description: "Cut" }],
    ["updateOperations", "PATCH", "/operations/v1", 200, {
      filter: { order_no },
      patch: { qty_desired: 60 },
      dry_run: false,
    }],
    ["importOperations", "POST", "/operations/v1/import", 200, [
      { ...mine, qty_desired: 5, timestamp_ms: "2026-11-22T15:00:00Z" },
      { ...mine, operation_no: "0020", timestamp_ms: "2026-11-22T15:00:00Z" },
    ]],
    ["listOperations", "GET", `/operations/v1?order_no=${mine.order_no}&limit=1&count=exact`, 200],
    ["deleteOperation", "DELETE", operationPath({ ...operation, ...mine }), 204],
    ["transitionOperation", "POST", `${path}/transitions`, 201, { action: "START" }],
    ["reportEvent", "POST", "/events/v1", 201, { ...report, id: event_id }],
    ["reportEvents", "POST", "/events/v1/batch", 201, { events: [report, report] }],
    ["listRuns", "GET", `${path}/runs`, 200],
    ["getEvent", "GET", `/events/v1/${event_id}`, 200],
    ["listEvents", "GET", `/events/v1?order_no=${order_no}&count=exact`, 200],
    ["listEventsByWorkplace", "GET", `/events/v1/workplace/${workplace_name}`, 200],
    // the oldest event that is kept is there, so that there is nothing to wait for
    ["readFeed", "GET", "/events/v1/feed?limit=1", 200],
    ["createStreamTicket", "POST", "/stream/v1/tickets", 201, { order_no }],
    ["createWebhookEndpoint", "POST", "/webhooks/v1/endpoints", 201, { ...target, enabled: false }],
    ["getWebhookEndpoint", "GET", hook, 200],
    ["updateWebhookEndpoint", "PATCH", hook, 200, { description: "Plan board" }],
    ["listWebhookEndpoints", "GET", "/webhooks/v1/endpoints?limit=1&count=exact", 200],
    ["rotateWebhookSecret", "POST", `${hook}/rotate`, 200, {}],
    ["testWebhookEndpoint", "POST", `${hook}/test`, 202],
    ["replayWebhookEvents", "POST", `${hook}/replay`, 202, {}],
    ["listWebhookDeliveries", "GET", "/webhooks/v1/deliveries?limit=1&count=exact", 200],
    ["getWebhookDelivery", "GET", delivery, 200],
    ["replayWebhookDelivery", "POST", `${delivery}/replay`, 202],
    ["deleteWebhookEndpoint", "DELETE", hook, 204],
    ["createWorkplace", "POST", "/workplaces/v1", 201, { name: workplace }],
    ["getWorkplace", "GET", `/workplaces/v1/${workplace}`, 200],
    ["updateWorkplace", "PATCH", `/workplaces/v1/${workplace}`, 200, { capacity: 2 }],
    ["listWorkplaces", "GET", "/workplaces/v1", 200],
    ["listQueue", "GET", `/workplaces/v1/${workplace_name}/queue`, 200],
    ["deleteWorkplace", "DELETE", `/workplaces/v1/${workplace}`, 204],
    ["createReasonCode", "POST", "/reason-codes/v1", 201, { kind: "STOP", code: reason }],
    ["getReasonCode", "GET", `/reason-codes/v1/STOP/${reason}`, 200],
    ["updateReasonCode", "PATCH", `/reason-codes/v1/STOP/${reason}`, 200, { description: "Tool change" }],
    ["listReasonCodes", "GET", "/reason-codes/v1", 200],
    ["deleteReasonCode", "DELETE", `/reason-codes/v1/STOP/${reason}`, 204],
    ["listProfiles", "GET", "/profiles/v1?limit=1", 200],
    ["updateProfile", "PATCH", `/profiles/v1/${user.id}`, 200, { workplace_access: [workplace_name] }],
    ["getOwnProfile", "GET", "/profiles/v1/me", caller === "a user" ? 200 : 403],
    ["getProfile", "GET", `/profiles/v1/${user.id}`, 200],
    ["deleteProfile", "DELETE", `/profiles/v1/${user.id}`, 204],
    ["createProfile", "POST", "/profiles/v1", 201, { id: user.id }],
    ["forgetPerson", "POST", `/profiles/v1/${user.id}/forget`, 200],
  ];
}

/**
 * Endpoints that continue after their first call of the database, each for its own reason; tested apart. A read of the feed
 * that waits does, too.
 */
const lasting = [
  // reads on as long as it is open, for all streams of its process
  "streamEvents",
  // what is claimed must be committed before it is sent, and what came of it afterwards
  "dispatchWebhooks",
];

/** The endpoints of the document that need a credential. */
function documented(): string[] {
  return Object.values(contract.paths).flatMap((path) =>
    Object.values<{ operationId?: string; security?: unknown[] }>(path)
  ).flatMap(({ operationId, security }) => operationId !== undefined && security?.length ? [operationId] : []);
}

Deno.test("Endpoints: call the database once per request, also with an Idempotency-Key", async (t) => {
  const functions = await watchFunctions();
  try {
    const callers: [string, Record<string, string>][] = [["the secret key", { apikey: env.secretKey }]];
    // without the key that signs tokens, these functions could not verify one
    if (Deno.env.get("LOCAL_JWT_SECRET") !== undefined) {
      const admin = await newUser({ role: "admin" });
      callers.push(["a user", { authorization: `Bearer ${admin.token}` }]);
    }
    for (const [caller, credential] of callers) {
      const all = await steps(caller);
      assertEquals(
        all.map(([operationId]) => operationId).sort(),
        documented().filter((one) => !lasting.includes(one)).sort(),
      );
      for (const [operationId, method, path, status, body] of all) {
        await t.step(`${operationId} by ${caller}`, async () => {
          const changes = method === "POST" || method === "PATCH";
          const headers = {
            ...credential,
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...(changes ? { "idempotency-key": crypto.randomUUID() } : {}),
          };
          const response = await fetch(`${functions.url}${path}`, { method, headers, body: JSON.stringify(body) });
          const text = await response.text();
          assertEquals(response.status, status, text);
          const calls = functions.calls();
          assertEquals(calls.map((call) => call.replace(/\w+$/, "")), ["POST /rest/v1/rpc/"], calls.join(", "));
        });
      }
    }
    for (const resource of resources) {
      await t.step(`/${resource}/health`, async () => {
        const response = await fetch(`${functions.url}/${resource}/health`);
        assertEquals([response.status, await response.text() !== ""], [200, true]);
        assertEquals(functions.allCalls(), [newestMigration]);
      });
    }
    const names = () => functions.calls().map((call) => call.replace("POST /rest/v1/rpc/", ""));
    for (const [caller, headers] of callers) {
      await t.step(`dispatchWebhooks by ${caller}: a claim, then one call for each that was sent`, async () => {
        const { id } = await newEndpoint({ url: "https://hooks.example.com/mes", workplace_names: [newWorkplace()] });
        assertEquals((await server.post(`/webhooks/v1/endpoints/${id}/test`)).status, 202);
        const dispatch = async () => {
          const path = `/webhooks/v1/dispatch?endpoint_id=${id}`;
          const response = await fetch(`${functions.url}${path}`, { method: "POST", headers });
          const text = await response.text();
          const [first, ...calls] = names();
          assertEquals(first, "claim_deliveries", text);
          // looks for more while something is under way
          return { status: response.status, calls: calls.filter((name) => name !== "claim_deliveries") };
        };
        if (caller === "the secret key") {
          assertEquals(await dispatch(), { status: 200, calls: ["settle_delivery"] });
          assertEquals(await dispatch(), { status: 200, calls: [] });
        } else {
          assertEquals(await dispatch(), { status: 403, calls: [] });
        }
        await server.delete(`/webhooks/v1/endpoints/${id}`);
      });
    }
    // last, because the watch of the feed asks once more after its reader has left
    for (const [caller, headers] of callers) {
      await t.step(
        `readFeed by ${caller}, waiting: one question for all who wait, and a read when the feed moved`,
        async () => {
          const response = await fetch(`${functions.url}/events/v1/feed?order_no=${unique("O")}&wait=1`, { headers });
          const text = await response.text();
          assertEquals([response.status, JSON.parse(text).events], [200, []], text);
          const calls = names();
          // one before the wait, one after it
          assert(calls.filter((name) => name === "read_feed").length >= 2, calls.join(", "));
          assertEquals([...new Set(calls)].sort(), ["feed_head", "read_feed"]);
        },
      );
    }
    for (const [caller, headers] of callers) {
      await t.step(
        `streamEvents by ${caller}: a place and what the user may see, the end of the feed, then reads for all`,
        async () => {
          const abort = new AbortController();
          const response = await fetch(`${functions.url}/stream/v1/events`, { headers, signal: abort.signal });
          assertEquals(response.status, 200);
          const stream = readEvents(response, abort);
          assertEquals((await stream.next())?.type, "ready");
          await stream.leave();
          const calls = names();
          assertEquals(calls.filter((name) => name === "take_stream_place").length, 1);
          assert(calls.includes("feed_head"));
          const known = ["feed_head", "take_stream_place", "hold_stream_places", "read_feed"];
          assertEquals(calls.filter((name) => !known.includes(name)), []);
        },
      );
    }
  } finally {
    await functions.end();
  }
});
