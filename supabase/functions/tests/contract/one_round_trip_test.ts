/**
 * Each endpoint makes one call of the database, and that of a SQL function: two would be two transactions. Those that
 * last, and cannot, have their calls written down.
 */
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
import { newKey, newTicket } from "../support/api_keys.ts";
import { newPerson } from "../support/terminals.ts";
import { readEvents } from "../support/stream_client.ts";
import { version2Path } from "../support/version2_client.ts";
import { type WatchedFunctions, watchFunctions } from "../support/watched_functions.ts";
import { newEndpoint } from "../support/webhook_receiver.ts";
import contract from "../../../../docs/openapi.json" with { type: "json" };

const resources = [
  "operations",
  "events",
  "profiles",
  "workplaces",
  "reason-codes",
  "calendars",
  "downtimes",
  "reports",
  "webhooks",
  "stream",
  "keys",
  "people",
  "boards",
];

const newestMigration = "POST /rest/v1/rpc/health";

const settledRates = "POST /rest/v1/rpc/settle_rates";

/** Returns the calls of the functions: those in which they tell the database what they counted are no part of a request. */
const allCalls = (functions: WatchedFunctions) => functions.takeCalls().filter((call) => call !== settledRates);

/** Returns the calls, but for the questions whether the database has the migration of the functions. */
const callsOf = (functions: WatchedFunctions) => allCalls(functions).filter((call) => call !== newestMigration);

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
  const calendar = unique("Calendar");
  const window = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z";
  const user = await newUser();
  const { id: person } = await newPerson([]);
  const kind = "DOWNTIME";
  const cause = unique("R");
  await server.post("/reason-codes/v1", { kind, code: cause });
  const [downtime, later] = [crypto.randomUUID(), crypto.randomUUID()];
  const target = { url: "https://hooks.example.com/mes", workplace_names: [newWorkplace()] };
  const hook = `/webhooks/v1/endpoints/${(await newEndpoint(target)).id}`;
  // only a signed-in admin may manage keys, and board tickets have a person who made them
  const manages = (status: number) => caller === "a user" ? status : 403;
  const key = `/keys/v1/${(await newKey({ scopes: ["events:read"] })).id}`;
  const group = unique("Group");
  await server.post("/workplaces/v1", { name: newWorkplace(), workplace_group: group });
  const ticket = `/boards/v1/${(await newTicket(group)).id}`;
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
    ["listAllRuns", "GET", "/operations/v1/runs?limit=1&count=exact", 200],
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
    ["createKey", "POST", "/keys/v1", manages(201), { name: "Gateway", role: "machine", scopes: ["events:report"] }],
    ["getKey", "GET", key, manages(200)],
    ["listKeys", "GET", "/keys/v1?limit=1&count=exact", manages(200)],
    ["updateKey", "PATCH", key, manages(200), { role: "machine" }],
    ["rotateKey", "POST", `${key}/rotate`, manages(200), {}],
    ["revokeKey", "DELETE", key, manages(204)],
    ["createBoardTicket", "POST", "/boards/v1", manages(201), { name: "Television", workplace_group: group }],
    ["listBoardTickets", "GET", "/boards/v1?limit=1&count=exact", manages(200)],
    ["revokeBoardTicket", "DELETE", ticket, manages(204)],
    ["createWorkplace", "POST", "/workplaces/v1", 201, { name: workplace }],
    ["getWorkplace", "GET", `/workplaces/v1/${workplace}`, 200],
    ["updateWorkplace", "PATCH", `/workplaces/v1/${workplace}`, 200, { capacity: 2 }],
    ["listWorkplaces", "GET", "/workplaces/v1", 200],
    ["listQueue", "GET", `/workplaces/v1/${workplace_name}/queue`, 200],
    ["reportMachineState", "POST", `/workplaces/v1/${workplace_name}/state`, 201, { state: "RUNNING" }],
    ["openDowntime", "POST", "/downtimes/v1", 201, {
      id: downtime,
      workplace_name,
      occurred_at: new Date(Date.now() - 60_000).toISOString(),
    }],
    ["getDowntime", "GET", `/downtimes/v1/${downtime}`, 200],
    ["classifyDowntime", "POST", `/downtimes/v1/${downtime}/classify`, 200, { reason_code: cause }],
    ["splitDowntime", "POST", `/downtimes/v1/${downtime}/split`, 201, {
      id: later,
      at: new Date(Date.now() - 30_000).toISOString(),
    }],
    ["listDowntimes", "GET", `/downtimes/v1?workplace_name=${workplace_name}&count=exact`, 200],
    ["cancelDowntime", "POST", `/downtimes/v1/${downtime}/cancel`, 200, { note: "No" }],
    ["endDowntime", "POST", `/downtimes/v1/${later}/end`, 200, {}],
    ["deleteWorkplace", "DELETE", `/workplaces/v1/${workplace}`, 204],
    ["createReasonCode", "POST", "/reason-codes/v1", 201, { kind: "STOP", code: reason }],
    ["getReasonCode", "GET", `/reason-codes/v1/STOP/${reason}`, 200],
    ["updateReasonCode", "PATCH", `/reason-codes/v1/STOP/${reason}`, 200, { description: "Tool change" }],
    ["listReasonCodes", "GET", "/reason-codes/v1", 200],
    ["deleteReasonCode", "DELETE", `/reason-codes/v1/STOP/${reason}`, 204],
    ["createPerson", "POST", "/people/v1", 201, { display_name: "Anna", pin: "27182818" }],
    ["getPerson", "GET", `/people/v1/${person}`, 200],
    ["updatePerson", "PATCH", `/people/v1/${person}`, 200, { pin: "27182818" }],
    ["listPeople", "GET", "/people/v1?limit=1&count=exact", 200],
    // neither a user nor the secret key is a terminal
    ["signInPerson", "POST", "/people/v1/sign-in", 403, { badge_code: "04A2B91C6F5E80" }],
    ["getActingPerson", "GET", "/people/v1/me", 404],
    ["signOutPerson", "POST", "/people/v1/sign-out", 404],
    ["pseudonymisePerson", "POST", `/people/v1/${person}/pseudonymise`, 200],
    ["deletePerson", "DELETE", `/people/v1/${person}`, 204],
    ["createCalendar", "POST", "/calendars/v1", 201, { name: calendar, time_zone: "Europe/Amsterdam" }],
    ["getCalendar", "GET", `/calendars/v1/${calendar}`, 200],
    ["updateCalendar", "PATCH", `/calendars/v1/${calendar}`, 200, { time_zone: "UTC" }],
    ["listCalendars", "GET", "/calendars/v1?limit=1&count=exact", 200],
    ["listShifts", "GET", `/calendars/v1/${calendar}/shifts?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z`, 200],
    ["storeCalendarExceptions", "POST", `/calendars/v1/${calendar}/exceptions`, 200, {
      exceptions: [{ date: "2026-12-25", kind: "CLOSED" }],
    }],
    ["putCalendarException", "PUT", `/calendars/v1/${calendar}/exceptions/2026-12-26`, 200, { kind: "CLOSED" }],
    ["listCalendarExceptions", "GET", `/calendars/v1/${calendar}/exceptions`, 200],
    ["deleteCalendarException", "DELETE", `/calendars/v1/${calendar}/exceptions/2026-12-26`, 204],
    ["reportOee", "GET", `/reports/v1/oee?workplace_name=${workplace_name}&by=day&${window}`, 200],
    ["reportTimeline", "GET", `/reports/v1/timeline?workplace_name=${workplace_name}&${window}`, 200],
    ["reportLosses", "GET", `/reports/v1/losses?workplace_name=${workplace_name}&${window}`, 200],
    ["reportScrap", "GET", `/reports/v1/scrap?workplace_name=${workplace_name}&by=operation&${window}`, 200],
    ["reportOperations", "GET", `/reports/v1/operations?workplace_name=${workplace_name}&${window}`, 200],
    ["reportSummary", "GET", `/reports/v1/summary?workplace_name=${workplace_name}`, 200],
    ["reportBoard", "GET", `/reports/v1/board?workplace_name=${workplace_name}&include=oee`, 200],
    ["deleteCalendar", "DELETE", `/calendars/v1/${calendar}`, 204],
    ["listProfiles", "GET", "/profiles/v1?limit=1", 200],
    ["updateProfile", "PATCH", `/profiles/v1/${user.id}`, 200, { workplace_access: [workplace_name] }],
    ["getOwnProfile", "GET", "/profiles/v1/me", caller === "a user" ? 200 : 403],
    ["getProfile", "GET", `/profiles/v1/${user.id}`, 200],
    ["deleteProfile", "DELETE", `/profiles/v1/${user.id}`, 204],
    ["createProfile", "POST", "/profiles/v1", 201, { id: user.id }],
    ["forgetPerson", "POST", `/profiles/v1/${user.id}/forget`, 200],
  ];
}

