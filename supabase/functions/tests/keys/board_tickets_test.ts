/**
 * Board tickets: they open the board of one group and a stream without names, nothing else, and never more than the
 * person who made them sees.
 */
import openapi from "../../../../docs/openapi.json" with { type: "json" };
import type { Board } from "../../reports/board-schemas.ts";
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertProblem,
  type Client,
  dataApi,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  server,
  unique,
} from "../support/harness.ts";
import { keyAdmin, newTicket, type TicketOfTest } from "../support/api_keys.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { reported } from "../support/floor.ts";
import { opened } from "../support/stops.ts";
import { expect, localTest, refusal } from "../support/stream_function.ts";
import { openEvents, openWebSocket, type Stream, type StreamOptions, takeAll } from "../support/stream_client.ts";

/** A group of two workplaces, and a supervisor of both. */
async function aGroup() {
  const group = unique("Group");
  const [one, two] = [newWorkplace(), newWorkplace()];
  for (const name of [one, two]) {
    assertEquals((await server.post("/workplaces/v1", { name, workplace_group: group })).status, 201);
  }
  const supervisor = await newUser({ role: "supervisor", workplaces: [one, two] });
  return { group, one, two, supervisor };
}

const move = async (name: string, workplace_group: string) => {
  const { status, text } = await server.patch(`/workplaces/v1/${name}`, { workplace_group });
  assertEquals(status, 200, text);
};

const change = async (profile: { id: string }, patch: Record<string, unknown>) => {
  const { status, text } = await server.patch(`/profiles/v1/${profile.id}`, patch);
  assertEquals(status, 200, text);
};

/** Names of the workplaces that the board of a ticket shows. */
async function shown({ client }: TicketOfTest, query = {}): Promise<string[]> {
  const { status, body, text } = await client.get<Board>("/reports/v1/board", { query });
  assertEquals(status, 200, text);
  return body.workplaces.map(({ name }) => name);
}

Deno.test("Board tickets: show their group, as it is now, and no other workplace", async () => {
  const { group, one, two, supervisor } = await aGroup();
  const elsewhere = await aGroup();
  const ticket = await newTicket(group, {}, (await keyAdmin()).client);
  assertEquals(await shown(ticket), [one, two].toSorted());
  assertEquals(await shown(ticket, { workplace_group: group, include: "oee" }), [one, two].toSorted());
  assertEquals(await shown(ticket, { workplace_name: one }), [one]);
  for (const query of [{ workplace_group: elsewhere.group }, { workplace_name: elsewhere.one }]) {
    assertProblem(await ticket.client.get("/reports/v1/board", { query }), 404, "not_found");
  }
  await move(elsewhere.one, group);
  await move(two, elsewhere.group);
  assertEquals(await shown(ticket), [one, elsewhere.one].toSorted());
  assertProblem(await ticket.client.get("/reports/v1/board", { query: { workplace_name: two } }), 404, "not_found");
  // the ticket of a supervisor does not show what came into the group and is not theirs
  const own = await aGroup();
  const ofSupervisor = await newTicket(own.group, {}, own.supervisor.client);
  await move(elsewhere.two, own.group);
  assertEquals(await shown(ofSupervisor), [own.one, own.two].toSorted());
  assert(supervisor);
});

Deno.test("POST /boards/v1: is for who sees the whole group, and the ticket is told once", async () => {
  const { group, one, two, supervisor } = await aGroup();
  const body = { name: "Television", workplace_group: group };
  const ofOne = await newUser({ role: "supervisor", workplaces: [one] });
  const operator = await newUser({ role: "operator", workplaces: [one, two] });
  const refused = assertProblem(await ofOne.client.post("/boards/v1", body), 403, "forbidden");
  assertMatch(refused.detail, /some of them are not yours/);
  for (const client of [operator.client, server]) {
    assertProblem(await client.post("/boards/v1", body), 403, "forbidden");
  }
  for (
    const [pointer, wrong] of [
      ["/workplace_group", { workplace_group: unique("Group") }],
      ["/expires_at", { expires_at: new Date(Date.now() - 1_000).toISOString() }],
    ] as const
  ) {
    const answer = await supervisor.client.post("/boards/v1", { ...body, ...wrong });
    assertEquals(assertProblem(answer, 422, "validation_failed").errors?.map((error) => error.pointer), [pointer]);
  }
  const made = await supervisor.client.post("/boards/v1", { ...body, expires_at: "2036-01-01T00:00:00Z" });
  assertEquals(made.status, 201, made.text);
  const { ticket, ...told } = made.body;
  assertMatch(String(ticket), /^mes_[0-9a-f]{32}_[0-9A-Za-z]{49}$/);
  assertEquals(told, {
    ...{ id: told.id ?? null, name: "Television", workplace_group: group, workplace_names: [one, two].toSorted() },
    ...{ status: "active", expires_at: "2036-01-01T00:00:00.000Z", last_used_at: null, created_by: supervisor.id },
    created_at: told.created_at ?? null,
  });
  const listed = await supervisor.client.get<unknown[]>("/boards/v1", { query: { workplace_group: group } });
  assertEquals(listed.body, [told]);
  assertEquals((await ofOne.client.get<unknown[]>("/boards/v1")).body, []);
});

