/** Escalation: users cannot raise their rights, report as others, keep revoked rights or see hidden resources. */
import {
  anonymous,
  type Answer,
  assert,
  assertEquals,
  assertNotEquals,
  assertProblem,
  clientOf,
  dataApi,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  type ProblemBody,
  type Profile,
  report,
  type ReportedEvent,
  server,
  unique,
  type User,
} from "../support/harness.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";

const profilePath = ({ id }: { id: string }) => `/profiles/v1/${id}`;

async function profileOf(user: { id: string }): Promise<Profile> {
  const { status, body, text } = await server.get<Profile>(profilePath(user));
  assertEquals(status, 200, text);
  return body;
}

async function setProfile(user: { id: string }, patch: Partial<Profile>): Promise<void> {
  const { status, text } = await server.patch(profilePath(user), patch);
  assertEquals(status, 200, text);
}

/** The code of a refusal, or the status of what is none. */
const outcome = ({ status, body }: Answer<unknown>) =>
  status < 400 ? String(status) : `${status} ${(body as ProblemBody).code}`;

const withKey = (key: string) => ({ headers: { "idempotency-key": key } });

Deno.test("Escalation: gives a user no rights by what they claim at sign-up, at sign-in or in their account", async () => {
  const operation = await newOperation();
  const auth = dataApi({ apikey: env.publishableKey });
  const email = `${unique("mallory").toLowerCase()}@example.com`;
  const password = crypto.randomUUID();
  const claims = {
    ...{
      role: "admin",
      workplace_access: ["*"],
      id: crypto.randomUUID(),
      version: 7,
      created_at: "2001-01-01T00:00:00Z",
    },
    ...{
      app_metadata: { role: "admin" },
      user_metadata: { role: "admin" },
      is_super_admin: true,
      app_role: "service_role",
    },
  };
  const signedUp = await auth.post<{ access_token: string; user: { id: string } }>("/auth/v1/signup", {
    ...claims,
    ...{ email, password, aud: "service_role", data: claims, options: { data: claims } },
  });
  assertEquals(signedUp.status, 200, signedUp.text);
  const user = signedUp.body.user;
  const mallory = clientOf(signedUp.body.access_token);
  const isNobody = async (client = mallory) => {
    const { role, workplace_access, id } = await profileOf(user);
    assertEquals({ role, workplace_access, id }, { role: "operator", workplace_access: [], id: user.id });
    assertProblem(await client.get(operationPath(operation)), 404, "not_found");
    assertProblem(await client.post("/workplaces/v1", { name: newWorkplace() }), 403, "forbidden");
  };
  await isNobody();

  // what users may change of their account at the Auth API
  await dataApi(mallory).request("PUT", "/auth/v1/user", {
    body: { data: claims, app_metadata: claims, role: "service_role" },
  });
  const signedIn = await auth.post<{ access_token: string }>("/auth/v1/token?grant_type=password", {
    email,
    password,
    ...claims,
  });
  assertEquals(signedIn.status, 200, signedIn.text);
  await isNobody();
  await isNobody(clientOf(signedIn.body.access_token));
});

Deno.test("Escalation: lets users change only the name of their own profile", async () => {
  for (const role of ["readonly", "machine", "operator", "supervisor", "manager"] as const) {
    const workplace = newWorkplace();
    const user = await newUser({ role, workplaces: [workplace] });
    const before = await profileOf(user);
    const patches: [Record<string, unknown>, string][] = [
      [{ role: "admin" }, "403 forbidden"],
      [{ role }, "403 forbidden"],
      [{ role: "admin", full_name: "X" }, "403 forbidden"],
      [{ email: "admin@example.com" }, "403 forbidden"],
      [{ id: crypto.randomUUID() }, "422 validation_failed"],
      [{ version: 1 }, "422 validation_failed"],
      [{ created_at: "2001-01-01T00:00:00Z" }, "422 validation_failed"],
      [{ user_id: user.id, full_name: "X" }, "422 validation_failed"],
      [{ Role: "admin" }, "422 validation_failed"],
      [{ role: ["admin"] }, "422 validation_failed"],
      [{ workplace_access: [newWorkplace()], role: "admin" }, "403 forbidden"],
      ...(role === "manager"
        ? []
        : [[{ workplace_access: ["*"] }, "403 forbidden"] as [Record<string, unknown>, string]]),
    ];
    for (const [patch, expected] of patches) {
      assertEquals(
        outcome(await user.client.patch(profilePath(user), patch)),
        expected,
        `${role}: ${JSON.stringify(patch)}`,
      );
    }
    const twice = await user.client.patch(profilePath(user), undefined, {
      rawBody: '{"full_name": "X", "role": "admin", "full_name": "Y"}',
    });
    assert(twice.status >= 400);
    assertEquals(await profileOf(user), before);

    const named = await user.client.patch<Profile>(profilePath(user), { full_name: "Somebody" });
    assertEquals(named.status, 200, named.text);
    assertEquals({ ...named.body, updated_at: "" }, {
      ...before,
      full_name: "Somebody",
      version: before.version + 1,
      updated_at: "",
    });
    const other = await newUser({ role: "operator", workplaces: [workplace] });
    assert((await user.client.patch(profilePath(other), { full_name: "Mallory" })).status >= 403);
    assertEquals((await profileOf(other)).full_name, null);
  }
});

