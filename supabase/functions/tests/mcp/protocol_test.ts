/** The protocol: both eras by their official clients, malformed messages, and what a browser and a credential need. */
import { Client as CurrentClient, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as EarlierClient } from "@modelcontextprotocol/sdk/client";
// its package names the types of this module without .js
// @ts-types="@modelcontextprotocol/sdk/client/streamableHttp"
import { StreamableHTTPClientTransport as EarlierTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { tools } from "../../mcp/tools.ts";
import { newKey } from "../support/api_keys.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  env,
  newOperation,
  newUser,
  server,
  unique,
  type User,
} from "../support/harness.ts";
import { currentRevision, earlierRevision, Model, resultOf } from "../support/model.ts";

const url = `${env.functionsUrl}/mcp/v1`;

/** Arguments with which each tool answers, in the order of the list. */
async function callOfEachTool(): Promise<[name: string, args: Record<string, unknown>][]> {
  const { order_no, asset_id, operation_no, workplace_name } = await newOperation();
  const subject = { order_no, asset_id, operation_no };
  const window = { workplace_names: [workplace_name], from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" };
  return [
    ["floor_now", { workplace_names: [workplace_name] }],
    ["find_operations", { order_no }],
    ["get_operation", subject],
    ["get_queue", { workplace_name }],
    ["list_events", { order_no }],
    ["get_losses", window],
    ["get_oee", window],
    ["find_problems", { limit: 1 }],
    ["list_reason_codes", { limit: 1 }],
    ["explain_error", { code: "workplace_busy" }],
    ["report_event", { action_type: "START", ...subject, workplace_name }],
    ["take_transition", { action: "START", ...subject }],
    ["report_downtime", { action_type: "DOWNTIME_START", workplace_name }],
    ["correct_operation", { action_type: "CORRECT", ...subject, workplace_name, qty_good: 1 }],
  ];
}

const admin = (): Promise<User> => newUser({ role: "admin" });
const bearer = (token: string) => ({ requestInit: { headers: { authorization: `Bearer ${token}` } } });

Deno.test("mcp: the official client of 2026-07-28 lists and calls every tool", async () => {
  const { token } = await admin();
  const client = new CurrentClient({ name: "current", version: "1" }, {
    versionNegotiation: { mode: { pin: currentRevision } },
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), bearer(token)));
  const calls = await callOfEachTool();
  const { tools: listed } = await client.listTools();
  assertEquals(listed.map(({ name }) => name), calls.map(([name]) => name));
  assertStringIncludes(client.getInstructions() ?? "", "role admin");
  for (const [name, args] of calls) {
    const result = await client.callTool({ name, arguments: args });
    // the client has validated structuredContent; the correction of an operation that did not start is refused
    const { content, problem } = resultOf(name, JSON.parse(JSON.stringify(result)));
    assertEquals(problem?.code, name === "correct_operation" ? "invalid_state_transition" : undefined, name);
    assert(content !== undefined || problem !== undefined, name);
  }
  await client.close();
});

Deno.test("mcp: the official client of 2025-11-25 lists and calls every tool", async () => {
  const { token } = await admin();
  const client = new EarlierClient({ name: "earlier", version: "1" });
  const transport = new EarlierTransport(new URL(url), bearer(token));
  await client.connect(transport);
  assertEquals(transport.protocolVersion, earlierRevision);
  assertStringIncludes(client.getInstructions() ?? "", "role admin");
  const calls = await callOfEachTool();
  const { tools: listed } = await client.listTools();
  assertEquals(listed.map(({ name }) => name), calls.map(([name]) => name));
  for (const [name, args] of calls) {
    const result = await client.callTool({ name, arguments: args });
    const { problem } = resultOf(name, JSON.parse(JSON.stringify(result)));
    assertEquals(problem?.code, name === "correct_operation" ? "invalid_state_transition" : undefined, name);
  }
  await client.close();
});

