/**
 * The one table of endpoints x scopes x states of a key: what opens each endpoint, and what no key may do. A new endpoint
 * and a new SQL function fail here until somebody has decided which scope they need.
 */
import openapi from "../../../../docs/openapi.json" with { type: "json" };
import { newApiKey } from "../../_shared/api_keys.ts";
import { Constants } from "../../_shared/database.types.ts";
import {
  type Answer,
  assert,
  assertEquals,
  assertMatch,
  assertProblem,
  type Client,
  env,
  newOperation,
  newUser,
  operationPath,
  type ProblemBody,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { keyAdmin, keyClient, newKey } from "../support/api_keys.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { shakeHands } from "../support/stream_client.ts";

type Scope = typeof Constants.public.Enums.scope[number];
const scopes: readonly Scope[] = Constants.public.Enums.scope;

/** What the requests of the table refer to. */
interface Plant {
  /** Path, key and workplace of a released operation. */
  path: string;
  operation: { order_no: string; operation_no: string; asset_id: number; workplace_name: string | null };
  user: string;
  key: string;
}

let plant: Promise<Plant> | undefined;
const thePlant = () =>
  plant ??= (async () => {
    const [started, { id: user }, { id: key }] = await Promise.all([newOperation(), newUser(), newKey()]);
    assertEquals((await report(server, started, "START")).status, 201);
    assertEquals((await report(server, started, "REPORT_QUANTITY", { qty_good: 5 })).status, 201);
    const { order_no, operation_no, asset_id, workplace_name } = started;
    const operation = { order_no, operation_no, asset_id, workplace_name };
    return { path: operationPath(started), operation, user, key };
  })();

interface Row {
  operationId: string;
  what?: string;
  /** Scopes that open the endpoint, one of them each; `none` for no key. */
  opens: Scope[] | "none";
  call: (client: Client, plant: Plant) => Promise<Answer<unknown>>;
}

const nobody = "9b2c4d1e-6f70-4a85-b3c9-0d1e2f3a4b5c";
const masterData: Scope[] = [
  "operations:read",
  "operations:plan",
  "operations:import",
  "events:read",
  "events:report",
  "downtimes:report",
  "reports:read",
];
const changes: Scope[] = ["operations:plan", "events:report", "events:correct"];

const downtimes: Scope[] = ["events:read", "downtimes:report", "reports:read"];
const calendars: Scope[] = ["operations:read", "operations:plan", "downtimes:report", "reports:read"];
/** A downtime that does not exist, which a key learns only with the scope. */
const stop = { workplace_name: "X", downtime_id: nobody };

const inWindow = (report: string, { workplace_name }: Plant["operation"]) =>
  `/reports/v1/${report}?${new URLSearchParams({
    workplace_name: workplace_name ?? "",
    from: "2026-11-20T00:00:00Z",
    to: "2026-11-21T00:00:00Z",
  })}`;

const reported = (action_type: string, opens: Scope[], more = {}): Row => ({
  operationId: "reportEvent",
  what: action_type,
  opens,
  call: (client, { operation }) => client.post("/events/v1", { action_type, ...operation, dry_run: true, ...more }),
});

const transition = (action: string, opens: Scope[], more = {}): Row => ({
  operationId: "transitionOperation",
  what: action,
  opens,
  call: (client, { path }) => client.post(`${path}/transitions`, { action, dry_run: true, ...more }),
});

const patch = (what: string, opens: Scope[], body: Record<string, unknown>): Row => ({
  operationId: "updateOperation",
  what,
  opens,
  call: (client, { path }) => client.patch(path, body, { headers: { "if-match": '"1"' } }),
});

// deno-fmt-ignore
const table: Row[] = [
  { operationId: "listOperations", opens: ["operations:read"], call: (client) => client.get("/operations/v1?limit=1") },
  { operationId: "getOperation", opens: ["operations:read"], call: (client, { path }) => client.get(path) },
  { operationId: "listRuns", opens: ["operations:read"], call: (client, { path }) => client.get(`${path}/runs`) },
  { operationId: "listAllRuns", opens: ["operations:read"], call: (client) => client.get("/operations/v1/runs?limit=1") },
  { operationId: "createOperation", opens: ["operations:plan"],
    call: (client) => client.post("/operations/v1", { order_no: unique("O"), asset_id: 1, operation_no: "0010" }) },
  // If-Match is of an older version: what the scopes open is refused afterwards
  patch("of the plan", changes, { qty_desired: 60 }),
  { operationId: "updateOperations", opens: ["operations:plan"],
    call: (client, { operation: { order_no } }) =>
      client.patch("/operations/v1", { filter: { order_no }, patch: { qty_desired: 60 } }) },
  { operationId: "deleteOperation", opens: ["operations:plan"],
    call: (client) => client.delete(`/operations/v1/${unique("O")}/1/0010`) },
  { operationId: "importOperations", opens: ["operations:import"],
    call: (client) => client.post("/operations/v1/import?dry_run=true",
      [{ order_no: unique("O"), asset_id: 1, operation_no: "0010", timestamp_ms: new Date().toISOString() }]) },
  transition("START", ["events:report"]),
  transition("STOP", ["events:report"]),
  transition("HOLD", ["operations:plan"], { reason_code: "UNSPECIFIED" }),
  transition("CANCEL", ["operations:plan"], { reason_code: "UNSPECIFIED" }),

  reported("START", ["events:report"]),
  reported("STOP", ["events:report"]),
  reported("REPORT_QUANTITY", ["events:report"], { qty_good: 1 }),
  reported("COMPLETE", ["events:report"]),
  reported("FINISH", ["events:report"], { reason_code: "UNSPECIFIED" }),
  reported("RELEASE", ["operations:plan"]),
  reported("HOLD", ["operations:plan"], { reason_code: "UNSPECIFIED" }),
  reported("CANCEL", ["operations:plan"], { reason_code: "UNSPECIFIED" }),
  reported("REVERSE", ["events:correct"], { reverses_event_id: nobody }),
  reported("CORRECT", ["events:correct"], { qty_good: 1 }),
  { operationId: "reportEvents", what: "a start", opens: ["events:report"],
    call: (client, { operation }) =>
      client.post("/events/v1/batch", { events: [{ action_type: "START", ...operation, dry_run: true }], atomic: true }) },
  { operationId: "reportEvents", what: "a correction", opens: ["events:correct"],
    call: (client, { operation }) =>
      client.post("/events/v1/batch", { events: [{ action_type: "CORRECT", ...operation, qty_good: 1, dry_run: true }], atomic: true }) },
  { operationId: "listEvents", opens: ["events:read"], call: (client) => client.get("/events/v1?limit=1") },
  { operationId: "listEventsByWorkplace", opens: ["events:read"], call: (client) => client.get("/events/v1/workplace/X?limit=1") },
  { operationId: "getEvent", opens: ["events:read"], call: (client) => client.get(`/events/v1/${nobody}`) },
  { operationId: "readFeed", opens: ["events:read"], call: (client) => client.get("/events/v1/feed?limit=1") },

  { operationId: "reportEvents", what: "a downtime", opens: ["downtimes:report"],
    call: (client) =>
      client.post("/events/v1/batch", { events: [{ action_type: "DOWNTIME_CLASSIFY", ...stop, reason_code: "UNSPECIFIED" }], atomic: true }) },

  { operationId: "listDowntimes", opens: downtimes, call: (client) => client.get("/downtimes/v1?limit=1") },
  { operationId: "getDowntime", opens: downtimes, call: (client) => client.get(`/downtimes/v1/${nobody}`) },
  { operationId: "openDowntime", opens: ["downtimes:report"],
    call: (client) => client.post("/downtimes/v1", { workplace_name: unique("W") }) },
  { operationId: "endDowntime", opens: ["downtimes:report"], call: (client) => client.post(`/downtimes/v1/${nobody}/end`, {}) },
  { operationId: "classifyDowntime", opens: ["downtimes:report"],
    call: (client) => client.post(`/downtimes/v1/${nobody}/classify`, { reason_code: "UNSPECIFIED" }) },
  { operationId: "splitDowntime", opens: ["downtimes:report"],
    call: (client) => client.post(`/downtimes/v1/${nobody}/split`, { at: "2026-11-23T08:25:00Z" }) },
  { operationId: "cancelDowntime", opens: ["downtimes:report"],
    call: (client) => client.post(`/downtimes/v1/${nobody}/cancel`, { note: "None" }) },
  { operationId: "reportMachineState", opens: ["downtimes:report"],
    call: (client, { operation }) => client.post(`/workplaces/v1/${operation.workplace_name}/state`, { state: "RUNNING" }) },

  { operationId: "reportOee", opens: ["reports:read"], call: (client, { operation }) => client.get(inWindow("oee", operation)) },
  { operationId: "reportTimeline", opens: ["reports:read"], call: (client, { operation }) => client.get(inWindow("timeline", operation)) },
  { operationId: "reportLosses", opens: ["reports:read"], call: (client, { operation }) => client.get(inWindow("losses", operation)) },
  { operationId: "reportScrap", opens: ["reports:read"], call: (client, { operation }) => client.get(inWindow("scrap", operation)) },
  { operationId: "reportOperations", opens: ["reports:read"], call: (client, { operation }) => client.get(inWindow("operations", operation)) },
  { operationId: "reportSummary", opens: ["reports:read"],
    call: (client, { operation: { workplace_name } }) =>
      client.get(`/reports/v1/summary?workplace_name=${encodeURIComponent(workplace_name ?? "")}`) },

  { operationId: "reportBoard", opens: ["reports:read", "board:read"],
    call: (client, { operation: { workplace_name } }) =>
      client.get(`/reports/v1/board?workplace_name=${encodeURIComponent(workplace_name ?? "")}`) },
  { operationId: "listBoardTickets", opens: "none", call: (client) => client.get("/boards/v1") },
  { operationId: "createBoardTicket", opens: "none",
    call: (client) => client.post("/boards/v1", { name: "Television", workplace_group: "Laser" }) },
  { operationId: "revokeBoardTicket", opens: "none", call: (client) => client.delete(`/boards/v1/${nobody}`) },

  { operationId: "listCalendars", opens: calendars, call: (client) => client.get("/calendars/v1?limit=1") },
  { operationId: "getCalendar", opens: calendars, call: (client) => client.get("/calendars/v1/X") },
  { operationId: "listShifts", opens: calendars,
    call: (client) => client.get("/calendars/v1/X/shifts?from=2026-11-23T00:00:00Z&to=2026-11-24T00:00:00Z") },
  { operationId: "listCalendarExceptions", opens: calendars, call: (client) => client.get("/calendars/v1/X/exceptions") },
  { operationId: "createCalendar", opens: "none",
    call: (client) => client.post("/calendars/v1", { name: unique("C"), time_zone: "UTC", shifts: [] }) },
  { operationId: "updateCalendar", opens: "none", call: (client) => client.patch("/calendars/v1/X", { time_zone: "UTC" }) },
  { operationId: "deleteCalendar", opens: "none", call: (client) => client.delete("/calendars/v1/X") },
  { operationId: "putCalendarException", opens: "none",
    call: (client) => client.put("/calendars/v1/X/exceptions/2026-12-25", { kind: "CLOSED" }) },
  { operationId: "storeCalendarExceptions", opens: "none",
    call: (client) => client.post("/calendars/v1/X/exceptions", { exceptions: [{ date: "2026-12-25", kind: "CLOSED" }] }) },
  { operationId: "deleteCalendarException", opens: "none", call: (client) => client.delete("/calendars/v1/X/exceptions/2026-12-25") },

  { operationId: "listWorkplaces", opens: masterData, call: (client) => client.get("/workplaces/v1?limit=1") },
  { operationId: "getWorkplace", opens: masterData,
    call: (client, { operation }) => client.get(`/workplaces/v1/${operation.workplace_name}`) },
  { operationId: "listQueue", opens: ["operations:read"],
    call: (client, { operation }) => client.get(`/workplaces/v1/${operation.workplace_name}/queue`) },
  { operationId: "createWorkplace", opens: "none", call: (client) => client.post("/workplaces/v1", { name: unique("W") }) },
  { operationId: "updateWorkplace", opens: "none", call: (client) => client.patch("/workplaces/v1/X", { capacity: 1 }) },
  { operationId: "deleteWorkplace", opens: "none", call: (client) => client.delete("/workplaces/v1/X") },
  { operationId: "listReasonCodes", opens: masterData, call: (client) => client.get("/reason-codes/v1?limit=1") },
  { operationId: "getReasonCode", opens: masterData, call: (client) => client.get("/reason-codes/v1/STOP/UNSPECIFIED") },
  { operationId: "createReasonCode", opens: "none",
    call: (client) => client.post("/reason-codes/v1", { kind: "STOP", code: unique("R") }) },
  { operationId: "updateReasonCode", opens: "none",
    call: (client) => client.patch("/reason-codes/v1/STOP/X", { active: false }) },
  { operationId: "deleteReasonCode", opens: "none", call: (client) => client.delete("/reason-codes/v1/STOP/X") },

  { operationId: "streamEvents", opens: ["stream:read", "board:read"], call: (client) => client.get("/stream/v1/events") },
  { operationId: "createStreamTicket", opens: "none", call: (client) => client.post("/stream/v1/tickets", {}) },

  { operationId: "listWebhookEndpoints", opens: ["webhooks:manage"], call: (client) => client.get("/webhooks/v1/endpoints?limit=1") },
  { operationId: "createWebhookEndpoint", opens: ["webhooks:manage"],
    call: (client) => client.post("/webhooks/v1/endpoints", { url: "https://hooks.example.com/mes", enabled: false }) },
  { operationId: "getWebhookEndpoint", opens: ["webhooks:manage"], call: (client) => client.get(`/webhooks/v1/endpoints/${nobody}`) },
  { operationId: "updateWebhookEndpoint", opens: ["webhooks:manage"],
    call: (client) => client.patch(`/webhooks/v1/endpoints/${nobody}`, { enabled: false }) },
  { operationId: "deleteWebhookEndpoint", opens: ["webhooks:manage"], call: (client) => client.delete(`/webhooks/v1/endpoints/${nobody}`) },
  { operationId: "rotateWebhookSecret", opens: ["webhooks:manage"], call: (client) => client.post(`/webhooks/v1/endpoints/${nobody}/rotate`, {}) },
  { operationId: "testWebhookEndpoint", opens: ["webhooks:manage"], call: (client) => client.post(`/webhooks/v1/endpoints/${nobody}/test`) },
  { operationId: "replayWebhookEvents", opens: ["webhooks:manage"], call: (client) => client.post(`/webhooks/v1/endpoints/${nobody}/replay`, {}) },
  { operationId: "listWebhookDeliveries", opens: ["webhooks:manage"], call: (client) => client.get("/webhooks/v1/deliveries?limit=1") },
  { operationId: "getWebhookDelivery", opens: ["webhooks:manage"], call: (client) => client.get(`/webhooks/v1/deliveries/${nobody}`) },
  { operationId: "replayWebhookDelivery", opens: ["webhooks:manage"], call: (client) => client.post(`/webhooks/v1/deliveries/${nobody}/replay`) },
  { operationId: "dispatchWebhooks", opens: "none", call: (client) => client.post(`/webhooks/v1/dispatch?endpoint_id=${nobody}`) },

  { operationId: "getOwnProfile", opens: scopes.filter((scope) => scope !== "board:read"), call: (client) => client.get("/profiles/v1/me") },
  { operationId: "listProfiles", opens: "none", call: (client) => client.get("/profiles/v1?limit=1") },
  { operationId: "getProfile", opens: "none", call: (client, { user }) => client.get(`/profiles/v1/${user}`) },
  { operationId: "createProfile", opens: "none", call: (client) => client.post("/profiles/v1", { id: nobody }) },
  { operationId: "updateProfile", opens: "none",
    call: (client, { user }) => client.patch(`/profiles/v1/${user}`, { workplace_access: ["*"] }) },
  { operationId: "deleteProfile", opens: "none", call: (client, { user }) => client.delete(`/profiles/v1/${user}`) },
  { operationId: "forgetPerson", opens: "none", call: (client, { user }) => client.post(`/profiles/v1/${user}/forget`) },

  { operationId: "listPeople", opens: ["people:manage"], call: (client) => client.get("/people/v1?limit=1") },
  { operationId: "getPerson", opens: ["people:manage"], call: (client) => client.get(`/people/v1/${nobody}`) },
  { operationId: "createPerson", opens: ["people:manage"], call: (client) => client.post("/people/v1", { display_name: "Anna" }) },
  { operationId: "updatePerson", opens: ["people:manage"], call: (client) => client.patch(`/people/v1/${nobody}`, { active: false }) },
  { operationId: "deletePerson", opens: ["people:manage"], call: (client) => client.delete(`/people/v1/${nobody}`) },
  { operationId: "pseudonymisePerson", opens: ["people:manage"], call: (client) => client.post(`/people/v1/${nobody}/pseudonymise`) },
  { operationId: "signInPerson", opens: ["people:act"],
    call: (client) => client.post("/people/v1/sign-in", { badge_code: unique("badge") }) },
  { operationId: "signOutPerson", opens: ["people:act"], call: (client) => client.post("/people/v1/sign-out") },
  { operationId: "getActingPerson", opens: ["people:act"], call: (client) => client.get("/people/v1/me") },

  { operationId: "listKeys", opens: "none", call: (client) => client.get("/keys/v1") },
  { operationId: "createKey", opens: "none",
    call: (client) => client.post("/keys/v1", { name: "Key", role: "manager", scopes: ["events:read"] }) },
  { operationId: "getKey", opens: "none", call: (client, { key }) => client.get(`/keys/v1/${key}`) },
  { operationId: "updateKey", opens: "none", call: (client, { key }) => client.patch(`/keys/v1/${key}`, { name: "Mine" }) },
  { operationId: "rotateKey", opens: "none", call: (client, { key }) => client.post(`/keys/v1/${key}/rotate`, {}) },
  { operationId: "revokeKey", opens: "none", call: (client, { key }) => client.delete(`/keys/v1/${key}`) },
];

let keys: Promise<[Scope, Client][]> | undefined;
/** A manager's key for each scope: what it is refused, it lacks the scope for. */
const keyOfScope = () =>
  keys ??= Promise.all(scopes.map(async (scope): Promise<[Scope, Client]> => {
    const { client } = await newKey({ scopes: [scope] });
    return [scope, client];
  }));

/** Keys that are not, or not here, or no longer valid, each with all scopes; and what every endpoint answers to them. */
let invalid: Promise<[string, Client, 401 | 403, RegExp][]> | undefined;
const invalidKeys = () =>
  invalid ??= (async () => {
    const { client: admin } = await keyAdmin();
    const [expired, revoked, rotated, elsewhere] = await Promise.all([newKey(), newKey(), newKey(), newKey()]);
    const past = new Date(Date.now() - 1_000).toISOString();
    const answers = await Promise.all([
      admin.patch(`/keys/v1/${expired.id}`, { expires_at: past }),
      admin.delete(`/keys/v1/${revoked.id}`),
      admin.post(`/keys/v1/${rotated.id}/rotate`, { overlap_h: 0 }),
      admin.patch(`/keys/v1/${elsewhere.id}`, { allowed_cidrs: ["192.0.2.0/24", "2001:db8::/32"] }),
    ]);
    assertEquals(answers.map(({ status }) => status), [200, 204, 200, 200]);
    return [
      ["expired", expired.client, 401, /has expired/],
      ["revoked", revoked.client, 401, /was revoked/],
      ["with an earlier secret", rotated.client, 401, /is not known/],
      ["with another key's secret", keyClient(newApiKey(elsewhere.id).key), 401, /is not known/],
      ["unknown", keyClient(newApiKey(crypto.randomUUID()).key), 401, /is not known/],
      ["of another network", elsewhere.client, 403, /may not be used from the address/],
    ];
  })();

for (const { operationId, what, opens, call } of table) {
  const name = `${operationId}${what === undefined ? "" : ` (${what})`}`;
  Deno.test(`keys: ${name} is open to ${Array.isArray(opens) ? opens.join(", ") : `${opens} of the scopes`}`, async () => {
    const plant = await thePlant();
    const outcomes = await Promise.all((await keyOfScope()).map(async ([scope, client]) => {
      const answer = await call(client, plant);
      if (answer.status === 403) {
        const { required_scopes, required_scope, required_role } = assertProblem(answer, 403, "forbidden");
        // these keys are no terminals
        if (required_role === "machine") return [scope, true];
        assert(required_scopes !== undefined || required_scope !== undefined, answer.text);
        if (Array.isArray(opens) && opens !== changes) {
          const named = required_scope === undefined ? required_scopes as Scope[] : [required_scope as Scope];
          assert(opens.every((one) => named.includes(one)), answer.text);
        }
      }
      assert(answer.status < 500 && answer.status !== 401, answer.text);
      return [scope, answer.status !== 403];
    }));
    const expected = scopes.map((scope) => [scope, Array.isArray(opens) && opens.includes(scope)]);
    assertEquals(Object.fromEntries(outcomes), Object.fromEntries(expected));
  });

  Deno.test(`keys: ${name} is closed to keys that are invalid`, async () => {
    const plant = await thePlant();
    for (const [state, client, status, detail] of await invalidKeys()) {
      const answer = await call(client, plant);
      const problem: ProblemBody = assertProblem(answer, status, status === 401 ? "unauthenticated" : "forbidden");
      assertMatch(problem.detail, detail, state);
      assertEquals(answer.headers.get("www-authenticate"), status === 401 ? "Bearer" : null);
    }
  });
}

Deno.test("keys: every endpoint that needs a credential has a row in the table", () => {
  const documented = Object.values(openapi.paths).flatMap((path) => Object.values(path))
    .filter((endpoint) => endpoint.security.length > 0)
    // version 2 of an endpoint calls the same SQL function
    .map(({ operationId }) => operationId.replace(/V2$/, ""));
  assertEquals(
    [...new Set(table.map(({ operationId }) => operationId))].toSorted(),
    [...new Set(documented)].toSorted(),
  );
});

Deno.test({
  name: "app.function_scopes: every function that users may call has a row, and no row is of another",
  ignore: !hasDatabase,
  async fn() {
    await withDatabase(async (sql) => {
      const open = await sql<{ name: string }[]>`
        select distinct p.proname as name from pg_proc p
        where p.pronamespace = 'public'::regnamespace and has_function_privilege('authenticated', p.oid, 'execute')`;
      const decided = await sql<{ name: string }[]>`select function_name as name from app.function_scopes`;
      assertEquals(decided.map(({ name }) => name).toSorted(), open.map(({ name }) => name).toSorted());
    });
  },
});

Deno.test("keys: GET /stream/v1/ws is open to stream:read and board:read", async () => {
  const handshakes = await Promise.all((await keyOfScope()).map(async ([scope, { credential }]) => {
    const answer = await shakeHands({ base: env.functionsUrl, credential });
    answer.cut();
    return [scope, answer.status];
  }));
  const expected = scopes.map((scope) => [scope, ["stream:read", "board:read"].includes(scope) ? 101 : 403]);
  assertEquals(Object.fromEntries(handshakes), Object.fromEntries(expected));
  for (const [state, { credential }, status] of await invalidKeys()) {
    assertEquals((await shakeHands({ base: env.functionsUrl, credential })).status, status, state);
  }
});

Deno.test("keys: a PATCH of an operation needs the scope of everything that it changes", async () => {
  const clients = new Map(await keyOfScope());
  const both = await newKey({ scopes: ["operations:plan", "events:report"] });
  const started = async () => {
    const operation = await newOperation();
    assertEquals((await report(server, operation, "START")).status, 201);
    assertEquals((await report(server, operation, "REPORT_QUANTITY", { qty_good: 5 })).status, 201);
    return operationPath(operation);
  };
  const cases: [what: string, body: Record<string, unknown>, opens: Scope[]][] = [
    ["plan", { qty_desired: 60 }, ["operations:plan"]],
    ["end of the run", { status: "ON_HOLD" }, ["events:report"]],
    ["cancellation", { status: "CANCELLED" }, ["operations:plan"]],
    ["more pieces", { qty_processed: 7 }, ["events:report"]],
    ["fewer pieces", { qty_processed: 3 }, ["events:correct"]],
    ["plan and run", { qty_desired: 60, status: "ON_HOLD" }, []],
  ];
  for (const [what, body, opens] of cases) {
    for (const scope of changes) {
      const path = await started();
      const client = clients.get(scope);
      assert(client);
      const answer = await client.patch<{ required_scope?: string }>(path, body);
      assertEquals(answer.status, opens.includes(scope) ? 200 : 403, `${what} by ${scope}: ${answer.text}`);
      if (answer.status === 403) assert(answer.body.required_scope !== undefined, answer.text);
    }
  }
  const answer = await both.client.patch(await started(), { qty_desired: 60, status: "ON_HOLD" });
  assertEquals(answer.status, 200, answer.text);
});