Deno.test("Escalation: lets managers change workplaces but no role, their own included", async () => {
  const manager = await newUser({ role: "manager" });
  const accomplice = await newUser({ role: "readonly" });
  const workplace = newWorkplace();
  assertEquals((await manager.client.patch(profilePath(accomplice), { workplace_access: [workplace] })).status, 200);
  for (const target of [manager, accomplice]) {
    for (const role of ["admin", "manager", "supervisor"]) {
      assertProblem(await manager.client.patch(profilePath(target), { role }), 403, "forbidden");
      assertProblem(await manager.client.patch(profilePath(target), { role, workplace_access: [] }), 403, "forbidden");
    }
  }
  assertProblem(await manager.client.delete(profilePath(accomplice)), 403, "forbidden");
  const former = await newUser();
  assertEquals((await server.delete(profilePath(former))).status, 204);
  for (const { client } of [manager, former]) {
    assertProblem(await client.post("/profiles/v1", { id: former.id, role: "admin" }), 403, "forbidden");
  }
  assertEquals((await profileOf(accomplice)).role, "readonly");
  assertEquals((await profileOf(manager)).role, "manager");
  assertEquals((await profileOf(accomplice)).workplace_access, [workplace]);
});

Deno.test("Escalation: rejects a report under another user's user_id or user_email, in any case", async () => {
  const operation = await newOperation();
  const place = operation.workplace_name ?? "";
  const victim = await newUser({ role: "supervisor", workplaces: [place] });
  for (const role of ["operator", "machine", "supervisor", "manager", "admin"] as const) {
    const user = await newUser({ role, workplaces: [place] });
    const names: Record<string, unknown>[] = [
      { user_id: victim.id },
      { user_email: victim.email },
      { user_id: user.id, user_email: victim.email },
      { user_id: victim.id, user_email: user.email },
      { user_id: victim.id.toUpperCase() },
      { user_id: crypto.randomUUID() },
      { user_email: "" },
      { user_email: `${user.email} ` },
    ];
    for (const name of names) {
      assertProblem(await report(user.client, operation, "START", name), 403, "forbidden");
      const step = await user.client.post(`${operationPath(operation)}/transitions`, { action: "START", ...name });
      assertProblem(step, 422, "validation_failed");
      const batch = await user.client.post<{ results: { problem: ProblemBody }[] }>("/events/v1/batch", {
        events: [{
          ...{ action_type: "START", workplace_name: place, ...name },
          order_no: operation.order_no,
          operation_no: operation.operation_no,
        }],
      });
      assertEquals(batch.body.results.map(({ problem }) => problem.code), ["forbidden"], batch.text);
    }
    const taken = [
      "op_seq",
      "created_at",
      "status_after",
      "status_before",
      "version",
      "webhook_success",
      "pos",
      "changes",
      "operation_id",
      "digest",
    ];
    for (const field of taken) {
      assertProblem(await report(user.client, operation, "START", { [field]: 1 }), 422, "validation_failed");
    }
    for (
      const name of [{}, { user_id: user.id }, { user_id: user.id, user_email: user.email.toUpperCase() }, {
        user_id: null,
        user_email: null,
      }]
    ) {
      const dry = await report(user.client, operation, "START", { ...name, dry_run: true });
      assertEquals([dry.status, dry.body.user_id, dry.body.user_email], [200, user.id, user.email], dry.text);
    }
  }
  assertEquals((await server.get<unknown[]>(`/events/v1?order_no=${operation.order_no}`)).body, []);
});