/** The steps, with those of version 2 of their endpoints, on subjects of their own. */
async function stepsOfVersions(caller: string): Promise<Step[]> {
  const version2 = (await steps(caller)).filter(([operationId]) => documented().includes(`${operationId}V2`));
  return [
    ...await steps(caller),
    ...version2.map(([operationId, method, path, ...rest]): Step => [
      `${operationId}V2`,
      method,
      version2Path(path),
      ...rest,
    ]),
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
  const functions = await watchFunctions(resources);
  try {
    const callers: [string, Record<string, string>][] = [["the secret key", { apikey: env.secretKey }]];
    // without the key that signs tokens, these functions could not verify one
    if (Deno.env.get("LOCAL_JWT_SECRET") !== undefined) {
      const admin = await newUser({ role: "admin" });
      callers.push(["a user", { authorization: `Bearer ${admin.token}` }]);
    }
    for (const [caller, credential] of callers) {
      const all = await stepsOfVersions(caller);
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
          const calls = callsOf(functions);
          assertEquals(calls.map((call) => call.replace(/\w+$/, "")), ["POST /rest/v1/rpc/"], calls.join(", "));
        });
      }
    }
    for (const resource of resources) {
      await t.step(`/${resource}/health`, async () => {
        const response = await fetch(`${functions.url}/${resource}/health`);
        assertEquals([response.status, await response.text() !== ""], [200, true]);
        assertEquals(allCalls(functions), [newestMigration]);
      });
    }
    const names = () => callsOf(functions).map((call) => call.replace("POST /rest/v1/rpc/", ""));
    await t.step("an API key: one call for each request, and one more for its first", async () => {
      const { key } = await newKey({ scopes: ["operations:read"] });
      const read = async () => {
        const response = await fetch(`${functions.url}/operations/v1?limit=1`, {
          headers: { authorization: `Bearer ${key}` },
        });
        assertEquals(response.status, 200, await response.text());
        // tells beside the requests that the key was used
        return names().filter((name) => name !== "note_key_use");
      };
      assertEquals(await read(), ["admit_key", "list_operations"]);
      assertEquals(await read(), ["list_operations"]);
      assertEquals(await read(), ["list_operations"]);
    });
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
