/** Version 2 of operations and events: pages and links, and for the rest what version 1 answers. */
import openapi from "../../../../docs/openapi.json" with { type: "json" };
import {
  type Answer,
  assert,
  assertEquals,
  assertProblem,
  type Client,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { version2Path } from "../support/version2_client.ts";

interface Link {
  method: string;
  href: string;
  schema?: string;
}

type Links = Record<string, Link | undefined>;

type LinkedOperation = OperationWithActions & { _links: Links };

interface Page<Item> {
  items: Item[];
  page: { limit: number | null; next_cursor: string | null; total?: number };
  _links: Links;
}

const origin = "/functions/v1";
const path2 = (operation: Operation) => version2Path(operationPath(operation));
const listOf = <Item = LinkedOperation>(client: Client, path: string) => client.get<Page<Item>>(path);
const related = ["self", "events", "runs", "queue"];
const transitions = ["RELEASE", "START", "STOP", "COMPLETE", "FINISH", "HOLD", "CANCEL"];

/** The transitions that an operation has links to. */
const linked = ({ _links }: LinkedOperation) => Object.keys(_links).filter((name) => !related.includes(name)).sort();

const allowed = ({ allowed_actions }: OperationWithActions) =>
  allowed_actions.filter(({ action, allowed }) => allowed && transitions.includes(action))
    .map(({ action }) => action).sort();

/** Follows a link of the API. */
const follow = (client: Client, link: Link | undefined, body?: unknown) => {
  assert(link !== undefined && link.href.startsWith(`${origin}/`));
  return client.request<unknown>(link.method, link.href.slice(origin.length), body === undefined ? {} : { body });
};

function withoutLinks({ _links, ...operation }: LinkedOperation): OperationWithActions {
  return operation;
}

Deno.test("GET /operations/v2: answers items, page and links, and the items of version 1 with actions and links", async () => {
  const workplace_name = newWorkplace();
  const prefix = unique("P");
  for (const order of [1, 2, 3]) await newOperation({ order_no: `${prefix}${order}`, workplace_name });
  const query = `?q=${prefix}&limit=2&count=exact`;
  const { status, body, headers, text } = await listOf(server, `/operations/v2${query}`);
  assertEquals(status, 200, text);
  const next = body.page.next_cursor;
  assert(next !== null);
  assertEquals(Object.keys(body), ["items", "page", "_links"]);
  assertEquals(body.page, { limit: 2, next_cursor: next, total: 3 });
  assertEquals(body._links, {
    self: { method: "GET", href: `${origin}/operations/v2${query}` },
    next: { method: "GET", href: `${origin}/operations/v2${query}&cursor=${next}` },
  });
  assertEquals(headers.get("link"), `<${origin}/operations/v2${query}&cursor=${next}>; rel="next"`);
  assertEquals(headers.get("x-total-count"), "3");

  const version1 = await server.get<Operation[]>(`/operations/v1${query}`);
  for (const [index, { allowed_actions, _links, ...operation }] of body.items.entries()) {
    assertEquals(JSON.stringify(operation), JSON.stringify(version1.body[index]));
    assert(allowed_actions.length > 0 && _links.self !== undefined);
  }

  const byCursor = await listOf(server, `/operations/v2?q=${prefix}&limit=2&cursor=${next}`);
  const byLink = await follow(server, body._links.next);
  assertEquals(byCursor.body.items.map(({ order_no }) => order_no), [`${prefix}3`]);
  assertEquals((byLink.body as Page<Operation>).items, byCursor.body.items);
  assertEquals(byCursor.body.page, { limit: 2, next_cursor: null });
  assertEquals(Object.keys(byCursor.body._links), ["self"]);
  assertEquals(byCursor.headers.get("link"), null);

  const whole = await listOf(server, `/operations/v2?q=${unique("P")}`);
  assertEquals([whole.body.items, whole.body.page], [[], { limit: 100, next_cursor: null }]);
});

Deno.test("GET /events/v2 and its lists: answer the events of version 1 in pages", async () => {
  const operation = await newOperation();
  assertEquals((await report(server, operation, "START")).status, 201);
  assertEquals((await report(server, operation, "REPORT_QUANTITY", { qty_good: 1 })).status, 201);
  for (
    const path of [`/events/v1?order_no=${operation.order_no}`, `/events/v1/workplace/${operation.workplace_name}`]
  ) {
    const separator = path.includes("?") ? "&" : "?";
    const version1 = await server.get<OperationEvent[]>(`${path}${separator}limit=1`);
    const { body } = await listOf<OperationEvent>(server, version2Path(`${path}${separator}limit=1`));
    assertEquals(JSON.stringify(body.items), JSON.stringify(version1.body));
    const rest = await follow(server, body._links.next);
    assertEquals((rest.body as Page<OperationEvent>).items.map(({ action_type }) => action_type), ["START"]);
  }
  const runs = await listOf<{ run_no: number }>(server, `${path2(operation)}/runs`);
  assertEquals(runs.body.items.map(({ run_no }) => run_no), [1]);
  assertEquals(runs.body.page, { limit: null, next_cursor: null, total: 1 });
  assertEquals(runs.body._links, { self: { method: "GET", href: `${origin}${path2(operation)}/runs` } });
});

Deno.test("Operations v2: create, read, change, transition and report answer as version 1, with links", async () => {
  const workplace_name = newWorkplace();
  const key = { order_no: unique("O"), asset_id: 1, operation_no: "0010" };
  const created = await server.post<LinkedOperation>("/operations/v2", { ...key, workplace_name, status: "RELEASED" });
  assertEquals(created.status, 201, created.text);
  assertEquals(created.headers.get("location"), `${origin}${path2(created.body)}`);
  const read = await server.get<LinkedOperation>(path2(created.body));
  assertEquals(read.body, created.body);
  assertEquals(read.headers.get("etag"), '"1"');
  assertEquals((await server.get(path2(read.body), { headers: { "if-none-match": '"1"' } })).status, 304);
  assertEquals(
    JSON.stringify(withoutLinks(read.body)),
    JSON.stringify((await server.get(operationPath(read.body))).body),
  );
  const changed = await server.patch<LinkedOperation>(path2(read.body), { qty_desired: 5 });
  assertEquals([changed.status, changed.headers.get("etag"), changed.body.qty_desired], [200, '"2"', 5]);
  assertEquals(changed.body._links, read.body._links);

  type Reported = OperationEvent & { operation: LinkedOperation };
  const started = await server.post<Reported>(`${path2(read.body)}/transitions`, { action: "START" });
  assertEquals(started.headers.get("location"), `${origin}/events/v2/${started.body.id}`);
  assertEquals(linked(started.body.operation), allowed(started.body.operation));
  const { order_no, operation_no } = key;
  const counted = { action_type: "REPORT_QUANTITY", order_no, operation_no, workplace_name, qty_good: 1 };
  const reported = await server.post<Reported>("/events/v2", counted);
  assertEquals(reported.headers.get("location"), `${origin}/events/v2/${reported.body.id}`);
  assertEquals(linked(reported.body.operation), ["CANCEL", "COMPLETE", "FINISH", "HOLD", "STOP"]);
  const event = await follow(server, { method: "GET", href: reported.headers.get("location") ?? "" });
  assertEquals((event.body as OperationEvent).qty_good, 1);
});

Deno.test("Operations v2: an operation has one link for each transition that its caller may perform now", async () => {
  const workplace_name = newWorkplace();
  assertEquals((await server.post("/workplaces/v1", { name: workplace_name, capacity: 1 })).status, 201);
  const roles = ["readonly", "operator", "supervisor"] as const;
  const clients = await Promise.all(
    roles.map(async (role) => (await newUser({ role, workplaces: [workplace_name] })).client),
  );
  const order_no = unique("O");
  const operation = (operation_no: string, more = {}) =>
    newOperation({ order_no, operation_no, workplace_name, ...more });
  await operation("0010", { status: "PLANNED" });
  const blocked = await operation("0020");
  assertEquals((await report(server, blocked, "HOLD", { reason_code: "UNSPECIFIED" })).status, 201);
  const finished = await operation("0030");
  for (const action of ["START", "COMPLETE"] as const) {
    assertEquals((await report(server, finished, action)).status, 201);
  }
  const paused = await operation("0040");
  for (const action of ["START", "STOP"] as const) assertEquals((await report(server, paused, action)).status, 201);
  const running = await operation("0050");
  await operation("0060");

  const check = async (expected: Record<string, string[]>) => {
    for (const [index, client] of [...clients, server].entries()) {
      const { body } = await listOf(client, `/operations/v2?order_no=${order_no}`);
      const single = await Promise.all(body.items.map((one) => client.get<LinkedOperation>(path2(one))));
      assertEquals(body.items.map(linked), body.items.map(allowed));
      // a running operation grows between two reads
      const comparable = (one: LinkedOperation) => ({
        ...one,
        t_actual_processing_min: null,
        t_actual_setup_min: null,
      });
      assertEquals(body.items.map(comparable), single.map(({ body }) => comparable(body)));
      const role = roles[index] ?? "server";
      assertEquals(
        body.items.map((one) => `${one.operation_no} ${linked(one).join(" ")}`.trim()),
        expected[role],
        role,
      );
    }
  };
  const supervisor = [
    "0010 CANCEL RELEASE",
    "0020 CANCEL RELEASE",
    "0030",
    "0040 CANCEL COMPLETE FINISH START",
    "0050 CANCEL HOLD START",
    "0060 CANCEL HOLD START",
  ];
  await check({
    readonly: ["0010", "0020", "0030", "0040", "0050", "0060"],
    operator: ["0010", "0020", "0030", "0040 COMPLETE FINISH START", "0050 START", "0060 START"],
    supervisor,
    server: supervisor,
  });
  // a workplace at its capacity starts nothing else
  assertEquals((await report(server, running, "START")).status, 201);
  const busy = [
    ...supervisor.slice(0, 3),
    "0040 CANCEL COMPLETE FINISH",
    "0050 CANCEL COMPLETE FINISH HOLD STOP",
    "0060 CANCEL HOLD",
  ];
  await check({
    readonly: ["0010", "0020", "0030", "0040", "0050", "0060"],
    operator: ["0010", "0020", "0030", "0040 COMPLETE FINISH", "0050 COMPLETE FINISH STOP", "0060"],
    supervisor: busy,
    server: busy,
  });
});

Deno.test("Operations v2: each link leads where it says, whatever characters the keys have", async () => {
  const operation = await newOperation({
    order_no: `${unique("O")} A/B`,
    operation_no: "0010 ?#&+%",
    workplace_name: `${unique("Workplace")} (L/76) ü`,
  });
  const { body: { _links } } = await server.get<LinkedOperation>(path2(operation));
  assertEquals(Object.keys(_links), [...related, "START", "HOLD", "CANCEL"]);
  const [self, events, runs, queue] = await Promise.all(related.map((name) => follow(server, _links[name])));
  assertEquals((self?.body as LinkedOperation).order_no, operation.order_no);
  assertEquals((queue?.body as Operation[]).map(({ order_no }) => order_no), [operation.order_no]);
  assertEquals((events?.body as Page<unknown>).items, []);
  assertEquals((runs?.body as Page<unknown>).items, []);
  for (const action of ["START", "HOLD", "CANCEL"]) {
    const reason = action === "START" ? {} : { reason_code: "UNSPECIFIED" };
    const dry = await follow(server, _links[action], { action, ...reason, dry_run: true });
    assertEquals(dry.status, 200, dry.text);
  }
  assertEquals((await follow(server, _links.START, { action: "START" })).status, 201);
  const after = await follow(server, _links.events);
  assertEquals((after.body as Page<OperationEvent>).items.map(({ action_type }) => action_type), ["START"]);

  const homeless = await newOperation({ workplace_name: null });
  const { body } = await server.get<LinkedOperation>(path2(homeless));
  assertEquals([body._links.queue, "queue" in body._links], [undefined, false]);
});

Deno.test("Operations v2: the schema of a link is that of the body which its URL takes", async () => {
  const operation = await newOperation();
  const { body: { _links: { START: start } } } = await server.get<LinkedOperation>(path2(operation));
  const [documentUrl, pointer] = start?.schema?.split("#") ?? [];
  assertEquals(documentUrl, `${origin}/docs/openapi.json`);
  const { requestBody } = openapi.paths["/operations/v2/{order_no}/{asset_id}/{operation_no}/transitions"].post;
  assertEquals(`#${pointer}`, requestBody.content["application/json"].schema.$ref);
  assert("Transition" in openapi.components.schemas && pointer === "/components/schemas/Transition");
});

Deno.test("Version 2: an Idempotency-Key repeats the answer with its links, and is another one in version 1", async () => {
  const operation = await newOperation();
  const headers = { "idempotency-key": crypto.randomUUID() };
  const change = (path: string) => server.patch(path, { qty_desired: 60 }, { headers });
  const [first, second] = [await change(path2(operation)), await change(path2(operation))];
  assertEquals([first.status, second.status, second.text], [200, 200, first.text]);
  assertEquals(second.headers.get("idempotency-replayed"), "true");
  const other = await change(operationPath(operation));
  assertEquals([other.status, other.headers.get("idempotency-replayed"), other.body._links], [200, null, undefined]);
});

Deno.test("Version 2: rejects a cursor of version 1, and the other way round", async () => {
  const prefix = unique("P");
  for (const order of [1, 2]) await newOperation({ order_no: `${prefix}${order}` });
  const list = (version: number, cursor = "") => server.get(`/operations/v${version}?q=${prefix}&limit=1${cursor}`);
  for (const [from, to] of [[1, 2], [2, 1]] as const) {
    const link = (await list(from)).headers.get("link") ?? "";
    const [, cursor] = /cursor=([^&>]+)/.exec(link) ?? [];
    assert(cursor !== undefined);
    const problem: Answer<unknown> = await list(to, `&cursor=${cursor}`);
    assertEquals(assertProblem(problem, 422, "validation_failed").errors?.map(({ code }) => code), ["invalid_cursor"]);
  }
});

Deno.test("Version 2: errors are those of version 1", async () => {
  const operation = await newOperation();
  const requests: [string, string, unknown?][] = [
    ["GET", operationPath({ ...operation, order_no: unique("O") })],
    ["GET", "/operations/v1?limit=0&colour=red"],
    ["POST", `${operationPath(operation)}/transitions`, { action: "STOP" }],
    ["POST", "/operations/v1", operation],
    ["GET", "/events/v1/nothing"],
  ];
  for (const [method, path, body] of requests) {
    const options = { body, headers: { "x-request-id": "same" } };
    const [one, two] = [
      await server.request(method, path, options),
      await server.request(method, version2Path(path), options),
    ];
    assertEquals([two.status, two.body], [one.status, one.body]);
    assert(two.status >= 400);
  }
  assertProblem(await server.get("/operations/v3"), 404, "unknown_route");
  assertProblem(await server.request("PUT", "/operations/v2"), 405, "method_not_allowed");
});

Deno.test("docs/openapi.json: version 2 has each endpoint of version 1 and differs in answers alone", () => {
  interface Endpoint {
    operationId: string;
    tags: string[];
    responses: Record<string, Record<string, unknown>>;
  }
  const paths: Record<string, Record<string, Endpoint>> = openapi.paths;
  const version1 = Object.keys(paths).filter((path) => /^\/(operations|events)\/v1/.test(path));
  assertEquals(
    Object.keys(paths).filter((path) => /^\/[a-z-]+\/v2/.test(path)).toSorted(),
    version1.map(version2Path).toSorted(),
  );
  const changed: string[] = [];
  for (const path of version1) {
    for (const [method, { operationId, tags, responses, ...one }] of Object.entries(paths[path] ?? {})) {
      const two = paths[version2Path(path)]?.[method];
      assert(two !== undefined, `${method} ${path}`);
      const { operationId: operationId2, tags: tags2, responses: responses2, ...rest } = two;
      assertEquals(rest, one);
      assertEquals([operationId2, tags2], [`${operationId}V2`, tags.map((tag) => `${tag} v2`)]);
      assertEquals(Object.keys(responses2), Object.keys(responses));
      for (const [status, { content, ...response }] of Object.entries(responses)) {
        const { content: content2, ...response2 } = responses2[status] ?? {};
        assertEquals(response2, response);
        if (JSON.stringify(content2) !== JSON.stringify(content)) changed.push(`${operationId} ${status}`);
      }
    }
  }
  assertEquals(changed.toSorted(), [
    "createOperation 201",
    "getOperation 200",
    "listAllRuns 200",
    "listEvents 200",
    "listEventsByWorkplace 200",
    "listOperations 200",
    "listRuns 200",
    "reportEvent 200",
    "reportEvent 201",
    "transitionOperation 200",
    "transitionOperation 201",
    "updateOperation 200",
  ]);
});

Deno.test("docs/versions.md: its examples are what version 2 answers", async () => {
  const page = await Deno.readTextFile(new URL("../../../../docs/versions.md", import.meta.url));
  const [list, links] = [...page.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text]) => JSON.parse(text ?? ""));
  const empty = await server.get("/operations/v2?order_no=404999-001&limit=50&count=exact");
  assertEquals(empty.body, list);
  const operation = await newOperation();
  const { client } = await newUser({ role: "supervisor", workplaces: [operation.workplace_name ?? ""] });
  const { body } = await client.get<LinkedOperation>(path2(operation));
  const named = JSON.stringify(body._links).replaceAll(operation.order_no, "403860-001")
    .replaceAll(operation.workplace_name ?? "", encodeURIComponent("TruLaser 5060 (L76)"));
  assertEquals(JSON.parse(named), links);
});