Deno.test("Escalation: an operation's id, version, authorship and bookkeeping are never taken from a body", async () => {
  const workplace_name = newWorkplace();
  const supervisor = await newUser({ role: "supervisor", workplaces: [workplace_name] });
  const operation = await newOperation({ workplace_name });
  const fields = [
    "id",
    "version",
    "created_by",
    "created_at",
    "updated_at",
    "op_seq",
    "last_op_seq",
    "qty_good",
    "source_conflict",
    "hold_kind",
    "running_since",
    "user_id",
  ];
  for (const field of fields) {
    const created = await supervisor.client.post("/operations/v1", {
      order_no: unique("O"),
      asset_id: 1,
      operation_no: "0010",
      workplace_name,
      [field]: 1,
    });
    assertProblem(created, 422, "validation_failed");
    assertProblem(await supervisor.client.patch(operationPath(operation), { [field]: 1 }), 422, "validation_failed");
  }
  for (const field of ["order_no", "asset_id", "operation_no"]) {
    assertProblem(await supervisor.client.patch(operationPath(operation), { [field]: "1" }), 422, "validation_failed");
  }
  assertEquals((await server.get<Operation>(operationPath(operation))).body.version, 1);
});

Deno.test("Revocation: takes effect at the next request with the same token", async () => {
  const operation = await newOperation();
  const place = operation.workplace_name ?? "";
  const path = operationPath(operation);
  const user = await newUser({ role: "supervisor", workplaces: [place] });
  const allowed = async () => [
    outcome(await user.client.get(path)),
    outcome(await user.client.patch(path, { qty_desired: 50 })),
    outcome(await report(user.client, operation, "START", { dry_run: true })),
    String((await user.client.get<unknown[]>(`/operations/v1?order_no=${operation.order_no}`)).body.length),
    String(
      (await dataApi(user.client).get<unknown[]>(`/rest/v1/mes_operations?order_no=eq.${operation.order_no}`)).body
        .length,
    ),
    outcome(await user.client.get(profilePath(user))),
  ];
  const forbidden = "403 forbidden";
  const missing = "404 not_found";
  assertEquals(await allowed(), ["200", "200", "200", "1", "1", "200"]);
  await setProfile(user, { role: "operator" });
  assertEquals(await allowed(), ["200", forbidden, "200", "1", "1", "200"]);
  await setProfile(user, { role: "readonly" });
  assertEquals(await allowed(), ["200", forbidden, forbidden, "1", "1", "200"]);
  await setProfile(user, { role: "supervisor", workplace_access: [] });
  assertEquals(await allowed(), [missing, missing, missing, "0", "0", "200"]);
  await setProfile(user, { workplace_access: ["*"] });
  assertEquals(await allowed(), ["200", "200", "200", "1", "1", "200"]);
  assertEquals((await server.delete(profilePath(user))).status, 204);
  assertEquals(await allowed(), [missing, missing, missing, "0", "0", missing]);
  assertProblem(
    await user.client.post("/operations/v1", {
      order_no: unique("O"),
      asset_id: 1,
      operation_no: "1",
      workplace_name: place,
    }),
    403,
    "forbidden",
  );
  assertEquals((await server.post("/profiles/v1", { id: user.id })).status, 201);
  assertEquals(await allowed(), [missing, missing, missing, "0", "0", "200"]);
});

interface Repeatable {
  what: string;
  send: (user: User, operation: Operation, key: string) => Promise<Answer<unknown>>;
}

