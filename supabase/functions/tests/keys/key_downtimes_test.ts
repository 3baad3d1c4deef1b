/** API keys and downtimes: which scope opens what, and that one key neither learns nor repeats what another reported. */
import {
  assert,
  assertEquals,
  assertProblem,
  type Client,
  newOperation,
  newUser,
  type ProblemBody,
  report,
  server,
} from "../support/harness.ts";
import { newKey } from "../support/api_keys.ts";
import { at, pick } from "../support/floor.ts";
import {
  aDowntimeReason,
  aWorkplace,
  command,
  type Downtime,
  downtimesOf,
  open,
  opened,
  signal,
} from "../support/stops.ts";

interface Item {
  status: number;
  id: string | null;
  problem: ProblemBody | null;
}

const send = async (client: Client, events: Record<string, unknown>[]) => {
  const answer = await client.post<{ results: Item[] }>("/events/v1/batch", { events });
  assertEquals(answer.status, 207, answer.text);
  return answer.body.results;
};

const told = ({ status, problem }: Item) => [status, problem?.code ?? null, problem?.required_scope ?? null];

Deno.test("keys: a batch judges the scope of each of its items, downtimes too", async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const { order_no, operation_no, asset_id } = operation;
  const items = [
    { action_type: "DOWNTIME_START", workplace_name: here, occurred_at: at("08:00"), ended_at: at("08:05") },
    { action_type: "START", order_no, operation_no, asset_id, workplace_name: here },
    // nothing is learned of what does not exist
    { action_type: "DOWNTIME_END", workplace_name: here },
    { action_type: "START", order_no, operation_no: "9999", asset_id, workplace_name: here },
  ];
  const cases: [scopes: string[], downtime: boolean, event: boolean][] = [
    [["events:report"], false, true],
    [["downtimes:report"], true, false],
    [["operations:plan"], false, false],
  ];
  for (const [scopes, mayStop, mayStart] of cases) {
    const { client } = await newKey({ role: "supervisor", workplaces: [here], scopes });
    const [stopped, started, ended, missing] = await send(client, items);
    assert(stopped && started && ended && missing);
    const noStop = [403, "forbidden", "downtimes:report"];
    const noStart = [403, "forbidden", "events:report"];
    assertEquals(told(stopped), mayStop ? [201, null, null] : noStop, scopes[0]);
    assertEquals(told(started), mayStart ? [201, null, null] : noStart, scopes[0]);
    assertEquals(told(ended), mayStop ? [422, "invalid_state_transition", null] : noStop, scopes[0]);
    assertEquals(told(missing), mayStart ? [404, "not_found", null] : noStart, scopes[0]);
  }
  assertEquals((await downtimesOf(here)).length, 1);
});

Deno.test("keys: stop_runs needs the scope of the STOPs, whether anything runs or not", async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const body = { occurred_at: at("08:00"), ended_at: at("08:05"), stop_runs: true };
  const { client } = await newKey({ role: "machine", workplaces: [here], scopes: ["downtimes:report"] });
  const refused = assertProblem(await open(here, body, client), 403, "forbidden");
  assertEquals(refused.required_scope, "events:report");
  const [item] = await send(client, [{ action_type: "DOWNTIME_START", workplace_name: here, ...body }]);
  assertEquals(item && told(item), [403, "forbidden", "events:report"]);
  assertEquals(await downtimesOf(here), []);
  const both = await newKey({ role: "machine", workplaces: [here], scopes: ["downtimes:report", "events:report"] });
  assertEquals((await report(server, operation, "START")).status, 201);
  await opened(here, { stop_runs: true }, both.client);
});

Deno.test("keys: downtimes and their events name the key, and a machine's key is a machine", async () => {
  const here = await aWorkplace();
  for (const [role, source] of [["machine", "MACHINE"], ["operator", "OPERATOR"]] as const) {
    const { id, client } = await newKey({
      ...{ name: `Line ${role}`, role, workplaces: [here], scopes: ["downtimes:report", "events:read"] },
    });
    const downtime = await opened(here, {}, client);
    const reported_by = { kind: "integration" as const, id, name: `Line ${role}` };
    const reporter = { source, user_id: null, user_email: null, reported_by, person: null };
    assertEquals(pick(downtime, "source", "user_id", "user_email", "reported_by", "person"), reporter);
    assertEquals((await command(downtime, "end", {}, client)).status, 200);
    const read = await client.get<Downtime>(`/downtimes/v1/${downtime.id}`);
    assertEquals(pick(read.body, "source", "user_id", "user_email", "reported_by", "person"), reporter);
  }
});