Deno.test("mcp: server/discover names plant, zone, shift, role, workplaces and what may be written", async () => {
  const place = unique("Place");
  await newOperation({ workplace_name: place });
  const calendar = unique("Calendar");
  const allDay = {
    shift_code: "DAY",
    weekdays: [1, 2, 3, 4, 5, 6, 7],
    start_time: "00:00",
    end_time: "00:00",
    breaks: [],
    valid_from: "2020-01-01",
  };
  assertEquals(
    (await server.post("/calendars/v1", { name: calendar, time_zone: "Europe/Amsterdam", shifts: [allDay] })).status,
    201,
  );
  assertEquals((await server.patch(`/workplaces/v1/${place}`, { calendar_name: calendar })).status, 200);
  const instructions = async (role: "readonly" | "operator") => {
    const { client } = await newUser({ role, workplaces: [place] });
    const { result } = await new Model(client).send("server/discover");
    return String(result?.instructions);
  };
  const operator = await instructions("operator");
  assertStringIncludes(operator, "The time zone is Europe/Amsterdam");
  assertStringIncludes(operator, `Shift "DAY" of calendar "${calendar}" takes place now`);
  assertStringIncludes(operator, `a user of role operator with access to the workplaces "${place}"`);
  assertStringIncludes(operator, "write with report_event, take_transition, report_downtime, correct_operation");
  assertStringIncludes(await instructions("readonly"), "You cannot write");
});

Deno.test("mcp: the list of tools is that of the caller, in one order, with annotations", async () => {
  const names = async (model: Model) => {
    const { result } = await model.send("tools/list");
    return (result?.tools as { name: string }[]).map(({ name }) => name);
  };
  const all = tools.map(({ name }) => name);
  const reads = all.slice(0, 10);
  const { workplace_name } = await newOperation();
  const workplaces = [workplace_name ?? ""];
  const of = async (role: "readonly" | "operator" | "admin") => new Model((await newUser({ role, workplaces })).client);
  assertEquals(await names(await of("admin")), all);
  assertEquals(await names(await of("operator")), all);
  assertEquals(await names(await of("readonly")), reads);
  assertEquals(await names(new Model((await newUser()).client)), ["explain_error"]);
  const key = await newKey({ role: "operator", workplaces, scopes: ["events:report"] });
  assertEquals(await names(new Model(key.client)), [
    "list_reason_codes",
    "explain_error",
    "report_event",
    "take_transition",
    "correct_operation",
  ]);
  const { result } = await (await of("admin")).send("tools/list");
  const listed = result?.tools as {
    name: string;
    annotations: Record<string, boolean>;
    inputSchema: { type: string };
  }[];
  for (const { name, annotations, inputSchema } of listed) {
    assertEquals(annotations.openWorldHint, false, name);
    assertEquals(annotations.readOnlyHint, reads.includes(name), name);
    assertEquals(annotations.idempotentHint, true, name);
    assertEquals(
      annotations.destructiveHint,
      ["take_transition", "report_downtime", "correct_operation"].includes(name),
    );
    assertEquals(inputSchema.type, "object", name);
  }
  assertEquals([result?.ttlMs, result?.cacheScope], [60_000, "private"]);
});

/** Sends a body as it is. */
async function post(token: string, body: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...headers,
    },
    body,
  });
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text() || "null") };
}

Deno.test("mcp: a malformed message is an error of JSON-RPC", async (t) => {
  const { token } = await newUser();
  const cases: [what: string, body: string, status: number, code: number][] = [
    ["no JSON", "{", 400, -32700],
    ["duplicate names", `{"jsonrpc":"2.0","jsonrpc":"2.0"}`, 400, -32700],
    ["no body", "", 400, -32700],
    ["an array of messages", `[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]`, 400, -32600],
    ["no object", "1", 400, -32600],
    ["another version of JSON-RPC", `{"jsonrpc":"1.0","id":1,"method":"tools/list"}`, 400, -32600],
    ["an unknown method", `{"jsonrpc":"2.0","id":1,"method":"tools/burn"}`, 200, -32601],
    ["an unknown tool", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"drop_table"}}`, 200, -32602],
    ["a tool without a name", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`, 200, -32602],
  ];
  for (const [what, body, status, code] of cases) {
    await t.step(what, async () => {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
        },
        body,
      });
      const text = await response.text();
      // the revision of 2025 answers by one event of a stream
      const json = JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
      assertEquals([response.status, json.error?.code], [status, code], text);
    });
  }
});

