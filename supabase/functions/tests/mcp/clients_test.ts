/** Clients that a user let in: which ones the plant approves, which pages, and how much they may ask. */
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { startFunctions } from "../support/functions_process.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  type JsonObject,
  newOperation,
  newUser,
  type OperationEvent,
  report,
  server,
  type User,
} from "../support/harness.ts";
import { newKey } from "../support/api_keys.ts";
import { Model } from "../support/model.ts";

/** The key that signs users' tokens: known to the tests on a stack that they started themselves only. */
const signingSecret = Deno.env.get("LOCAL_JWT_SECRET");

/** Returns the token that Supabase Auth gives an OAuth client for this user: their own, with the id of the client. */
async function tokenFor({ token }: User, client_id: string): Promise<string> {
  const { kid } = decodeProtectedHeader(token);
  return await new SignJWT({ ...decodeJwt(token), client_id })
    .setProtectedHeader({ alg: "HS256", typ: "JWT", ...kid === undefined ? {} : { kid } })
    .sign(new TextEncoder().encode(signingSecret));
}

Deno.test({
  name: "mcp: with MCP_CLIENT_IDS, approved clients and API keys are answered, all others get 403 insufficient_scope",
  ignore: signingSecret === undefined,
  async fn() {
    const functions = await startFunctions(["mcp"], { MCP_CLIENT_IDS: "client-a, client-b" });
    try {
      const user = await newUser({ role: "admin" });
      const statusOf = async (token: string) => {
        const answer = await new Model({ token }, { url: `${functions.url}/mcp/v1` }).send("tools/list");
        return [answer.status, answer.headers.get("www-authenticate")?.includes(`error="insufficient_scope"`) ?? false];
      };
      assertEquals(await statusOf(await tokenFor(user, "client-a")), [200, false]);
      assertEquals(await statusOf(await tokenFor(user, "client-b")), [200, false]);
      assertEquals(await statusOf(await tokenFor(user, "client-c")), [403, true]);
      assertEquals(
        await statusOf(user.token),
        [403, true],
        "A session of the user's own is none of an approved client",
      );
      assertEquals(await statusOf((await newKey()).key), [200, false]);
    } finally {
      await functions.end();
    }
  },
});

Deno.test({
  name: "mcp: an event names the OAuth client when the client does not name itself",
  ignore: signingSecret === undefined,
  async fn() {
    const operation = await newOperation();
    const { order_no, asset_id, operation_no, workplace_name } = operation;
    assertEquals((await report(server, operation, "START")).status, 201);
    const token = await tokenFor(await newUser({ role: "admin" }), "client-a");
    const args: JsonObject = { action_type: "STOP", order_no, asset_id, operation_no, workplace_name };
    // a client of 2025-11-25 says its name when it connects only
    const call = async (args: JsonObject) => {
      const { text } = await new Model({ token }).sendEarlier("tools/call", { name: "report_event", arguments: args });
      return JSON.parse(JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? "").result.content[0].text);
    };
    const { confirm_token } = await call(args);
    assertEquals((await call({ ...args, confirm_token })).outcome, "EXECUTED");
    const { body: [event] } = await server.get<OperationEvent[]>(`/events/v1?order_no=${order_no}&limit=1`);
    assertEquals(event?.operation_data, { via: "mcp", client: "client-a" });
  },
});

Deno.test("mcp: with CORS_ORIGINS, pages of these origins are answered, and not those of this machine", async () => {
  const functions = await startFunctions(["mcp"], { CORS_ORIGINS: "https://planner.example.com" });
  try {
    const { key } = await newKey();
    const statusOf = async (origin: string) => {
      const model = new Model({ token: key }, { url: `${functions.url}/mcp/v1`, headers: { origin } });
      const { status, headers } = await model.send("tools/list");
      return [status, headers.get("access-control-allow-origin")];
    };
    assertEquals(await statusOf("https://planner.example.com"), [200, "https://planner.example.com"]);
    assertEquals(await statusOf("http://localhost:6274"), [403, null]);
    assertEquals(await statusOf("https://evil.example.com"), [403, null]);
  } finally {
    await functions.end();
  }
});

Deno.test({
  name: "mcp: models have limits of their own, by what a tool costs, and leave those of their user alone",
  ignore: !hasDatabase,
  async fn() {
    const operation = await newOperation();
    const { order_no, asset_id, operation_no, workplace_name } = operation;
    const user = await newUser({ role: "operator", workplaces: [workplace_name ?? ""] });
    await withDatabase(async (sql) => {
      await sql`insert into app.rate_limit_overrides (caller, class, units_per_minute, burst)
        values (${`model:${user.id}`}, 'writes', 1, 2), (${`model:${user.id}`}, 'heavy', 25, 50)`;
    });
    const model = new Model(user.client);
    const start = { name: "take_transition", arguments: { action: "START", order_no, asset_id, operation_no } };
    const now = { name: "floor_now", arguments: { workplace_names: [workplace_name] } };
    const statuses = async (params: JsonObject) => {
      const answers = [];
      // the first answer of a caller tells the isolate the limits
      for (let call = 0; call < 4; call++) answers.push(await model.send("tools/call", params));
      return answers.map(({ status }) => status);
    };
    assertEquals(await statuses(start), [200, 200, 429, 429], "2 writes at once");
    assertEquals(await statuses(now), [200, 200, 429, 429], "2 reports at once");
    const { status, headers, text } = await model.send("tools/call", start);
    assertEquals([status, JSON.parse(text).policy], [429, "writes"]);
    assert(Number(headers.get("retry-after")) > 0);
    assertStringIncludes(headers.get("ratelimit-policy") ?? "", `"writes"`);
    // reading goes on, and the user's own requests do too
    await model.ask("explain_error", { code: "rate_limited" });
    assertEquals((await report(user.client, operation, "START")).status, 201);
  },
});
