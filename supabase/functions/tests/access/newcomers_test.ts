/** A user who has just signed up: without a workplace they see their own profile, and store nothing else. */
import {
  type Answer,
  assert,
  assertEquals,
  assertLess,
  assertProblem,
  dataApi,
  newOperation,
  newUser,
  newWorkplace,
  operationPath,
  type Profile,
  report,
  server,
  unique,
  type User,
} from "../support/harness.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { race } from "../support/racing.ts";

const needsDatabase = hasDatabase ? "" : " (needs DATABASE_URL)";

/** Those who see nothing of the plant, each with a plant beside them that has something of everything. */
const roles = ["readonly", "machine", "operator", "supervisor"] as const;

/** An operation that has run, its workplace and an event. */
async function plant() {
  const operation = await newOperation();
  const { status, body, text } = await report(server, operation, "START");
  assertEquals(status, 201, text);
  return { operation, workplace: operation.workplace_name ?? "", event: body.id };
}

const total = ({ headers }: Answer<unknown>) => headers.get("x-total-count");

Deno.test("Newcomers: are operators without a workplace and see their own profile", async () => {
  const user = await newUser();
  const { status, body } = await user.client.get<Profile>(`/profiles/v1/${user.id}`);
  assertEquals([status, body.role, body.workplace_access], [200, "operator", []]);
  const list = await user.client.get<Profile[]>("/profiles/v1?count=exact");
  assertEquals([list.body.map(({ id }) => id), total(list)], [[user.id], "1"]);
  assertEquals((await user.client.patch(`/profiles/v1/${user.id}`, { full_name: "Anna" })).status, 200);
});

for (const role of roles) {
  Deno.test(`Newcomers: lists, counts, feed and single reads show a ${role} without a workplace nothing`, async () => {
    const { operation, workplace, event } = await plant();
    // sees everything: a supervisor who shares a workplace with anybody would see that colleague
    await newUser({ role: "operator", workplaces: ["*"] });
    const { client, id } = await newUser({ role });
    for (const path of ["operations", "events", "workplaces", "reason-codes", `events/v1/workplace/${workplace}`]) {
      const url = path.includes("/") ? `/${path}` : `/${path}/v1`;
      for (const count of ["exact", "estimated"]) {
        const list = await client.get<unknown[]>(url, { query: { count } });
        assertEquals([list.status, list.body.length, total(list)], [200, 0, "0"], `${path}: ${list.text}`);
      }
    }
    const profiles = await client.get<Profile[]>("/profiles/v1", { query: { count: "exact" } });
    assertEquals([profiles.body.map((profile) => profile.id), total(profiles)], [[id], "1"]);
    for (
      const path of [
        operationPath(operation),
        `${operationPath(operation)}/runs`,
        `/events/v1/${event}`,
        `/workplaces/v1/${workplace}`,
        `/workplaces/v1/${workplace}/queue`,
        "/reason-codes/v1/STOP/UNSPECIFIED",
        "/reason-codes/v1/HOLD/UNSPECIFIED",
      ]
    ) assertProblem(await client.get(path), 404, "not_found");

    const api = dataApi(client);
    for (const table of ["mes_operations", "operation_events", "operation_runs", "workplaces", "reason_codes"]) {
      const { status, body, headers } = await api.get<unknown[]>(`/rest/v1/${table}`, {
        headers: { prefer: "count=exact" },
      });
      assertEquals([status, body, headers.get("content-range")], [200, [], "*/0"], table);
    }
  });
}

Deno.test("GET /events/v1/feed: answers a caller without a workplace at once, and tells nothing of the feed", async () => {
  const { workplace, operation } = await plant();
  const user = await newUser();
  const began = performance.now();
  const answers = await race(
    4,
    () => user.client.get<{ events: unknown[]; next_cursor: string }>("/events/v1/feed?wait=10"),
  );
  assertLess(performance.now() - began, 5_000);
  for (const { status, body } of answers) assertEquals([status, body.events], [200, []]);
  const straight = await dataApi(user.client).post("/rest/v1/rpc/read_feed", {});
  assertEquals([straight.body.events, straight.body.pos, straight.body.has_more], [[], 0, false]);

  // who gets a workplace goes on with the cursor of before
  assertEquals((await server.patch(`/profiles/v1/${user.id}`, { workplace_access: [workplace] })).status, 200);
  const after = answers[0]?.body.next_cursor ?? "";
  const { body } = await user.client.get<{ events: { order_no: string }[] }>("/events/v1/feed", {
    query: { after, order_no: operation.order_no, wait: 5 },
  });
  assertEquals(body.events.map(({ order_no }) => order_no), [operation.order_no]);
});

