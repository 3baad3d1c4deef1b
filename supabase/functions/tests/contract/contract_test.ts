/** Behaviour that clients of the first service rely on, and that of every URL: see docs/openapi.json for the rest. */
import {
  anonymous,
  type Answer,
  assert,
  assertEquals,
  assertExists,
  assertMatch,
  assertNotEquals,
  assertProblem,
  type JsonObject,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  type ReportedEvent,
  server,
  unique,
} from "../support/harness.ts";
import { problemTable } from "../../_shared/problems.ts";

const resources = ["operations", "events", "profiles"];

/** Example 1 of the contract. */
const example = {
  order_no: "404000-001",
  asset_id: 1,
  operation_no: "0020",
  workplace_name: "TruLaser 5060 (L76)",
  activity_code: "LASER",
  status: "RELEASED",
  qty_desired: 50,
  qty_processed: 0,
  qty_scrap: 0,
  planned_start_at: "2025-10-01T08:00:00Z",
  planned_end_at: "2025-10-01T10:00:00Z",
  timestamp_ms: "2025-09-30T15:00:00Z",
  change_type: "INSERT",
};

/** Asserts the status and the fields of the answer that `expected` names. */
function assertFields(answer: Answer<unknown>, status: number, expected: Record<string, unknown>): void {
  assertEquals(answer.status, status, answer.text);
  const body: Record<string, unknown> = Object(answer.body);
  assertEquals(Object.fromEntries(Object.keys(expected).map((field) => [field, body[field]])), expected, answer.text);
}

Deno.test("Worked examples 1 to 5: an operation from its creation to its end", async () => {
  const order_no = unique("404000");
  const body = { ...example, order_no };

  const created = await server.post<OperationWithActions>("/operations/v1", body);
  assertFields(created, 201, {
    ...body,
    planned_start_at: "2025-10-01T08:00:00.000Z",
    planned_end_at: "2025-10-01T10:00:00.000Z",
    timestamp_ms: "2025-09-30T15:00:00.000Z",
    version: 1,
  });
  const location = created.headers.get("location");
  assertEquals(location, `/functions/v1/operations/v1/${order_no}/1/0020`);
  const path = operationPath(created.body);

  const started = await server.post<ReportedEvent>("/events/v1", {
    action_type: "START",
    order_no,
    operation_no: "0020",
    workplace_name: "TruLaser 5060 (L76)",
    operation_data: { status: "RELEASED", qty_desired: 50 },
  });
  assertFields(started, 201, {
    action_type: "START",
    order_no,
    asset_id: 1,
    status_before: "RELEASED",
    status_after: "IN_PROGRESS",
    operation_data: { status: "RELEASED", qty_desired: 50 },
    webhook_success: false,
    webhook_response: null,
    error_message: null,
  });
  const running = await server.patch(path, { status: "IN_PROGRESS", actual_start_at: "2025-10-01T08:15:00Z" });
  assertFields(running, 200, { status: "IN_PROGRESS", actual_start_at: "2025-10-01T08:15:00.000Z" });

  const reported = await server.patch(path, {
    qty_processed: 25,
    timestamp_ms: "2025-10-01T09:00:00Z",
    change_type: "UPDATE",
  });
  assertFields(reported, 200, {
    qty_processed: 25,
    qty_good: 25,
    timestamp_ms: "2025-10-01T09:00:00.000Z",
    change_type: "UPDATE",
  });
  assertFields(await server.patch(path, { qty_scrap: 2 }), 200, { qty_processed: 25, qty_scrap: 2, qty_good: 23 });

  const finished = await server.patch(path, {
    status: "FINISHED",
    qty_processed: 50,
    actual_end_at: "2025-10-01T10:05:00Z",
  });
  assertFields(finished, 200, {
    status: "FINISHED",
    qty_processed: 50,
    qty_scrap: 2,
    qty_good: 48,
    actual_start_at: "2025-10-01T08:15:00.000Z",
    actual_end_at: "2025-10-01T10:05:00.000Z",
    t_actual_processing_min: 110,
    t_actual_lead_min: 110,
  });
  const reopened = assertProblem(
    await server.patch(path, { status: "IN_PROGRESS" }),
    422,
    "invalid_state_transition",
  );
  assertEquals(reopened.current_status, "FINISHED");

  assertProblem(await server.post("/operations/v1", body), 409, "duplicate_operation");
  assertProblem(
    await server.post("/operations/v1", { ...body, order_no: unique("404000"), qty_processed: 100 }),
    422,
    "invalid_quantity",
  );
  assertProblem(await server.get("/operations/v1/999999/1/0010"), 404, "not_found");

  // nothing of this was changed without an event
  const log = await server.get<OperationEvent[]>("/events/v1", { query: { order_no } });
  assertEquals(log.body.map(({ action_type }) => action_type), [
    "FINISH",
    "REPORT_QUANTITY",
    "CORRECT",
    "REPORT_QUANTITY",
    "CORRECT",
    "START",
  ]);
});