const repeatable: Repeatable[] = [
  {
    what: "POST /operations",
    send: ({ client }, { order_no, workplace_name }, key) =>
      client.post(
        "/operations/v1",
        { order_no: `${order_no}-2`, asset_id: 1, operation_no: "0010", workplace_name },
        withKey(key),
      ),
  },
  {
    what: "PATCH of an operation",
    send: ({ client }, operation, key) => client.patch(operationPath(operation), { qty_desired: 60 }, withKey(key)),
  },
  {
    what: "PATCH to a status that supervisors set",
    send: ({ client }, operation, key) => client.patch(operationPath(operation), { status: "CANCELLED" }, withKey(key)),
  },
  {
    what: "PATCH of many operations",
    send: ({ client }, { order_no }, key) =>
      client.patch(
        "/operations/v1",
        { filter: { order_no }, patch: { qty_desired: 60 }, dry_run: false },
        withKey(key),
      ),
  },
  {
    what: "a transition",
    send: ({ client }, operation, key) =>
      client.post(
        `${operationPath(operation)}/transitions`,
        { action: "HOLD", reason_code: "UNSPECIFIED" },
        withKey(key),
      ),
  },
  {
    what: "POST /events",
    send: ({ client }, { order_no, operation_no, workplace_name }, key) =>
      client.post("/events/v1", { action_type: "START", order_no, operation_no, workplace_name }, withKey(key)),
  },
  {
    what: "POST /events/batch",
    send: ({ client }, { order_no, operation_no, workplace_name }, key) =>
      client.post(
        "/events/v1/batch",
        { events: [{ action_type: "START", order_no, operation_no, workplace_name }] },
        withKey(key),
      ),
  },
  {
    what: "an import",
    send: ({ client }, { order_no, workplace_name }, key) =>
      client.post("/operations/v1/import", [
        {
          order_no: `${order_no}-3`,
          asset_id: 1,
          operation_no: "0010",
          workplace_name,
          timestamp_ms: "2026-01-01T00:00:00Z",
        },
      ], withKey(key)),
  },
];

for (const { what, send } of repeatable) {
  Deno.test(`Revocation: ${what} is not repeated by its key when the caller has lost role, workplace or profile`, async () => {
    const losses: Record<string, (user: User) => Promise<void>> = {
      role: (user) => setProfile(user, { role: "readonly" }),
      workplace: (user) => setProfile(user, { workplace_access: [newWorkplace()] }),
      profile: async (user) => assertEquals((await server.delete(profilePath(user))).status, 204),
    };
    for (const [loss, take] of Object.entries(losses)) {
      // an import names the rows that were sent, and nothing of the plant
      if (what === "an import" && loss === "workplace") continue;
      const operation = await newOperation();
      const user = await newUser({ role: "supervisor", workplaces: [operation.workplace_name ?? ""] });
      const key = crypto.randomUUID();
      const first = await send(user, operation, key);
      assert(first.status < 300, first.text);
      const replay = await send(user, operation, key);
      assertEquals([replay.status, replay.text, replay.headers.get("idempotency-replayed")], [
        first.status,
        first.text,
        "true",
      ]);
      await take(user);
      const refused = await send(user, operation, key);
      assert([403, 404].includes(refused.status), `${loss}: ${refused.status} ${refused.text}`);
      assertEquals(refused.headers.get("idempotency-replayed"), null);
      assert(!refused.text.includes(operation.order_no), refused.text);
    }
  });
}

Deno.test("Revocation: repeats the answer about an operation without a workplace only to callers who see all", async () => {
  const operation = await newOperation({ workplace_name: null });
  const user = await newUser({ role: "supervisor", workplaces: ["*"] });
  const key = crypto.randomUUID();
  const change = () => user.client.patch(operationPath(operation), { qty_desired: 60 }, withKey(key));
  assertEquals((await change()).status, 200);
  await setProfile(user, { workplace_access: [newWorkplace()] });
  assertProblem(await change(), 404, "not_found");
});

Deno.test("Idempotency keys: are independent when another caller uses the same key", async () => {
  const operation = await newOperation();
  const place = operation.workplace_name ?? "";
  const users = await Promise.all(
    ["supervisor", "supervisor", "admin"].map((role) =>
      newUser({ role: role as Profile["role"], workplaces: [place] })
    ),
  );
  const key = crypto.randomUUID();
  const create = (client: User["client"], order_no: string) =>
    client.post("/operations/v1", { order_no, asset_id: 1, operation_no: "0010", workplace_name: place }, withKey(key));
  const orders = new Set<unknown>();
  for (const client of [server, ...users.map(({ client }) => client)]) {
    const { status, body, headers, text } = await create(client, unique("O"));
    assertEquals(status, 201, text);
    assertEquals(headers.get("idempotency-replayed"), null);
    orders.add(body.order_no);
  }
  assertEquals(orders.size, 4);

  // a user without a profile has no keys, and above all not those of the secret key
  const former = await newUser();
  assertEquals((await server.delete(profilePath(former))).status, 204);
  const [order_no] = orders as Set<string>;
  const known = await create(former.client, order_no ?? "");
  const other = await create(former.client, unique("O"));
  const unused = await former.client.post(
    "/operations/v1",
    { order_no, asset_id: 1, operation_no: "0010" },
    withKey(crypto.randomUUID()),
  );
  for (const answer of [known, other, unused]) {
    const { instance: _, ...problem } = assertProblem(answer, 403, "forbidden");
    const { instance: __, ...expected } = assertProblem(unused, 403, "forbidden");
    assertEquals(problem, expected);
  }
});