Deno.test("GET /events/v1/feed: no longer waits for a caller who loses their last workplace", async () => {
  const { workplace, operation } = await plant();
  const user = await newUser({ workplaces: [workplace] });
  const { body: { next_cursor } } = await user.client.get("/events/v1/feed", {
    query: { order_no: operation.order_no },
  });
  assertEquals((await server.patch(`/profiles/v1/${user.id}`, { workplace_access: [] })).status, 200);
  const began = performance.now();
  const { body } = await user.client.get("/events/v1/feed", { query: { after: String(next_cursor), wait: 10 } });
  assertEquals([body.events, body.next_cursor === next_cursor], [[], true]);
  assertLess(performance.now() - began, 5_000);
});

/** Everything that a newcomer can try to write, beside their own profile; and what is answered. */
const writes: Record<
  string,
  (user: User, of: Awaited<ReturnType<typeof plant>>, key: string) => Promise<Answer<unknown>>
> = {
  "404 report": ({ client }, { operation: { order_no, operation_no, workplace_name } }, key) =>
    client.post("/events/v1", { action_type: "STOP", order_no, operation_no, workplace_name }, withKey(key)),
  "404 transition": ({ client }, { operation }, key) =>
    client.post(`${operationPath(operation)}/transitions`, { action: "STOP" }, withKey(key)),
  "404 patch": ({ client }, { operation }, key) =>
    client.patch(operationPath(operation), { qty_processed: 1 }, withKey(key)),
  "404 delete": ({ client }, { operation }) => client.delete(operationPath(operation)),
  "403 batch": ({ client }, { operation: { order_no, operation_no, workplace_name } }, key) =>
    client.post("/events/v1/batch", {
      events: Array.from({ length: 1_000 }, () => ({ action_type: "STOP", order_no, operation_no, workplace_name })),
    }, withKey(key)),
  "403 import": ({ client }, { workplace }, key) =>
    client.post("/operations/v1/import", [{
      ...{ order_no: unique("O"), asset_id: 1, operation_no: "0010" },
      ...{ workplace_name: workplace, timestamp_ms: "2026-01-01T00:00:00Z" },
    }], withKey(key)),
  "403 bulk": ({ client }, { operation: { order_no } }, key) =>
    client.patch("/operations/v1", { filter: { order_no }, patch: { qty_desired: 7 }, dry_run: false }, withKey(key)),
  "403 create": ({ client }, { workplace }, key) =>
    client.post("/operations/v1", {
      ...{ order_no: unique("O"), asset_id: 1, operation_no: "0010", workplace_name: workplace },
    }, withKey(key)),
  "403 ticket": ({ client }) => client.post("/stream/v1/tickets", {}),
  "403 workplace": ({ client }, _plant, key) => client.post("/workplaces/v1", { name: newWorkplace() }, withKey(key)),
  "404 change of a workplace": ({ client }, { workplace }, key) =>
    client.patch(`/workplaces/v1/${workplace}`, { capacity: 1 }, withKey(key)),
  "404 reason": ({ client }, _plant, key) =>
    client.patch("/reason-codes/v1/HOLD/UNSPECIFIED", { active: false }, withKey(key)),
};

const withKey = (key: string) => ({ headers: { "idempotency-key": key } });

for (const role of ["operator", "supervisor"] as const) {
  Deno.test({
    name: `Newcomers: a ${role} without a workplace writes nothing, the answers of their keys included${needsDatabase}`,
    ignore: !hasDatabase,
    fn: () =>
      withDatabase(async (sql) => {
        const of = await plant();
        const before = (await server.get(operationPath(of.operation))).headers.get("etag");
        const user = await newUser({ role });
        for (const [what, write] of Object.entries(writes)) {
          const answer = await write(user, of, unique("key"));
          const [status = ""] = what.split(" ");
          assertEquals(String(answer.status), status, `${what}: ${answer.text.slice(0, 300)}`);
        }
        const key = unique("key");
        const [first, again] = [
          await user.client.patch(`/profiles/v1/${user.id}`, { full_name: "Anna" }, withKey(key)),
          await user.client.patch(`/profiles/v1/${user.id}`, { full_name: "Anna" }, withKey(key)),
        ];
        assertEquals([first.status, again.status, again.text], [200, 200, first.text]);
        const [stored] = await sql<{ keys: number; tickets: number }[]>`
          select (select count(*)::integer from app.idempotency_keys where caller = ${user.id}) as keys,
            (select count(*)::integer from app.stream_tickets where user_id = ${user.id}) as tickets`;
        assertEquals(stored, { keys: 0, tickets: 0 });
        assertEquals((await server.get(operationPath(of.operation))).headers.get("etag"), before);
      }),
  });
}

Deno.test("Newcomers: with a workplace a user sees all workplaces and reason codes", async () => {
  const { workplace } = await plant();
  const other = await plant();
  const { client } = await newUser({ workplaces: [workplace] });
  assertEquals((await client.get(`/workplaces/v1/${other.workplace}`)).status, 200);
  assertEquals((await client.get("/reason-codes/v1/HOLD/UNSPECIFIED")).status, 200);
  const list = await client.get<unknown[]>("/workplaces/v1");
  assert(list.body.length >= 2);
});
