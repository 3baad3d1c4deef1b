/** Problems: the table, what errors of the database become, what an answer and the log never tell, and outages. */
import {
  type Answer,
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertProblem,
  env,
  newOperation,
  newUser,
  operationPath,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { PostgrestError } from "@supabase/supabase-js";
import { problemOf } from "../../_shared/database.ts";
import { type ProblemCode, problemTable } from "../../_shared/problems.ts";
import { race } from "../support/racing.ts";
import { connect } from "../../../../local/postgres/bootstrap.ts";
import { holdsWithin } from "../../../../local/system/poll.ts";
import { startStack } from "../../../../local/stack.ts";

const errorWith = (code: string, message = "secret words of the database", details = "") =>
  new PostgrestError({ code, message, details, hint: "a hint" });

Deno.test("Errors: become the problem of their SQLSTATE or PostgREST code", () => {
  const expected: Record<string, ProblemCode> = {
    // connection and server: safe to try again
    ...Object.fromEntries(
      [
        "08000",
        "08001",
        "08003",
        "08004",
        "08006",
        "08P01",
        "57P01",
        "57P02",
        "57P03",
        "57P04",
        "57P05",
        "57014",
        "55P03",
        "40P01",
      ]
        .concat(["40001", "53000", "53100", "53200", "53300", "53400", "25006", "25P03", "25P04"])
        // a SQL function that the database does not have yet
        .concat(["PGRST000", "PGRST001", "PGRST002", "PGRST003", "PGRST202", ""])
        .map((code) => [code, "unavailable"]),
    ),
    ...Object.fromEntries(["PGRST300", "PGRST301", "PGRST302", "PGRST303"].map((code) => [code, "unauthenticated"])),
    "23505": "idempotency_conflict",
    ...Object.fromEntries(
      ["23000", "23001", "23502", "23503", "23514", "23P01"].map((code) => [code, "integrity_error"]),
    ),
    ...Object.fromEntries(
      ["54000", "54001", "22001", "22003", "22007", "22008", "22021", "22P02", "22P05", "22023", "2202E"]
        .map((code) => [code, "malformed_request"]),
    ),
    "42501": "forbidden",
  };
  for (const [code, problem] of Object.entries(expected)) {
    const become = problemOf(errorWith(code));
    assertEquals("code" in become ? become.code : "internal_error", problem, `SQLSTATE "${code}"`);
    assertNotMatch(become.message, /secret|hint/);
  }
});

Deno.test("Errors: become unavailable when the Data API finds a token issued in the future", () => {
  for (const message of ["JWT issued at future", "JWT not yet valid"]) {
    const become = problemOf(errorWith("PGRST303", message));
    assertEquals("code" in become ? become.code : "internal_error", "unavailable");
  }
});

Deno.test("Errors: become internal_error when they are faults of the server", () => {
  for (
    const code of [
      "42883",
      "42P01",
      "42601",
      "P0001",
      "P0002",
      "XX000",
      "0A000",
      "21000",
      "25P02",
      "PGRST100",
      "PGRST203",
      "PT999",
    ]
  ) {
    assertEquals("code" in problemOf(errorWith(code)), false, `SQLSTATE ${code}`);
  }
});

Deno.test("Errors: become the problem that SQL raises, with its members", () => {
  const become = problemOf(errorWith("PT412", "stale_version", '{"detail": "It has changed", "current_version": 4}'));
  assert("code" in become);
  assertEquals([become.code, become.detail, become.more], ["stale_version", "It has changed", { current_version: 4 }]);
});

Deno.test("The table of problems has the codes and statuses of the HTTP contract", () => {
  const contract: Record<number, string> = {
    400: "integrity_error malformed_json malformed_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found unknown_route",
    405: "method_not_allowed",
    406: "not_acceptable",
    409:
      "already_running ambiguous_operation duplicate_operation duplicate_profile endpoint_disabled idempotency_conflict in_use operation_blocked out_of_order planned_elsewhere workplace_busy",
    410: "feed_reset",
    412: "stale_version",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "idempotency_key_reused invalid_quantity invalid_state_transition reason_required validation_failed",
    426: "upgrade_required",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
  };
  const table = Object.entries(problemTable);
  for (const [status, codes] of Object.entries(contract)) {
    const here = table.filter(([, kind]) => kind.status === Number(status)).map(([code]) => code);
    // codes that later resources bring may join
    assertEquals(codes.split(" ").filter((code) => !here.includes(code)), [], status);
  }
  const statuses = Object.keys(contract).map(Number);
  assertEquals(table.filter(([, { status }]) => !statuses.includes(status)), []);
});

/** Words that reveal the implementation. */
const innards = new RegExp(
  [
    "mes_operations|operation_events|operation_runs|idempotency_keys|public\\.|auth\\.users|\\bapp\\.|pg_|plpgsql|postgres|pgrst|supabase",
    "\\bselect\\b|\\binsert\\b|\\bupdate \\w+ set|constraint|violates|foreign key|relation|SQLSTATE|syntax error at",
    '\\.ts:\\d|\\.js:\\d|node_modules|file://|\\bat \\w+ \\(|"hint"|"stack"|undefined',
  ].join("|"),
  "i",
);

Deno.test("Problems: contain no SQL, table names, hints or stack traces", async () => {
  const running = await newOperation();
  await report(server, running, "START");
  const path = operationPath(running);
  const nobody = crypto.randomUUID();
  const operator = (await newUser({ role: "operator", workplaces: [running.workplace_name ?? ""] })).client;
  const key = { order_no: unique("O"), asset_id: 1, operation_no: "1" };
  const answers = await Promise.all([
    report(server, running, "START"),
    report(server, running, "STOP", { user_id: nobody }),
    report(server, running, "STOP", { reason_code: "NOPE" }),
    report(server, running, "STOP", { occurred_at: "1970-01-01T00:00:00Z" }),
    report(server, running, "REPORT_QUANTITY", { qty_good: 2_147_483_647 }),
    report(server, { ...running, order_no: unique("O") }, "STOP"),
    server.post("/profiles/v1", { id: nobody }),
    server.post("/operations/v1", { ...key, qty_processed: 1, qty_scrap: 2 }),
    server.post("/operations/v1", {
      ...key,
      planned_start_at: "2026-01-02T00:00:00Z",
      planned_end_at: "2026-01-01T00:00:00Z",
    }),
    server.post("/operations/v1", running),
    server.post("/operations/v1", {
      ...key,
      status: "FINISHED",
      actual_start_at: "2026-01-02T00:00:00Z",
      actual_end_at: "2026-01-01T00:00:00Z",
    }),
    server.patch(path, { status: "PLANNED" }),
    server.patch(path, { qty_scrap: 5 }),
    server.patch(path, { activity_code: "A" }, { headers: { "if-match": '"99"' } }),
    server.delete(path),
    operator.patch(path, { qty_desired: 7 }),
    operator.delete(path),
    operator.post("/operations/v1", key),
    server.get("/operations/v1", { query: { cursor: "eyJhbGciOiJIUzI1NiJ9.e30.x" } }),
    server.get(`/events/v1/${nobody}`),
    server.get("/operations/v1/x"),
    server.request("PUT", path, { body: {} }),
  ]);
  for (const { status, text } of answers) {
    assert(status >= 400 && status < 500, text);
    assertNotMatch(text.replaceAll(env.functionsUrl, ""), innards);
  }
});

interface Told {
  status: number;
  retryAfter: string | null;
  requestId: string | null;
  text: string;
  ms: number;
}

Deno.test("Log, internal errors and outages of a stack of its own", async (t) => {
  const log: string[] = [];
  const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: (line) => log.push(line) });
  const send = async (method: string, path: string, headers: Record<string, string>, body?: unknown): Promise<Told> => {
    const started = performance.now();
    const answer = await fetch(`${stack.url}${path}`, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    const { headers: told } = answer;
    const ms = performance.now() - started;
    return {
      status: answer.status,
      retryAfter: told.get("retry-after"),
      requestId: told.get("x-request-id"),
      text,
      ms,
    };
  };
  const asServer = { apikey: stack.keys.secretKey };
  const operation = { order_no: "O-1", asset_id: 1, operation_no: "0010" };
  const path = "/functions/v1/operations/v1/O-1/1/0010";
  try {
    const signedUp = await send("POST", "/auth/v1/signup", { apikey: stack.keys.publishableKey }, {
      email: "reader@example.com",
      password: crypto.randomUUID(),
    });
    const token = String(JSON.parse(signedUp.text).access_token);
    const asUser = { apikey: stack.keys.publishableKey, authorization: `Bearer ${token}` };

    await t.step("each request has one line, without token, key or body", async () => {
      const marker = unique("marker");
      const key = { "idempotency-key": unique("key") };
      const requests: [string, string, Record<string, string>, unknown?][] = [
        ["POST", "/functions/v1/operations/v1", { ...asServer, ...key }, {
          ...operation,
          status: "RELEASED",
          activity_description: marker,
        }],
        ["POST", "/functions/v1/operations/v1", asUser, { ...operation, activity_description: marker }],
        ["PATCH", path, asServer, { activity_description: marker, nope: marker }],
        ["GET", path, asUser],
        ["GET", `/functions/v1/operations/v1?q=${marker}`, asServer],
        ["GET", path, { authorization: `Bearer ${marker}` }],
      ];
      for (const [method, url, headers, body] of requests) {
        const id = unique("id");
        const before = log.length;
        const told = await send(method, url, { ...headers, "x-request-id": id }, body);
        const lines = () => log.slice(before).filter((one) => one.includes(id));
        assert(await holdsWithin(2000, () => lines().length > 0), `no line for ${method} ${url}`);
        const [line = "", ...others] = lines();
        assertEquals(others, []);
        const { status, ms, route, role } = JSON.parse(line);
        assertEquals(status, told.status);
        assert(typeof ms === "number" && typeof route === "string" && typeof role === "string", line);
      }
      for (const secret of [marker, token, key["idempotency-key"], stack.keys.secretKey, stack.keys.publishableKey]) {
        assertEquals(log.filter((line) => line.includes(secret)), []);
      }
    });
    await t.step("an internal error tells the request id only, the log has the rest", async () => {
      const sql = connect(stack.databaseUrl);
      await sql`alter function public.get_operation(text, integer, text) rename to get_operation_elsewhere`;
      const told = await send("GET", path, asServer);
      await sql`alter function public.get_operation_elsewhere(text, integer, text) rename to get_operation`;
      await sql.end();
      assertEquals(JSON.parse(told.text), {
        type: "/functions/v1/docs/errors/internal_error",
        title: problemTable.internal_error.title,
        status: 500,
        detail: "The server could not process the request",
        instance: told.requestId,
        code: "internal_error",
      });
      const hasCause = () => log.some((line) => line.includes(told.requestId ?? "-") && line.includes("get_operation"));
      assert(await holdsWithin(2000, hasCause), log.join("\n"));
    });

    await t.step("a database that does not get on is 503 within 10 s, and works when it does again", async () => {
      const sql = connect(stack.databaseUrl);
      await sql`begin`;
      await sql`lock table public.mes_operations in access exclusive mode`;
      const answers = await Promise.all([
        send("GET", path, asServer),
        send("PATCH", path, asServer, { activity_code: "A" }),
        send("DELETE", path, asServer),
      ]);
      await sql`rollback`;
      await sql.end();
      for (const { status, text, retryAfter, ms, requestId } of answers) {
        assertEquals([status, JSON.parse(text).code], [503, "unavailable"], text);
        assertMatch(retryAfter ?? "", /^[1-9]\d*$/);
        assertNotMatch(text, innards);
        assert(ms < 10_000, `answered after ${ms} ms`);
        // the log says why: a terminal need not know, the people who run the servers must
        const saysWhy = (line: string) => line.includes(requestId ?? "-") && /"unavailable":"(55P03|57014) /.test(line);
        assert(await holdsWithin(2000, () => log.some(saysWhy)), log.slice(-20).join("\n"));
      }
      assertEquals((await send("GET", path, asServer)).status, 200);
    });

    await t.step(
      "while the database is away, everything is 503 with Retry-After, at once; afterwards it works by itself",
      async () => {
        assertEquals((await send("GET", path, asServer)).status, 200);
        const report = { action_type: "START", order_no: "O-1", operation_no: "0010", workplace_name: "Bench" };
        assertEquals((await send("PATCH", path, asServer, { workplace_name: "Bench" })).status, 200);
        const key = { "idempotency-key": unique("key") };
        const requests: [string, string, Record<string, string>, unknown?][] = [
          ["GET", path, asServer],
          ["GET", path, asUser],
          ["GET", "/functions/v1/events/v1", asUser],
          ["GET", "/functions/v1/profiles/v1", asServer],
          ["GET", "/functions/v1/operations/health", {}],
          ["PATCH", path, asServer, { activity_code: "A" }],
          ["DELETE", path, asServer],
          ["POST", "/functions/v1/events/v1", { ...asServer, ...key }, report],
        ];
        await stack.database.stop();
        for (let round = 0; round < 3; round++) {
          // more requests than the Data API has connections
          const answers = await race(5 * requests.length, (n) => {
            const [method, url, headers, body] = requests[n % requests.length] ?? ["GET", path, {}];
            return send(method, url, headers, body);
          });
          for (const { status, text, retryAfter, ms } of answers) {
            assertEquals([status, JSON.parse(text).code], [503, "unavailable"], text);
            assertMatch(retryAfter ?? "", /^[1-9]\d*$/);
            assertNotMatch(text, innards);
            assert(ms < 10_000, `answered after ${ms} ms`);
          }
        }

        await stack.database.start();
        const works = async () => (await send("GET", path, asServer)).status === 200;
        assert(await holdsWithin(5000, works), "no service 5 s after the database's return");
        // every connection of the pool, not only the first
        const afterwards = await race(40, () => send("GET", path, asServer));
        assertEquals(afterwards.map(({ status }) => status).filter((status) => status !== 200), []);
        assertEquals((await send("GET", "/functions/v1/operations/v1", asUser)).status, 200);
        assertEquals((await send("GET", "/functions/v1/operations/health", {})).status, 200);

        const started = await send("POST", "/functions/v1/events/v1", { ...asServer, ...key }, report);
        assertEquals([started.status, JSON.parse(started.text).op_seq], [201, 1], started.text);
      },
    );
  } finally {
    await stack.stop();
  }
});