Deno.test("Worked example 1, literally: the operation 404000-001/1/0020 is created once", async () => {
  // the order number stays what it is, so on a server that ran this before the operation is there already
  const first = await server.post("/operations/v1", example);
  if (first.status !== 201) assertProblem(first, 409, "duplicate_operation");
  else assertMatch(first.headers.get("location") ?? "", /\/404000-001\/1\/0020$/);
  assertFields(await server.get("/operations/v1/404000-001/1/0020"), 200, {
    order_no: "404000-001",
    workplace_name: "TruLaser 5060 (L76)",
    qty_desired: 50,
  });
  assertProblem(await server.post("/operations/v1", example), 409, "duplicate_operation");
});

Deno.test("Worked example 2: a report by user_id and user_email, and by an unknown user", async () => {
  const { id, email } = await newUser();
  const { order_no, operation_no, workplace_name } = await newOperation();
  const event = {
    action_type: "START",
    order_no,
    operation_no,
    workplace_name,
    operation_data: { status: "RELEASED", qty_desired: 50 },
  };
  const unknown = { user_id: crypto.randomUUID(), user_email: "nobody@example.com" };
  assertProblem(await server.post("/events/v1", { ...event, ...unknown }), 400, "integrity_error");
  assertFields(await server.post("/events/v1", { ...event, user_id: id, user_email: email }), 201, {
    user_id: id,
    user_email: email,
  });
});

Deno.test("Worked examples 2 to 4: an operator of the workplace starts, corrects and finishes an operation by PATCH", async () => {
  const operation = await newOperation({ qty_desired: 50 });
  const { workplace_name, order_no, operation_no } = operation;
  const [{ client }, { client: stranger }] = await Promise.all([
    newUser({ workplaces: [workplace_name ?? ""] }),
    newUser({ workplaces: [newWorkplace()] }),
  ]);
  const path = operationPath(operation);
  const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
  const event = {
    action_type: "START",
    order_no,
    operation_no,
    workplace_name,
    operation_data: { status: "RELEASED" },
  };
  assertEquals((await client.post("/events/v1", event)).status, 201);
  const start = ago(23 * 60);
  const started = await client.patch(path, { status: "IN_PROGRESS", actual_start_at: start });
  assertFields(started, 200, { status: "IN_PROGRESS", actual_start_at: start });
  const report = { qty_processed: 25, timestamp_ms: ago(1), change_type: "UPDATE" };
  assertFields(await client.patch(path, report), 200, { qty_processed: 25, qty_good: 25 });
  assertFields(await client.patch(path, { qty_scrap: 2 }), 200, { qty_processed: 25, qty_good: 23, qty_scrap: 2 });

  // every other correction is a supervisor's
  for (
    const wrong of [
      { qty_scrap: 1 },
      { qty_processed: 20 },
      { qty_scrap: 3, t_actual_setup_min: 5 },
      { actual_start_at: ago(22 * 60) },
      { actual_start_at: ago(25 * 60) },
      { actual_start_at: ago(40 * 24 * 60) },
    ]
  ) {
    assertProblem(await client.patch(path, wrong), 403, "forbidden");
  }
  assertProblem(await stranger.patch(path, { qty_scrap: 3 }), 404, "not_found");
  assertFields(await server.get(path), 200, { qty_processed: 25, qty_scrap: 2, actual_start_at: start });

  const end = ago(0);
  const finished = await client.patch(path, { status: "FINISHED", qty_processed: 50, actual_end_at: end });
  assertFields(finished, 200, { status: "FINISHED", qty_processed: 50, qty_scrap: 2, actual_end_at: end });
  assertProblem(await client.patch(path, { status: "IN_PROGRESS" }), 422, "invalid_state_transition");
  // what is finished counts as delivered
  assertProblem(await client.patch(path, { qty_scrap: 3 }), 403, "forbidden");
  assertProblem(await client.patch(path, { actual_start_at: ago(23 * 60 + 5) }), 403, "forbidden");
});