Deno.test("Moving: needs access to both workplaces, and hides later events from the previous workplace", async () => {
  const [here, there] = [newWorkplace(), newWorkplace()];
  const operation = await newOperation({ workplace_name: here });
  await newOperation({ workplace_name: there });
  const operator = await newUser({ role: "operator", workplaces: [here] });
  const supervisor = await newUser({ role: "supervisor", workplaces: [here] });
  for (const workplace_name of [there, newWorkplace(), null, "*"]) {
    assertProblem(await supervisor.client.patch(operationPath(operation), { workplace_name }), 403, "forbidden");
  }
  const id = crypto.randomUUID();
  const start = () => report(operator.client, operation, "START", { id });
  assertEquals((await start()).status, 201);
  assertEquals((await server.patch(operationPath(operation), { workplace_name: there })).status, 200);
  assertProblem(await operator.client.get(operationPath(operation)), 404, "not_found");
  assertProblem(await operator.client.get(`${operationPath(operation)}/runs`), 404, "not_found");
  // but for the end of what runs here, see lifecycle/moved_test.ts
  assertProblem(await report(operator.client, operation, "REPORT_QUANTITY", { qty_good: 1 }), 404, "not_found");
  // the reporter still sees and may repeat the event, with the operation as long as it runs where they started it
  assertEquals((await operator.client.get(`/events/v1/${id}`)).status, 200);
  const again = await start();
  assertEquals([again.status, again.body.id, again.body.operation.workplace_name], [200, id, there], again.text);
  const stopped = await report(server, { ...operation, workplace_name: there }, "STOP");
  assertEquals(stopped.status, 201, stopped.text);
  const late = await start();
  assertProblem(late, 404, "not_found");
  assert(late.text.includes(`${id}\\" is recorded`), late.text);
  assertProblem(await operator.client.get(`/events/v1/${stopped.body.id}`), 404, "not_found");
  const { body: events } = await operator.client.get<ReportedEvent[]>(`/events/v1?order_no=${operation.order_no}`);
  assertEquals(events.map((event) => event.id), [id]);
  const { body: runs } = await dataApi(operator.client).get<unknown[]>("/rest/v1/operation_runs?select=*");
  assertEquals(runs, []);
});

Deno.test("Probing: filters, counts, orders and pages reveal no hidden row", async () => {
  const hidden = await newOperation({
    activity_code: unique("A"),
    workplace_group: unique("G"),
    activity_description: unique("D"),
    status: "RELEASED",
  });
  const secretStart = await report(server, hidden, "START");
  assertEquals(secretStart.status, 201, secretStart.text);
  const { client } = await newUser({ role: "supervisor", workplaces: [newWorkplace()] });
  const { order_no, activity_code, workplace_group, workplace_name, activity_description } = hidden;
  const counts = ["exact", "estimated"];
  const queries: [string, Record<string, unknown>][] = [
    ["/operations/v1", {}],
    ["/operations/v1", { order_no }],
    ["/operations/v1", { activity_code }],
    ["/operations/v1", { workplace_group }],
    ["/operations/v1", { workplace_name }],
    ["/operations/v1", { q: activity_description }],
    ["/operations/v1", { q: order_no.slice(0, 5) }],
    ["/operations/v1", { status: "IN_PROGRESS" }],
    ["/operations/v1", { open_longer_than_h: 0 }],
    ["/events/v1", {}],
    ["/events/v1", { order_no }],
    ["/events/v1", { workplace_name }],
    [`/events/v1/workplace/${workplace_name}`, {}],
  ];
  for (const [path, query] of queries) {
    for (const count of counts) {
      const answer = await client.get<unknown[]>(path, { query: { ...query as Record<string, string>, count } });
      assertEquals([answer.status, answer.body, answer.headers.get("x-total-count"), answer.headers.get("link")], [
        200,
        [],
        "0",
        null,
      ], `${path} ${JSON.stringify(query)}`);
    }
  }
  const queue = await client.get<unknown[]>(`/workplaces/v1/${workplace_name}/queue`);
  assertEquals(queue.body, []);
  const bulk = await client.patch("/operations/v1", { filter: { order_no }, patch: { qty_desired: 1 } });
  assertEquals([bulk.status, bulk.body.results], [200, []], bulk.text);
  // PostgREST's own filters and embeddings, straight
  const api = dataApi(client);
  for (
    const path of [
      `mes_operations?order_no=eq.${order_no}`,
      `mes_operations?or=(order_no.eq.${order_no},status.eq.IN_PROGRESS)`,
      `operation_events?order_no=like.O*`,
      "mes_operations?select=*,operation_runs(*)",
      "operation_runs?select=*,mes_operations(*)",
      "operation_events?select=*,operation_runs(*)",
    ]
  ) {
    const answer = await api.get(`/rest/v1/${path}`);
    assert(answer.status >= 300 || answer.text === "[]", `${path}: ${answer.text}`);
    assert(!answer.text.includes(order_no) || !answer.text.includes(hidden.operation_no), answer.text);
  }
});