Deno.test("validation_failed: detail begins with the code and the place of the first invalid value, and quotes it", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  const soon = new Date(Date.now() + 2 * 3_600_000).toISOString();
  const start = { order_no: operation.order_no, operation_no: "0010", workplace_name: operation.workplace_name };
  const cases: [Answer<unknown>, RegExp][] = [
    [await server.patch(path, { qty_desired: -5 }), /^too_small at \/qty_desired: must be at least 0, not -5$/],
    [
      await server.patch(path, { qty_desired: "5", t_target_lead_min: -1, colour: "red" }),
      /^invalid_type at \/qty_desired: must be a number, not "5" \(and 2 more\)$/,
    ],
    [
      await server.patch(path, { status: "DONE" }),
      /^invalid_value at \/status: must be one of PLANNED, .*, not "DONE"$/,
    ],
    [
      await server.post("/operations/v1", { order_no: "X" }),
      /^invalid_type at \/asset_id: is missing \(and 1 more\)$/,
    ],
    [await server.get("/operations/v1?limit=501"), /^too_big at query \/limit: must be at most 500, not "501"$/],
    [
      await server.get("/operations/v1?status=DONE"),
      /^invalid_value at query \/status\/0: must be one of .*, not "DONE"$/,
    ],
    [await server.get("/events/v1/none"), /^invalid_format at path \/event_id: must be a valid UUID, not "none"$/],
    // by the database
    [
      await server.post("/events/v1", { ...start, action_type: "START", occurred_at: soon }),
      /^in_future at \/occurred_at: "\S+" is (2 h 0 min|1 h 59 min|120 min) ahead of the server's clock, \S+$/,
    ],
    [
      await server.post(`${path}/transitions`, { action: "CANCEL", reason_code: "NONE" }),
      /^unknown_reason at \/reason_code: "NONE" is not an active reason code of kind CANCEL$/,
    ],
    // long values are cut
    [
      await server.patch(path, { workplace_group: "\u{1f600}".repeat(200) }),
      /^invalid_value at \/workplace_group: must have 1 to 64 characters, not "(\u{1f600}){100}\.\.\."$/u,
    ],
  ];
  for (const [answer, detail] of cases) {
    assertMatch(assertProblem(answer, 422, "validation_failed").detail, detail);
  }
});
