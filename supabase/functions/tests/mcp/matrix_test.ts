/** Every tool x every caller: the refusals, and for lists the rows, are those of REST. */
import type { Downtime } from "../../_shared/downtime.ts";
import { type ApiKeyOfTest, newKey } from "../support/api_keys.ts";
import { type Cast, newCast } from "../support/cast.ts";
import {
  type Answer,
  assert,
  assertEquals,
  assertStringIncludes,
  type Client,
  type JsonObject,
  newOperation,
  operationPath,
  type OperationWithActions,
  report,
  server,
} from "../support/harness.ts";
import { asOverRest, Model, resultOf } from "../support/model.ts";

/** A started operation at the cast's workplace. */
type Plant = OperationWithActions & { here: string };

interface Row {
  tool: string;
  args: (plant: Plant, caller: number) => JsonObject;
  rest: (client: Client, plant: Plant, caller: number) => Promise<Answer<unknown>>;
  /** Picks what REST answers out of the tool's answer; undefined where the answers are of a moment. */
  same?: (content: JsonObject) => unknown;
}

const window = { from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" };

const subjectOf = ({ order_no, asset_id, operation_no }: Plant) => ({ order_no, asset_id, operation_no });

/** Five minutes of the past that no other caller's downtime overlaps. */
const pastStop = (caller: number) => {
  const startMs = Date.now() - (caller + 1) * 600_000;
  const at = (ms: number) => new Date(ms).toISOString();
  return { occurred_at: at(startMs), ended_at: at(startMs + 300_000) };
};

const reported = (tool: string, action_type: string, more: JsonObject): Row => ({
  tool,
  args: (plant) => ({ action_type, ...subjectOf(plant), workplace_name: plant.here, ...more }),
  rest: (client, plant) =>
    client.post("/events/v1", {
      action_type,
      ...subjectOf(plant),
      workplace_name: plant.here,
      ...more,
      dry_run: true,
    }),
});

const transition = (action: string, more: JsonObject = {}): Row => ({
  tool: "take_transition",
  args: (plant) => ({ action, ...subjectOf(plant), ...more }),
  rest: (client, plant) => client.post(`${operationPath(plant)}/transitions`, { action, ...more, dry_run: true }),
});

// deno-fmt-ignore
const rows: Row[] = [
  { tool: "floor_now", args: ({ here }) => ({ workplace_names: [here] }),
    rest: (client, { here }) => client.get("/reports/v1/summary", { query: { workplace_name: here } }) },
  { tool: "find_operations", args: ({ here }) => ({ workplace_name: [here] }), same: ({ operations }) => operations,
    rest: (client, { here }) => client.get("/operations/v1", { query: { workplace_name: here } }) },
  { tool: "get_operation", args: subjectOf, same: ({ operation }) => operation,
    rest: (client, plant) => client.get(operationPath(plant)) },
  { tool: "get_operation", args: subjectOf, same: ({ events }) => events,
    rest: async (client, plant) => {
      const read = await client.get<unknown>(operationPath(plant));
      return read.status === 200 ? await client.get("/events/v1", { query: subjectOf(plant) }) : read;
    } },
  { tool: "get_queue", args: ({ here }) => ({ workplace_name: here }), same: ({ queue }) => queue,
    rest: (client, { here }) => client.get(`/workplaces/v1/${here}/queue`) },
  { tool: "list_events", args: ({ order_no }) => ({ order_no }), same: ({ events }) => events,
    rest: (client, { order_no }) => client.get("/events/v1", { query: { order_no } }) },
  { tool: "get_losses", args: ({ here }) => ({ workplace_names: [here], ...window }), same: (report) => report,
    rest: (client, { here }) => client.get("/reports/v1/losses", { query: { workplace_name: here, ...window } }) },
  { tool: "get_oee", args: ({ here }) => ({ workplace_names: [here], ...window, by: ["workplace"] }), same: (report) => report,
    rest: (client, { here }) =>
      client.get("/reports/v1/oee", { query: { workplace_name: here, ...window, by: "workplace" } }) },
  { tool: "find_problems", args: () => ({}),
    rest: (client) => client.get("/operations/v1?open_longer_than_h=12&limit=1") },
  { tool: "list_reason_codes", args: () => ({ limit: 1 }), rest: (client) => client.get("/reason-codes/v1?limit=1") },
  reported("report_event", "REPORT_QUANTITY", { qty_good: 1 }),
  reported("report_event", "STOP", { reason_code: "UNKNOWN_CODE" }),
  reported("report_event", "START", {}),
  reported("correct_operation", "CORRECT", { qty_good: 1 }),
  reported("correct_operation", "REVERSE", { reverses_event_id: "9b2c4d1e-6f70-4a85-b3c9-0d1e2f3a4b5c" }),
  transition("STOP"),
  transition("START"),
  transition("RELEASE"),
  transition("HOLD"),
  transition("HOLD", { reason_code: "UNSPECIFIED" }),
  transition("CANCEL", { reason_code: "UNSPECIFIED" }),
  { tool: "report_downtime",
    args: ({ here: workplace_name }, caller) => ({ action_type: "DOWNTIME_START", workplace_name, ...pastStop(caller) }),
    rest: (client, { here: workplace_name }, caller) =>
      client.post<Downtime>("/downtimes/v1", { workplace_name, ...pastStop(caller) }) },
];

async function newPlant({ here }: Pick<Cast, "here">): Promise<Plant> {
  const operation = await newOperation({ workplace_name: here });
  assertEquals((await report(server, operation, "START")).status, 201);
  const { body } = await server.get<OperationWithActions>(operationPath(operation));
  return { ...body, here };
}

/** Leaves out what two answers of different moments differ in. */
function ofAnyMoment(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ofAnyMoment);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([name]) => !["t_actual_processing_min", "duration_min"].includes(name))
      .map(([name, one]) => [name, ofAnyMoment(one)]),
  );
}