Deno.test("Probing: a cursor of another user shows only what the caller may see", async () => {
  const workplace_name = newWorkplace();
  const activity_code = unique("A");
  for (let made = 0; made < 3; made++) await newOperation({ workplace_name, activity_code });
  const page = await server.get<Operation[]>("/operations/v1", { query: { activity_code, limit: 1 } });
  const next = /<\/functions\/v1([^>]*)>/.exec(page.headers.get("link") ?? "")?.[1] ?? "";
  assertNotEquals(next, "");
  const outsider = await newUser({ role: "supervisor", workplaces: [newWorkplace()] });
  const insider = await newUser({ role: "readonly", workplaces: [workplace_name] });
  assertEquals((await outsider.client.get<unknown[]>(next)).body, []);
  assertEquals((await insider.client.get<unknown[]>(next)).body.length, 1);
  assertProblem(await anonymous.get(next), 401, "unauthenticated");
});

Deno.test("Probing: ambiguity, workplace names and event ids reveal only what the caller sees", async () => {
  const [here, there] = [newWorkplace(), newWorkplace()];
  const seen = await newOperation({ workplace_name: here });
  const { order_no, operation_no } = seen;
  await newOperation({ workplace_name: there, order_no, operation_no, asset_id: 2 });
  await newOperation({ workplace_name: there, order_no, operation_no, asset_id: 3 });
  const operator = await newUser({ role: "operator", workplaces: [here] });
  const send = (workplace_name: string, more = {}) =>
    operator.client.post("/events/v1", { action_type: "START", order_no, operation_no, workplace_name, ...more });
  // two elsewhere would be ambiguous, to those who see them
  assertProblem(await send(there), 404, "not_found");
  assertProblem(await send(there, { asset_id: 2 }), 404, "not_found");
  assertProblem(await send(here, { asset_id: 2 }), 404, "not_found");
  assertEquals((await send(here, { dry_run: true })).status, 200);

  const hidden = await report(server, { ...seen, workplace_name: there, asset_id: 2 }, "START", {
    id: crypto.randomUUID(),
  });
  assertEquals(hidden.status, 201, hidden.text);
  // ids are unique in the plant: the answer says only that the id cannot be used
  const taken = await send(here, { id: hidden.body.id });
  const { detail, ...rest } = assertProblem(taken, 409, "idempotency_conflict");
  assertEquals(detail, `Event id "${hidden.body.id}" belongs to another event`);
  assertEquals(Object.keys(rest).toSorted(), ["code", "instance", "status", "title", "type"]);
  const reversed = (id: string) => report<unknown>(operator.client, seen, "REVERSE", { reverses_event_id: id });
  assertEquals((await report(operator.client, seen, "START")).status, 201);
  const [one, other] = [await reversed(hidden.body.id), await reversed(crypto.randomUUID())];
  const comparable = (answer: Answer<unknown>, id: string) =>
    JSON.stringify({ ...answer.body as object, instance: "" }).replaceAll(id, "ID");
  assertEquals(one.status, 422, one.text);
  assertEquals(
    comparable(one, hidden.body.id),
    comparable(other, JSON.parse(other.text).errors[0].message.match(/"([^"]+)"/)[1]),
  );
});