Deno.test("Worked example 6: the lists take the first service's filters", async () => {
  const started = await newOperation({ workplace_name: "TruLaser 5060 (L76)" });
  const { order_no, operation_no, workplace_name } = started;
  const event = { action_type: "START", order_no, operation_no, workplace_name };
  const { body: { id } } = await server.post<ReportedEvent>("/events/v1", event);

  const list = async <Item>(path: string) => {
    const { status, body, text } = await server.get<Item[]>(path);
    assertEquals(status, 200, text);
    assert(Array.isArray(body), "a list is a bare array");
    return body;
  };
  for (const { status } of await list<Operation>("/operations/v1?status=IN_PROGRESS")) {
    assertEquals(status, "IN_PROGRESS");
  }
  const atLaser = await list<Operation>("/operations/v1?workplace_name=TruLaser%205060%20(L76)");
  assert(atLaser.length > 0);
  assert(atLaser.every(({ workplace_name }) => workplace_name === "TruLaser 5060 (L76)"));
  assert((await list<Operation>("/operations/v1?skip=0&limit=10")).length <= 10);
  const starts = await list<OperationEvent>("/events/v1?action_type=START");
  assert(starts.length > 0 && starts.every(({ action_type }) => action_type === "START"));
  assertEquals((await list<OperationEvent>(`/events/v1?order_no=${order_no}`)).map((one) => one.id), [id]);
  assert((await list<OperationEvent>("/events/v1?order_no=404000-001")).every((one) => one.order_no === "404000-001"));
  const atDrum = await list<OperationEvent>("/events/v1/workplace/Trommelen-1");
  assert(atDrum.every((one) => one.workplace_name === "Trommelen-1"));
  const own = await newOperation();
  await server.post("/events/v1", { ...event, ...{ order_no: own.order_no, workplace_name: own.workplace_name } });
  const there = await list<OperationEvent>(`/events/v1/workplace/${encodeURIComponent(own.workplace_name ?? "")}`);
  assertEquals(there.map(({ order_no }) => order_no), [own.order_no]);
});

Deno.test("Code table not_found: is answered alike for every missing operation, event and profile", async () => {
  const missing = [
    "/operations/v1/999999/1/0010",
    `/events/v1/${crypto.randomUUID()}`,
    `/profiles/v1/${crypto.randomUUID()}`,
  ];
  for (const path of missing) assertProblem(await server.get(path), 404, "not_found");
  const operation = "/operations/v1/999999/1/0010";
  const profile = `/profiles/v1/${crypto.randomUUID()}`;
  assertProblem(await server.patch(operation, { qty_scrap: 1 }), 404, "not_found");
  assertProblem(await server.delete(operation), 404, "not_found");
  assertProblem(await server.patch(profile, { full_name: "Nobody" }), 404, "not_found");
  assertProblem(await server.delete(profile), 404, "not_found");
  assertProblem(
    await server.post("/events/v1", {
      action_type: "START",
      order_no: "999999",
      operation_no: "0010",
      workplace_name: "Trommelen-1",
    }),
    404,
    "not_found",
  );
});

Deno.test("Code table duplicate_operation and duplicate_profile: what exists is not created again", async () => {
  const { order_no, asset_id, operation_no } = await newOperation();
  const key = { order_no, asset_id, operation_no };
  assertProblem(await server.post("/operations/v1", key), 409, "duplicate_operation");
  for (const other of [{ asset_id: 2 }, { operation_no: "0020" }]) {
    assertEquals((await server.post("/operations/v1", { ...key, ...other })).status, 201);
  }
  const { id } = await newUser();
  assertProblem(await server.post("/profiles/v1", { id }), 409, "duplicate_profile");
});