Deno.test("POST /boards/v1: a group has at most 20 tickets, of makers at the same time too", async () => {
  const { group, supervisor } = await aGroup();
  const { client: admin } = await keyAdmin();
  const answers = await Promise.all(
    Array.from(
      { length: 24 },
      (_, n) =>
        (n % 2 === 0 ? admin : supervisor.client).post("/boards/v1", { name: `TV ${n}`, workplace_group: group }),
    ),
  );
  const made = answers.filter(({ status }) => status === 201);
  assertEquals(made.length, 20);
  for (const answer of answers.filter(({ status }) => status !== 201)) {
    assertEquals(assertProblem(answer, 409, "limit_reached").limit, 20);
  }
  assertEquals((await admin.delete(`/boards/v1/${made[0]?.body.id}`)).status, 204);
  await newTicket(group, {}, supervisor.client);
});

Deno.test("DELETE /boards/v1/{ticket_id}: ends the ticket, for its maker and for who sees the whole group", async () => {
  const { group, one, two, supervisor } = await aGroup();
  const ofOne = await newUser({ role: "supervisor", workplaces: [one] });
  const [first, second] = [
    await newTicket(group, {}, supervisor.client),
    await newTicket(group, {}, supervisor.client),
  ];
  assertProblem(await ofOne.client.delete(`/boards/v1/${first.id}`), 404, "not_found");
  await change(ofOne, { workplace_access: [one, two] });
  assertEquals((await ofOne.client.delete(`/boards/v1/${first.id}`)).status, 204);
  const refused = assertProblem(await first.client.get("/reports/v1/board"), 401, "unauthenticated");
  assertMatch(refused.detail, /is not known/);
  assertProblem(await supervisor.client.delete(`/boards/v1/${first.id}`), 404, "not_found");
  // the maker may, even when they see a part of the group only
  await change(supervisor, { workplace_access: [two] });
  assertEquals((await supervisor.client.delete(`/boards/v1/${second.id}`)).status, 204);
  assertEquals((await ofOne.client.get<unknown[]>("/boards/v1")).body, []);
});

Deno.test("Board tickets: show what their maker sees, and nothing when the maker is no supervisor any more", async () => {
  const { group, one, two, supervisor } = await aGroup();
  const ticket = await newTicket(group, {}, supervisor.client);
  const ended = async () => {
    const { detail } = assertProblem(await ticket.client.get("/reports/v1/board"), 403, "forbidden");
    assertMatch(detail, /shows nothing any more/);
  };
  await change(supervisor, { workplace_access: [two] });
  assertEquals(await shown(ticket), [two]);
  await change(supervisor, { workplace_access: [newWorkplace()] });
  await ended();
  await change(supervisor, { workplace_access: [one, two], role: "operator" });
  await ended();
  await change(supervisor, { role: "manager", workplace_access: [] });
  assertEquals(await shown(ticket), [one, two].toSorted());
  assertEquals((await server.delete(`/profiles/v1/${supervisor.id}`)).status, 204);
  await ended();
});

Deno.test("Board tickets: end at their time", async () => {
  const { group, supervisor } = await aGroup();
  const endsAtMs = Date.now() + 2_000;
  const ticket = await newTicket(group, { expires_at: new Date(endsAtMs).toISOString() }, supervisor.client);
  let answer = await ticket.client.get("/reports/v1/board");
  while (answer.status === 200) {
    assertLess(Date.now(), endsAtMs + 5_000);
    answer = await ticket.client.get("/reports/v1/board");
  }
  assertMatch(assertProblem(answer, 401, "unauthenticated").detail, /has expired/);
  const [listed] = (await supervisor.client.get<{ status: string }[]>("/boards/v1")).body;
  assertEquals(listed?.status, "expired");
});

interface Documented {
  operationId: string;
  security: unknown[];
  parameters?: { name: string; in: string; example?: unknown; schema: { example?: unknown; examples?: unknown[] } }[];
  requestBody?: { content: Record<string, { example?: unknown; schema?: { $ref?: string } }> };
}