Deno.test("mcp: nothing is subscribed, and nothing but POST is answered", async () => {
  const { token, client } = await newUser();
  const { error } = await new Model(client).send("subscriptions/listen", { notifications: { toolsListChanged: true } });
  assertEquals(error?.code, -32603);
  for (const method of ["GET", "DELETE", "PUT"]) {
    const response = await fetch(url, { method, headers: { authorization: `Bearer ${token}` } });
    await response.body?.cancel();
    assertEquals([response.status, response.headers.get("allow")], [405, "POST, OPTIONS"]);
  }
});

Deno.test("mcp: pages of other origins are refused, those of the project and of this machine are not", async () => {
  const { token } = await newUser();
  const call = `{"jsonrpc":"2.0","id":1,"method":"ping"}`;
  for (const origin of ["https://evil.example.com", "null", "http://localhost.evil.example.com"]) {
    const { status, headers, body } = await post(token, call, { origin });
    assertEquals([status, body.code, headers.get("access-control-allow-origin")], [403, "forbidden", null], origin);
  }
  for (const origin of ["http://localhost:6274", "http://127.0.0.1:8080", new URL(url).origin]) {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        origin,
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
      },
      body: call,
    });
    await response.body?.cancel();
    assertEquals([response.status, response.headers.get("access-control-allow-origin")], [200, origin]);
  }
  const preflight = await fetch(url, {
    method: "OPTIONS",
    headers: { origin: "http://localhost:6274", "access-control-request-method": "POST" },
  });
  await preflight.body?.cancel();
  const accepted = preflight.headers.get("access-control-allow-headers")?.toLowerCase() ?? "";
  for (const header of ["authorization", "mcp-protocol-version", "mcp-method", "mcp-name"]) {
    assertStringIncludes(accepted, header);
  }
});

Deno.test("mcp: a client without a credential finds out where to get one", async () => {
  const response = await fetch(url, { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
  await response.body?.cancel();
  assertEquals(response.status, 401);
  const [, metadataUrl] = /^Bearer resource_metadata="([^"]+)"$/.exec(response.headers.get("www-authenticate") ?? "") ??
    [];
  assertEquals(metadataUrl, `${url}/oauth-protected-resource`);
  const metadata = await fetch(metadataUrl ?? "");
  assertEquals(metadata.status, 200);
  assertEquals(metadata.headers.get("access-control-allow-origin"), "*");
  assertEquals(await metadata.json(), {
    resource: url,
    authorization_servers: [`${env.supabaseUrl}/auth/v1`],
    bearer_methods_supported: ["header"],
  });
});

Deno.test("mcp: an invalid token or key is 401", async () => {
  for (const token of ["x.y.z", "mes_00000000000000000000000000000000_x"]) {
    const { status, headers } = await post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`);
    assertEquals(status, 401);
    assertMatch(headers.get("www-authenticate") ?? "", /^Bearer resource_metadata=/);
  }
});

Deno.test("mcp: the secret key is refused, since a model acts for somebody", async () => {
  const answer = await new Model({ apikey: env.secretKey }).send("tools/list");
  assertEquals(answer.status, 403);
  assertEquals(JSON.parse(answer.text).code, "forbidden");
});

Deno.test("mcp: a key without the scope of a tool is answered 403 insufficient_scope", async () => {
  const { workplace_name } = await newOperation();
  const key = await newKey({ role: "operator", workplaces: [workplace_name ?? ""], scopes: ["operations:read"] });
  const answer = await new Model(key.client).send("tools/call", {
    name: "get_oee",
    arguments: { from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" },
  });
  assertEquals(answer.status, 403);
  const challenge = answer.headers.get("www-authenticate") ?? "";
  assertStringIncludes(challenge, `error="insufficient_scope"`);
  assertStringIncludes(challenge, `scope="reports:read"`);
  assertStringIncludes(challenge, `resource_metadata="${url}/oauth-protected-resource"`);
});

Deno.test("mcp: answers have a request id, and a tool's refusal names it", async () => {
  const { client } = await newUser({ role: "admin" });
  const answer = await new Model(client).send("tools/call", {
    name: "get_operation",
    arguments: { order_no: unique("O"), asset_id: 1, operation_no: "0010" },
  });
  const { problem } = resultOf("get_operation", answer.result ?? {});
  assertEquals([problem?.code, problem?.status, problem?.blocked_by], ["not_found", 404, "not_found"]);
  assertEquals(problem?.instance, answer.headers.get("x-request-id"));
});