Deno.test("Code table invalid_quantity: more processed than desired, more scrap than processed", async () => {
  const refused = async (answer: Promise<Answer>) => assertProblem(await answer, 422, "invalid_quantity");
  const key = { order_no: unique("Q"), asset_id: 1, operation_no: "0010" };
  await refused(server.post("/operations/v1", { ...key, qty_desired: 50, qty_processed: 100 }));
  await refused(server.post("/operations/v1", { ...key, qty_desired: 50, qty_processed: 5, qty_scrap: 6 }));
  const operation = await newOperation();
  const path = operationPath(operation);
  await server.patch(path, { status: "IN_PROGRESS" });
  await refused(server.patch(path, { qty_processed: 51 }));
  await refused(server.patch(path, { qty_scrap: 1 }));
  await refused(server.patch(path, { qty_processed: 10, qty_scrap: 11 }));
  // scrap does not count toward the target
  assertEquals((await server.patch(path, { qty_processed: 60, qty_scrap: 10 })).status, 200);
  await refused(server.patch(path, { qty_desired: 49 }));
});

Deno.test("Code table integrity_error: is answered when values refer to nothing", async () => {
  assertProblem(await server.post("/profiles/v1", { id: crypto.randomUUID() }), 400, "integrity_error");
});

Deno.test("Code table validation: body, path and query, every wrong value named at once", async () => {
  const body = assertProblem(
    await server.post("/operations/v1", {
      order_no: "",
      asset_id: "1",
      operation_no: "0010",
      qty_desired: 1.5,
      colour: "red",
    }),
    422,
    "validation_failed",
  );
  assertEquals(
    body.errors?.map((error) => `${error.in} ${error.pointer}`).sort(),
    ["body /asset_id", "body /colour", "body /order_no", "body /qty_desired"],
  );
  const path = assertProblem(await server.get("/operations/v1/404000-001/zero/0020"), 422, "validation_failed");
  assertEquals(path.errors?.map((error) => `${error.in} ${error.pointer}`), ["path /asset_id"]);
  const query = assertProblem(
    await server.get("/operations/v1?limit=0&status=DONE&colour=red"),
    422,
    "validation_failed",
  );
  assertEquals(
    query.errors?.map((error) => `${error.in} ${error.pointer}`).sort(),
    ["query /colour", "query /limit", "query /status/0"],
  );
  assertProblem(await server.get("/events/v1/not-a-uuid"), 422, "validation_failed");
  assertProblem(await server.get("/profiles/v1/not-a-uuid"), 422, "validation_failed");
});

const statuses = ["PLANNED", "RELEASED", "IN_PROGRESS", "ON_HOLD", "FINISHED", "CANCELLED"] as const;
type Status = typeof statuses[number];

/** Status changes of the contract; FINISHED and CANCELLED are final. */
const allowed: Record<Status, readonly Status[]> = {
  PLANNED: ["RELEASED", "CANCELLED"],
  RELEASED: ["IN_PROGRESS", "ON_HOLD", "CANCELLED"],
  IN_PROGRESS: ["FINISHED", "ON_HOLD", "CANCELLED"],
  ON_HOLD: ["IN_PROGRESS", "CANCELLED"],
  FINISHED: [],
  CANCELLED: [],
};

/** The shortest way to each status; ON_HOLD both as a pause of work and as a block before it. */
const waysTo: { name: string; status: Status; way: Status[] }[] = [
  { name: "PLANNED", status: "PLANNED", way: [] },
  { name: "RELEASED", status: "RELEASED", way: ["RELEASED"] },
  { name: "IN_PROGRESS", status: "IN_PROGRESS", way: ["RELEASED", "IN_PROGRESS"] },
  { name: "ON_HOLD (paused)", status: "ON_HOLD", way: ["RELEASED", "IN_PROGRESS", "ON_HOLD"] },
  { name: "ON_HOLD (blocked)", status: "ON_HOLD", way: ["RELEASED", "ON_HOLD"] },
  { name: "FINISHED", status: "FINISHED", way: ["RELEASED", "IN_PROGRESS", "FINISHED"] },
  { name: "CANCELLED", status: "CANCELLED", way: ["CANCELLED"] },
];

for (const { name, status: from, way } of waysTo) {
  Deno.test(`PATCH /operations/v1/{...} from ${name}: exactly the contract's status changes are allowed`, async () => {
    for (const to of statuses) {
      const operation = await newOperation({ status: "PLANNED" });
      const path = operationPath(operation);
      for (const status of way) assertFields(await server.patch(path, { status }), 200, { status });
      const { body: before } = await server.get<Operation>(path);
      assertEquals(before.status, from);

      const answer = await server.patch(path, { status: to });
      const { body: after } = await server.get<Operation>(path);
      if (to === from) {
        // no change: nothing to refuse and nothing to record
        assertFields(answer, 200, { status: from, version: before.version });
      } else if (allowed[from].includes(to)) {
        assertFields(answer, 200, { status: to });
        assertEquals(after.status, to);
      } else {
        const problem = assertProblem(answer, 422, "invalid_state_transition");
        assertEquals(problem.current_status, from);
        assert(Array.isArray(problem.allowed_actions));
        assertEquals([after.version, after.status], [before.version, from], "refused, and yet changed");
      }
    }
  });
}