Deno.test("Board tickets: open no other endpoint, whatever it is asked for", async () => {
  const { group, one, supervisor } = await aGroup();
  const operation = await newOperation({ workplace_name: one });
  const { client, id } = await newTicket(group, {}, supervisor.client);
  const known: Record<string, unknown> = {
    ...operation,
    name: one,
    profile_id: supervisor.id,
    ticket_id: id,
    key_id: id,
  };
  const paths: Record<string, Record<string, Documented>> = JSON.parse(JSON.stringify(openapi.paths));
  const opened: string[] = [];
  for (const [template, methods] of Object.entries(paths)) {
    for (const [method, { operationId, security, parameters = [] }] of Object.entries(methods)) {
      if (security.length === 0 || operationId === "streamEvents") continue;
      const valueOf = ({ name, example, schema }: (typeof parameters)[number]) =>
        String(known[name] ?? example ?? schema.examples?.[0]);
      const path = template.replace(/\{(\w+)\}/g, (_, name) => {
        const parameter = parameters.find((one) => one.name === name);
        return encodeURIComponent(String(parameter && valueOf(parameter)));
      });
      const query: Record<string, string> = template.startsWith("/reports/") && template !== "/reports/v1/board"
        ? { workplace_name: one, from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" }
        : {};
      const body = ["post", "patch", "put"].includes(method) ? {} : undefined;
      const { status, text } = await client.request(method.toUpperCase(), path, { query, body });
      assertLess(status, 500, `${operationId}: ${text}`);
      if (status < 400) opened.push(operationId);
      // what is refused for its body was not refused for the ticket: it would be, after that
      else assert([401, 403, 405, 422].includes(status), `${operationId}: ${text}`);
    }
  }
  assertEquals(opened, ["reportBoard"]);
  assertEquals((await server.get(`/operations/v1/${operation.order_no}/1/0010`)).status, 200);
});

Deno.test("Data API: create_board_ticket takes no id that somebody has or had", async () => {
  const { group: workplace_group, supervisor } = await aGroup();
  const former = await newUser();
  assertEquals((await server.delete(`/profiles/v1/${former.id}`)).status, 204);
  const digest = "ab".repeat(32);
  for (const id of [supervisor.id, former.id, null]) {
    const answer = await dataApi(supervisor.client).post("/rest/v1/rpc/create_board_ticket", {
      ticket: { id, name: "Television", workplace_group },
      digest,
    });
    assertEquals(answer.status, 422, answer.text);
  }
  const profile = await server.post("/profiles/v1", { id: former.id });
  assertEquals(profile.status, 201, profile.text);
});

Deno.test("Board tickets: are no credential of the Data API", async () => {
  const { group, one, supervisor } = await aGroup();
  const { ticket } = await newTicket(group, {}, supervisor.client);
  const { publishableKey: apikey } = env;
  for (const credential of [{ token: ticket }, { apikey: ticket }, { apikey, token: ticket }]) {
    const api = dataApi(credential);
    for (const path of ["mes_operations", "workplaces", "profiles", "operation_events"]) {
      assertEquals((await api.get(`/rest/v1/${path}`)).status, 401, path);
    }
    assertEquals((await api.post("/rest/v1/rpc/report_board", { workplace_names: [one] })).status, 401);
  }
});

Deno.test({
  name: "Board tickets: get no further scope, by nobody",
  ignore: !hasDatabase,
  async fn() {
    const { group, supervisor } = await aGroup();
    const { id } = await newTicket(group, {}, supervisor.client);
    await withDatabase(async (sql) => {
      const widen = sql`update app.api_keys set scopes = '{board:read,events:read}' where id = ${id}`;
      const refusal = await widen.then(() => undefined, (error) => error);
      assertMatch(String(refusal), /api_keys_ticket_opens_board_only/);
    });
  },
});

// ---------------------------------------------------------------- streams

const transports: [name: string, open: (options: StreamOptions) => Promise<Stream>][] = [
  ["GET /stream/v1/events", openEvents],
  ["GET /stream/v1/ws", openWebSocket],
];

/** Reports with all that a person can say about it. */
async function say(client: Client, { order_no, operation_no, asset_id, workplace_name }: Operation, note: string) {
  const { status, body, text } = await client.post<{ id: string; occurred_at: string }>("/events/v1", {
    ...{ action_type: "START", order_no, operation_no, asset_id, workplace_name, note, operation_data: { said: note } },
  });
  assertEquals(status, 201, text);
  return body;
}

for (const [name, open] of transports) {
  localTest(
    `${name}: the stream of a board ticket tells what happened, and not who or what they said`,
    async ({ base }) => {
      const { group, one, two, supervisor } = await aGroup();
      const elsewhere = await newOperation();
      const operation = await newOperation({ workplace_name: one });
      const ticket = await newTicket(group, {}, supervisor.client);
      const note = unique("Note");
      const stream = await open({ base, credential: ticket.client.credential, query: { include: "downtimes" } });
      await expect(stream, "ready");
      await reported(elsewhere, ["START"]);
      const { id, occurred_at } = await say(supervisor.client, operation, note);
      const downtime = await opened(two, { note }, supervisor.client);
      const [ofOperation, ofDowntime] = [await expect(stream, "board"), await expect(stream, "board")];
      const { order_no, asset_id, operation_no } = operation;
      assertEquals(ofOperation.event, {
        ...{ id, action_type: "START", workplace_name: one, order_no, asset_id, operation_no, occurred_at },
      });
      assertEquals(ofDowntime.event, {
        ...{ id: downtime.id, action_type: "DOWNTIME_START", workplace_name: two, occurred_at: downtime.started_at },
        ...{ order_no: null, asset_id: null, operation_no: null },
      });
      assert(!JSON.stringify([ofOperation, ofDowntime]).includes(note));
      await stream.leave();
    },
  );

  /** What is done while the ticket streams. */
  const endings: [
    what: string,
    end: (of: Awaited<ReturnType<typeof aGroup>>, ticket: TicketOfTest) => Promise<void>,
  ][] = [
    ["is revoked", async ({ supervisor }, { id }) => {
      assertEquals((await supervisor.client.delete(`/boards/v1/${id}`)).status, 204);
    }],
    ["has a maker who sees the group no more", ({ supervisor }) => change(supervisor, { workplace_access: [] })],
    ["has a maker who is no supervisor any more", ({ supervisor }) => change(supervisor, { role: "operator" })],
    ["loses a workplace that leaves the group", ({ two }) => move(two, unique("Group"))],
  ];
  for (const [what, end] of endings) {
    localTest(`${name}: the stream of a board ticket ends within 10 s when the ticket ${what}`, async ({ base }) => {
      const place = await aGroup();
      const ticket = await newTicket(place.group, {}, place.supervisor.client);
      const stream = await open({ base, credential: ticket.client.credential });
      await expect(stream, "ready");
      const beganMs = performance.now();
      await end(place, ticket);
      const last = (await takeAll(stream)).at(-1);
      assertLess(performance.now() - beganMs, 10_000);
      assertEquals(last?.type === "close" && last.reason, "access_changed");
    });
  }
}

localTest(
  "GET /stream/v1/events: a board ticket follows no other group, and gets no ticket of the stream",
  async ({ base }) => {
    const [{ group, supervisor }, elsewhere] = [await aGroup(), await aGroup()];
    const operation = await newOperation({ workplace_name: elsewhere.one });
    const { client, ticket } = await newTicket(group, {}, supervisor.client);
    const stream = await openEvents({ base, credential: client.credential, query: { workplace_name: elsewhere.one } });
    await expect(stream, "ready");
    await reported(operation, ["START"]);
    const beats = stream.beats;
    while (stream.beats < beats + 2) await new Promise((resume) => setTimeout(resume, 50));
    await stream.leave();
    assertEquals(await stream.next(), undefined);
    assertEquals(await refusal(openEvents({ base, query: { ticket } })), [401, "unauthenticated"]);
    assertProblem(await client.post("/stream/v1/tickets", {}), 403, "forbidden");
  },
);

localTest(
  "GET /stream/v1/events: a key that loses stream:read and keeps board:read ends, and shows no names then",
  async ({ base }) => {
    const { one, supervisor } = await aGroup();
    const { client: admin } = await keyAdmin();
    const made = await admin.post<{ id: string; key: string }>("/keys/v1", {
      ...{ name: unique("Key"), role: "readonly", workplace_access: [one], scopes: ["stream:read", "board:read"] },
    });
    assertEquals(made.status, 201, made.text);
    const credential = { token: made.body.key };
    const operation = await newOperation({ workplace_name: one });
    const stream = await openEvents({ base, credential });
    await expect(stream, "ready");
    await say(supervisor.client, operation, "Hello");
    assertEquals((await expect(stream, "event")).event.note, "Hello");
    assertEquals((await admin.patch(`/keys/v1/${made.body.id}`, { scopes: ["board:read"] })).status, 200);
    const last = (await takeAll(stream)).at(-1);
    assertEquals(last?.type === "close" && last.reason, "access_changed");
    const nameless = await openEvents({ base, credential });
    await expect(nameless, "ready");
    await reported(operation, ["STOP"]);
    await expect(nameless, "board");
    await nameless.leave();
  },
);