Deno.test("Probing: an import reveals no hidden operation to a planner and does not block other imports", async () => {
  const hidden = await newOperation({ timestamp_ms: "2026-01-01T00:00:00.000Z" });
  const { client } = await newUser({ role: "supervisor", workplaces: [newWorkplace()] });
  const send = async (
    key: Pick<Operation, "order_no" | "asset_id" | "operation_no">,
    more: Record<string, unknown>,
  ) => {
    const { order_no, asset_id, operation_no } = key;
    const { body, text } = await client.post<
      { results: { status: number; outcome: string; problem: ProblemBody | null }[] }
    >(
      "/operations/v1/import",
      [{ order_no, asset_id, operation_no, ...more }],
    );
    const [result] = body.results;
    assert(result, text);
    return [result.outcome, result.status, result.problem?.code, result.problem?.detail];
  };
  const unknown = () => ({ ...hidden, order_no: unique("O") });
  for (const timestamp_ms of ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]) {
    const deletion = { timestamp_ms, change_type: "DELETE" };
    const answer = await send(hidden, deletion);
    assertEquals(answer.slice(0, 3), ["rejected", 404, "not_found"]);
    assertEquals(await send(unknown(), deletion), answer);
    assertEquals((await send(hidden, { timestamp_ms }))[2], "forbidden");
    assertEquals(await send(unknown(), { timestamp_ms }), await send(hidden, { timestamp_ms }));
  }
  const target = unknown();
  await send(target, { timestamp_ms: "9999-01-01T00:00:00Z", change_type: "DELETE" });
  const { order_no, asset_id, operation_no } = target;
  const imported = await server.post<{ results: { outcome: string }[] }>("/operations/v1/import", [
    { order_no, asset_id, operation_no, timestamp_ms: "2026-01-01T00:00:00Z" },
  ]);
  assertEquals(imported.body.results.map((result) => result.outcome), ["created"], imported.text);
});

Deno.test("Probing: problems name no table, column, function or SQL", async () => {
  const place = newWorkplace();
  const operation = await newOperation({ workplace_name: place });
  const supervisor = await newUser({ role: "supervisor", workplaces: [place] });
  const answers = await Promise.all([
    supervisor.client.patch(operationPath(operation), { workplace_name: newWorkplace() }),
    supervisor.client.post("/profiles/v1", { id: crypto.randomUUID() }),
    server.post("/profiles/v1", { id: crypto.randomUUID() }),
    report(server, operation, "START", { user_id: crypto.randomUUID() }),
    report(server, operation, "FINISH", { reason_code: "'; drop table x; --" }),
    supervisor.client.get("/operations/v1?order_no=%27%20or%201%3D1%20--&q=%25"),
    supervisor.client.get("/operations/v1?cursor=eyJhbGciOiJub25lIn0.e30."),
    supervisor.client.get("/events/v1/not-a-uuid"),
    supervisor.client.post("/operations/v1", {
      order_no: operation.order_no,
      asset_id: 1,
      operation_no: "0010",
      workplace_name: place,
    }),
    supervisor.client.request("GET", "/operations/v1/a/1/%00"),
    anonymous.get("/operations/v1", { headers: { authorization: `Bearer ${"x".repeat(8_000)}` } }),
  ]);
  for (const { text } of answers) {
    assert(
      !/mes_operations|operation_events|operation_runs|pg_|postgres|sqlstate|relation|violates|constraint "|search_path|PGRST|at .*\.ts:\d/i
        .test(text),
      text,
    );
  }
});

Deno.test({
  name: `Waiting: a batch, an import or a bulk change of hidden operations holds nobody up${
    hasDatabase ? "" : " (needs DATABASE_URL)"
  }`,
  ignore: !hasDatabase,
  async fn() {
    const hidden = await newOperation();
    const operator = await newUser({ role: "supervisor", workplaces: [newWorkplace()] });
    const { order_no, asset_id, operation_no, workplace_name } = hidden;
    await withDatabase(async (sql) => {
      await sql.begin(async (transaction) => {
        // a request for this row's lock would wait until this transaction ends, which is after the answers
        await transaction`select from public.mes_operations where order_no = ${order_no} for update`;
        const answers = await Promise.all([
          operator.client.post("/events/v1/batch", {
            events: [{ action_type: "START", order_no, operation_no, workplace_name }],
          }),
          operator.client.post("/operations/v1/import", [{
            order_no,
            asset_id,
            operation_no,
            timestamp_ms: "2027-01-01T00:00:00Z",
          }]),
          operator.client.patch("/operations/v1", { filter: { order_no }, patch: { qty_desired: 1 }, dry_run: false }),
        ]);
        assertEquals(answers.map(({ status }) => status), [207, 207, 200]);
      });
    });
  },
});