Deno.test("POST: answers a Location that leads to the new resource", async () => {
  const operation = await newOperation({ order_no: unique("Ä/ö %") });
  const created = await server.post<Operation>("/operations/v1", { ...key(operation), operation_no: "A/B ?#" });
  const { body: event, headers } = await server.post<ReportedEvent>("/events/v1", {
    action_type: "START",
    order_no: operation.order_no,
    operation_no: operation.operation_no,
    workplace_name: operation.workplace_name,
  });
  const locations = [created.headers.get("location"), headers.get("location")].map((one) => one ?? "");
  assertEquals(locations[0], `/functions/v1${operationPath(created.body)}`);
  assertEquals(locations[1], `/functions/v1/events/v1/${event.id}`);
  const found = await Promise.all(locations.map((one) => server.get(one.slice("/functions/v1".length))));
  assertEquals(found.map(({ status }) => status), [200, 200]);
  assertEquals(found[0]?.body.operation_no, "A/B ?#");
});

function key({ order_no, asset_id, operation_no }: Operation) {
  return { order_no, asset_id, operation_no };
}

for (const resource of resources) {
  Deno.test(`GET /${resource}: says without a credential what it is and where its versions and docs are`, async () => {
    const { status, body } = await anonymous.get<{
      name: string;
      versions: string[];
      version_states: Record<string, { status: string }>;
      links: Record<string, string>;
    }>(`/${resource}`);
    assertEquals(status, 200);
    assertMatch(body.name, new RegExp(resource));
    const versions = ["operations", "events"].includes(resource) ? ["v1", "v2"] : ["v1"];
    assertEquals(body.versions, versions);
    for (const version of versions) {
      assertEquals(body.links[version], `/functions/v1/${resource}/${version}`);
      assertEquals(body.version_states[version]?.status, "current");
    }
    assertEquals(body.links.docs, "/functions/v1/docs");
  });

  Deno.test(`GET /${resource}/health: answers without a credential that the database is there`, async () => {
    const { status, body } = await anonymous.get(`/${resource}/health`);
    assertEquals([status, body.status], [200, "ok"]);
  });

  Deno.test(`HEAD /${resource}/v1: has the headers of GET and no body`, async () => {
    const [head, get] = [await server.request("HEAD", `/${resource}/v1`), await server.get(`/${resource}/v1`)];
    assertEquals([head.status, head.text], [200, ""]);
    for (const name of ["content-type", "cache-control"]) assertEquals(head.headers.get(name), get.headers.get(name));
    assertEquals((await anonymous.request("HEAD", `/${resource}/v1`)).status, 401);
  });

  Deno.test(`OPTIONS /${resource}/v1: a browser of any origin may call, without cookies`, async () => {
    const { status, headers } = await anonymous.request("OPTIONS", `/${resource}/v1`, {
      headers: {
        Origin: "https://terminal.example.com",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, content-type, if-match, idempotency-key",
      },
    });
    assertEquals(status, 204);
    assertEquals(headers.get("access-control-allow-origin"), "*");
    assertEquals(headers.get("access-control-allow-credentials"), null);
    const methods = headers.get("access-control-allow-methods")?.split(/, ?/) ?? [];
    assertEquals(methods.toSorted(), ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]);
    const named = new Set(headers.get("access-control-allow-headers")?.toLowerCase().split(/, ?/));
    const needed =
      "authorization apikey content-type idempotency-key if-match if-none-match last-event-id x-acting-for x-request-id";
    for (const name of needed.split(" ")) assert(named.has(name), `${name} is not allowed`);
  });

  Deno.test(`GET /${resource}/v1 from a browser: the headers of the contract are exposed, errors included`, async () => {
    for (const client of [server, anonymous]) {
      const { headers } = await client.get(`/${resource}/v1`, { headers: { Origin: "https://terminal.example.com" } });
      assertEquals(headers.get("access-control-allow-origin"), "*");
      const exposed = new Set(headers.get("access-control-expose-headers")?.toLowerCase().split(/, ?/));
      const needed = "location etag link x-total-count x-request-id retry-after idempotency-replayed";
      for (const name of needed.split(" ")) assert(exposed.has(name), `${name} is not exposed`);
      assertEquals(headers.get("cache-control"), "no-store");
      assertEquals(headers.get("x-content-type-options"), "nosniff");
    }
  });

  Deno.test(`GET /${resource}/v3/...: an unknown URL is 404 unknown_route`, async () => {
    const deep = `/${resource}/v1/a/b/c/d/e`;
    for (const path of [`/${resource}/v3`, `/${resource}/nothing`, deep]) {
      assertProblem(await server.get(path), 404, "unknown_route");
    }
  });
}