Deno.test("tools: refuse whom REST refuses, for the same reason, and answer the rest the same", async (t) => {
  const cast = await newCast();
  const plant = await newPlant(cast);
  for (const [caller, { name, client }] of cast.members.entries()) {
    const model = new Model(client);
    for (const row of rows) {
      await t.step(`${row.tool} ${JSON.stringify(row.args(plant, 0)).slice(0, 50)} by ${name}`, async () => {
        const args = row.args(plant, caller);
        const answer = await model.send("tools/call", { name: row.tool, arguments: args });
        if (name === "secret key") return assertEquals(answer.status, 403);
        const rest = await row.rest(client, plant, caller);
        if (rest.status === 401) return assertEquals(answer.status, 401);
        assertEquals(answer.status, 200, answer.text);
        const { content, problem } = resultOf<JsonObject>(row.tool, answer.result ?? {});
        if (rest.status >= 400) {
          const { code, detail } = rest.body as { code: string; detail: string };
          assertEquals([problem?.code, problem?.status], [code, rest.status], answer.text);
          assertEquals(problem?.detail, detail);
          return;
        }
        assert(content !== undefined, `REST answers ${rest.status}, the tool: ${answer.text}`);
        if (row.same !== undefined) {
          assertEquals(ofAnyMoment(asOverRest(row.same(content))), ofAnyMoment(rest.body));
        }
      });
    }
  }
});

Deno.test("tools: API keys are refused for the scopes for which REST refuses them", async (t) => {
  const cast = await newCast();
  const plant = await newPlant(cast);
  const keys: [scope: string, key: ApiKeyOfTest][] = await Promise.all(
    [
      "operations:read",
      "events:read",
      "reports:read",
      "events:report",
      "events:correct",
      "downtimes:report",
      "people:act",
    ]
      .map(async (scope): Promise<[string, ApiKeyOfTest]> => [
        scope,
        await newKey({ role: "supervisor", workplaces: [plant.here], scopes: [scope] }),
      ]),
  );
  for (const [caller, [scope, { client }]] of keys.entries()) {
    for (const row of rows) {
      // a key without the scope of events gets the operation without them
      if (row.tool === "get_operation" && row.same?.({ events: "x" }) === "x") continue;
      await t.step(`${row.tool} ${JSON.stringify(row.args(plant, 0)).slice(0, 50)} with ${scope}`, async () => {
        const args = row.args(plant, caller + 20);
        const answer = await new Model(client).send("tools/call", { name: row.tool, arguments: args });
        const rest = await row.rest(client, plant, caller + 20);
        const body = rest.body as { code?: string; required_scope?: string; required_scopes?: string[] };
        const scopes = body.required_scopes ?? [body.required_scope];
        if (rest.status === 403 && scopes[0] !== undefined) {
          assertEquals(answer.status, 403, answer.text);
          assertStringIncludes(answer.headers.get("www-authenticate") ?? "", `scope="${scopes.join(" ")}"`);
          return;
        }
        const { content, problem } = resultOf<JsonObject>(row.tool, answer.result ?? {});
        if (rest.status >= 400) return assertEquals(problem?.code, body.code, answer.text);
        assert(content !== undefined, answer.text);
      });
    }
  }
});

Deno.test("tools: parts that the scopes of a key do not open are null", async () => {
  const { here } = await newCast();
  const plant = await newPlant({ here });
  const keyOf = async (...scopes: string[]) =>
    new Model((await newKey({ role: "manager", workplaces: ["*"], scopes })).client);
  const reader = await keyOf("operations:read");
  assertEquals((await reader.ask("get_operation", subjectOf(plant))).events, null);
  const { unexplained_stops, failing_webhooks } = await reader.ask("find_problems");
  assertEquals([unexplained_stops, failing_webhooks], [null, null]);
  const { running, stopped } = await (await keyOf("reports:read")).ask("floor_now", { workplace_names: [here] });
  assertEquals([running, stopped], [null, []]);
  const all = await keyOf("operations:read", "events:read", "webhooks:manage");
  assert((await all.ask("get_operation", subjectOf(plant))).events !== null);
  assert((await all.ask("find_problems", { limit: 1 })).failing_webhooks !== null);
});