Deno.test("keys: a key neither learns nor repeats under its id what another key has reported", async () => {
  const operation = await newOperation();
  const here = operation.workplace_name ?? "";
  const [one, other] = await Promise.all(
    [1, 2].map(() => newKey({ role: "machine", workplaces: [here], scopes: ["downtimes:report", "events:report"] })),
  );
  assert(one && other);
  const id = crypto.randomUUID();
  const span = { id, occurred_at: at("08:00"), ended_at: at("08:05") };
  const first = await open<Downtime>(here, span, one.client);
  assertEquals(first.status, 201, first.text);
  const foreign = await open<ProblemBody>(here, span, other.client);
  assertProblem(foreign, 409, "idempotency_conflict");
  assert(!foreign.text.includes("reported_by"), foreign.text);
  const again = await open<Downtime>(here, span, one.client);
  assertEquals([again.status, again.body], [200, first.body], again.text);
  const [item] = await send(other.client, [{ action_type: "DOWNTIME_START", workplace_name: here, ...span }]);
  assertEquals(item && told(item), [409, "idempotency_conflict", null]);

  const classifying = { id: crypto.randomUUID(), reason_code: await aDowntimeReason() };
  assertEquals((await command(first.body, "classify", classifying, one.client)).status, 200);
  assertProblem(await command(first.body, "classify", classifying, other.client), 409, "idempotency_conflict");
  const cancelling = { id: crypto.randomUUID(), note: "None" };
  assertEquals((await command(first.body, "cancel", cancelling, one.client)).status, 200);
  assertProblem(await command(first.body, "cancel", cancelling, other.client), 409, "idempotency_conflict");

  const said = { id: crypto.randomUUID() };
  assertEquals((await signal(here, "RUNNING", at("09:00"), said, one.client)).status, 201);
  assertEquals((await signal(here, "RUNNING", at("09:00"), said, one.client)).status, 200);
  assertProblem(await signal(here, "RUNNING", at("09:00"), said, other.client), 409, "idempotency_conflict");

  const event = { id: crypto.randomUUID() };
  assertEquals((await report(one.client, operation, "START", event)).status, 201);
  assertEquals((await report(one.client, operation, "START", event)).status, 200);
  assertProblem(await report(other.client, operation, "START", event), 409, "idempotency_conflict");
});

Deno.test("keys: machine states are for machines and for API keys that may report", async () => {
  const here = await aWorkplace();
  const scopes = ["downtimes:report"];
  for (const role of ["machine", "operator", "supervisor", "manager"] as const) {
    const { client } = await newKey({ role, workplaces: [here], scopes });
    const { status, text } = await signal(here, "RUNNING", undefined, {}, client);
    assert(status === 201 || status === 200, text);
    assertEquals((await client.get("/profiles/v1/me")).body.may, {
      ...{ workplace_access: role === "manager" ? ["*"] : [here], actions: [], machine_states: true },
      downtime_actions: ["DOWNTIME_START", "DOWNTIME_END", "DOWNTIME_CLASSIFY", "DOWNTIME_SPLIT", "DOWNTIME_CANCEL"],
    });
  }
  const readonly = await newKey({ role: "readonly", workplaces: [here], scopes });
  const events = await newKey({ role: "machine", workplaces: [here], scopes: ["events:report"] });
  const operator = await newUser({ role: "operator", workplaces: [here] });
  for (const { client } of [readonly, events, operator]) {
    assertProblem(await signal(here, "DOWN", undefined, {}, client), 403, "forbidden");
  }
  for (const [{ client }, reports] of [[readonly, 0], [events, 0], [operator, 5]] as const) {
    const { may } = (await client.get<{ may: { downtime_actions: string[]; machine_states: boolean } }>(
      "/profiles/v1/me",
    )).body;
    assertEquals([may.downtime_actions.length, may.machine_states], [reports, false]);
  }
});

Deno.test("keys: a supervisor's key learns nothing of the downtimes, states and reports of another workplace", async () => {
  const [here, there] = [await aWorkplace(), await aWorkplace()];
  const scopes = ["downtimes:report", "events:read", "reports:read"];
  const { client } = await newKey({ role: "supervisor", workplaces: [here], scopes });
  const hidden = await opened(there, { occurred_at: at("08:00") });
  const lists = async () => {
    const window = { from: at("00:00"), to: at("12:00") };
    const all = await Promise.all([
      client.get("/downtimes/v1", { query: { limit: 500 } }),
      client.get("/downtimes/v1", { query: { open: true, count: "exact" } }),
      client.get("/reports/v1/losses", { query: window }),
      client.get("/reports/v1/oee", { query: window }),
      client.get("/events/v1/feed", { query: { include: "downtimes", limit: 1 } }),
    ]);
    for (const { status, text } of all) {
      assertEquals(status, 200, text);
      assert(!text.includes(there) && !text.includes(hidden.id), text);
    }
    assertEquals(all[1]?.headers.get("x-total-count"), "0");
  };
  await lists();
  const words = ({ status, text }: { status: number; text: string }) =>
    `${status} ${text.replace(/"instance":"[^"]*"/, "")}`;
  const missing = { id: crypto.randomUUID() };
  const nowhere = crypto.randomUUID();
  const pairs: [Promise<{ status: number; text: string }>, Promise<{ status: number; text: string }>][] = [
    [client.get(`/downtimes/v1/${hidden.id}`), client.get(`/downtimes/v1/${missing.id}`)],
    [command(hidden, "end", {}, client), command(missing, "end", {}, client)],
    [command(hidden, "cancel", { note: "No" }, client), command(missing, "cancel", { note: "No" }, client)],
    [open(there, {}, client), open(nowhere, {}, client)],
    [signal(there, "DOWN", undefined, {}, client), signal(nowhere, "DOWN", undefined, {}, client)],
    [
      client.get("/reports/v1/summary", { query: { workplace_name: there } }),
      client.get("/reports/v1/summary", { query: { workplace_name: nowhere } }),
    ],
  ];
  for (const [seen, unknown] of pairs) {
    const answer = words(await seen);
    assertEquals(answer, words(await unknown));
    assert(answer.startsWith("404"), answer);
  }
  await lists();
});