const wrongMethods: [method: string, path: string, allow: string[]][] = [
  ["PUT", "/operations/v1", ["GET", "HEAD", "OPTIONS", "PATCH", "POST"]],
  ["DELETE", "/operations/v1", ["GET", "HEAD", "OPTIONS", "PATCH", "POST"]],
  ["POST", "/operations/v1/404000-001/1/0020", ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH"]],
  ["PUT", "/operations/v1/404000-001/1/0020", ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH"]],
  ["PATCH", "/events/v1", ["GET", "HEAD", "OPTIONS", "POST"]],
  ["DELETE", `/events/v1/${crypto.randomUUID()}`, ["GET", "HEAD", "OPTIONS"]],
  ["POST", "/events/v1/workplace/Trommelen-1", ["GET", "HEAD", "OPTIONS"]],
  ["PUT", "/profiles/v1", ["GET", "HEAD", "OPTIONS", "POST"]],
  ["POST", `/profiles/v1/${crypto.randomUUID()}`, ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH"]],
  ["POST", "/operations", ["GET", "HEAD", "OPTIONS"]],
  ["DELETE", "/operations/health", ["GET", "HEAD", "OPTIONS"]],
];

for (const [method, path, allow] of wrongMethods) {
  Deno.test(`${method} ${path.replace(/[0-9a-f-]{36}/, "{id}")}: 405 with the methods that there are`, async () => {
    const answer = await server.request(method, path);
    assertProblem(answer, 405, "method_not_allowed");
    assertEquals(answer.headers.get("allow")?.split(", ").toSorted(), allow);
  });
}

Deno.test("Accept: JSON in any form is served, anything else is 406", async () => {
  const accepted = [
    "*/*",
    "application/json",
    "application/*",
    "text/html, application/json;q=0.1",
    "APPLICATION/JSON",
  ];
  for (const Accept of accepted) {
    assertEquals((await server.get("/operations/v1?limit=1", { headers: { Accept } })).status, 200, Accept);
  }
  for (const Accept of ["text/html", "application/xml, text/plain", "application/json;q=0"]) {
    assertProblem(await server.get("/operations/v1?limit=1", { headers: { Accept } }), 406, "not_acceptable");
  }
});

Deno.test("POST: answers 415 when the Content-Type is missing or not JSON, whatever the bytes are", async () => {
  const { order_no, asset_id, operation_no } = await newOperation();
  const rawBody = JSON.stringify({ order_no, asset_id, operation_no });
  const wrong = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    null,
  ];
  for (const path of ["/operations/v1", "/events/v1", "/profiles/v1"]) {
    for (const type of wrong) {
      const answer = await server.request("POST", path, { rawBody, headers: { "content-type": type } });
      assertProblem(answer, 415, "unsupported_media_type");
    }
  }
  const patched = { rawBody: '{"qty_desired":60}', headers: { "content-type": "text/plain" } };
  const answer = await server.request("PATCH", operationPath({ order_no, asset_id, operation_no }), patched);
  assertProblem(answer, 415, "unsupported_media_type");
});

Deno.test("POST: accepts Content-Type application/json; charset=utf-8", async () => {
  const operation = { order_no: unique("C"), asset_id: 1, operation_no: "0010" };
  const headers = { "content-type": "application/json; charset=utf-8" };
  assertEquals((await server.post("/operations/v1", operation, { headers })).status, 201);
});

Deno.test("POST: answers malformed_json when there is no body", async () => {
  for (const path of ["/operations/v1", "/events/v1", "/profiles/v1"]) {
    const empty = await server.request("POST", path, { headers: { "content-type": "application/json" } });
    assertProblem(empty, 400, "malformed_json");
  }
});

Deno.test("POST of 1 MiB: judged by its content; one byte more: 413 with the limit", async () => {
  const body = (size: number) => {
    const start = '{"order_no":"';
    return `${start}${"x".repeat(size - start.length - 2)}"}`;
  };
  assertProblem(
    await server.request("POST", "/operations/v1", { rawBody: body(1024 * 1024) }),
    422,
    "validation_failed",
  );
  const answer = await server.request("POST", "/operations/v1", { rawBody: body(1024 * 1024 + 1) });
  assertEquals(assertProblem(answer, 413, "body_too_large").limit, 1024 * 1024);
});

Deno.test("X-Request-Id: stands in header and problem when usable, and is replaced otherwise", async () => {
  for (const id of ["terminal-7_42", "A".repeat(128), crypto.randomUUID()]) {
    const { headers } = await server.get("/operations/v1?limit=1", { headers: { "X-Request-Id": id } });
    assertEquals(headers.get("x-request-id"), id);
  }
  for (const id of ["two words", "<script>", "A".repeat(129), "a,b", "ä"]) {
    const { headers } = await server.get("/operations/v1?limit=1", { headers: { "X-Request-Id": id } });
    assertNotEquals(headers.get("x-request-id"), id);
    assertMatch(headers.get("x-request-id") ?? "", /^[\w=-]{1,128}$/);
  }
  const missing = await server.get("/operations/v1/999999/1/0010", { headers: { "X-Request-Id": "terminal-7" } });
  assertEquals(assertProblem(missing, 404, "not_found").instance, "terminal-7");
});

Deno.test("Problems: type, title, status, detail, instance and code, as the table has them", async () => {
  const operation = await newOperation({ status: "PLANNED" });
  const path = operationPath(operation);
  const provoked: Answer[] = [
    await server.request("POST", "/operations/v1", { rawBody: "{" }),
    await anonymous.get("/operations/v1"),
    await server.get("/operations/v1/999999/1/0010"),
    await server.get("/operations/nothing"),
    await server.request("PUT", "/operations/v1"),
    await server.get("/operations/v1", { headers: { Accept: "text/html" } }),
    await server.post("/operations/v1", key(operation)),
    await server.patch(path, { qty_desired: 1 }, { headers: { "If-Match": '"99"' } }),
    await server.request("POST", "/operations/v1", { rawBody: "{}", headers: { "content-type": "text/plain" } }),
    await server.get("/operations/v1?limit=0"),
    await server.patch(path, { status: "FINISHED" }),
  ];
  const codes = provoked.map(({ body }) => String(body.code));
  assertEquals(new Set(codes).size, provoked.length, `every one of its own code: ${codes}`);
  for (const answer of provoked) {
    const { type, title, status, detail, instance, code } = answer.body as JsonObject;
    const known = Object.entries(problemTable).find(([name]) => name === code);
    assertExists(known, `${code} is not in the table`);
    assertEquals({ status, title }, { status: known[1].status, title: known[1].title });
    assertEquals(answer.status, status);
    assertEquals(type, `/functions/v1/docs/errors/${code}`);
    assertEquals(instance, answer.headers.get("x-request-id"));
    assert(typeof detail === "string" && detail.length > 0);
    // nothing of what is behind the API
    assert(!/mes_operations|public\.|select |pl\/?pgsql|PGRST|at .*\.ts:/i.test(answer.text), answer.text);
  }
});

Deno.test("GET /operations/v1 without a credential: 401 that says which scheme", async () => {
  for (const resource of resources) {
    const answer = await anonymous.get(`/${resource}/v1`);
    assertProblem(answer, 401, "unauthenticated");
    assertEquals(answer.headers.get("www-authenticate"), "Bearer");
  }
});

Deno.test("Times: given with any offset, answered in UTC with milliseconds", async () => {
  const operation = await newOperation({
    planned_start_at: "2026-03-29T01:30:00+02:00",
    planned_end_at: "2026-03-29T06:00:00.5-05:30",
    workplace_name: newWorkplace(),
  });
  assertEquals(operation.planned_start_at, "2026-03-28T23:30:00.000Z");
  assertEquals(operation.planned_end_at, "2026-03-29T11:30:00.500Z");
});
