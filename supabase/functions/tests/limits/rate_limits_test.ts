/**
 * Limits of requests over HTTP: each test narrows the limits of its own caller, so that it disturbs nobody. The functions
 * behind the gateway and those that a test starts are different isolates.
 */
import type postgres from "postgres";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { answerOf } from "../support/document.ts";
import { startFunctions, underTest } from "../support/functions_process.ts";
import {
  anonymous,
  type Answer,
  assert,
  assertEquals,
  assertMatch,
  assertProblem,
  newOperation,
  newUser,
  newWorkplace,
  operationPath,
  server,
  unique,
} from "../support/harness.ts";
import { tally } from "../support/racing.ts";
import { limitCaller, rateHeadersOf, unitsLeft } from "../support/rate_limits.ts";
import { watchFunctions } from "../support/watched_functions.ts";
import { Constants } from "../../_shared/database.types.ts";
import type { RateClass } from "../../_shared/rate_budget.ts";
import contract from "../../../../docs/openapi.json" with { type: "json" };

const ignore = !hasDatabase || underTest.jwtSecret === undefined;

/** Runs `run` in a transaction that is rolled back. */
async function undone(run: (sql: postgres.TransactionSql) => Promise<void>): Promise<void> {
  const done = new Error("done");
  await withDatabase(async (sql) => {
    await sql.begin(async (sql) => {
      await run(sql);
      throw done;
    }).catch((error) => {
      if (error !== done) throw error;
    });
  });
}

Deno.test("Rate limits: every answer to a caller has RateLimit and RateLimit-Policy of its class", async () => {
  const { client } = await newUser({ role: "manager" });
  const operation = await newOperation();
  const answers: [RateClass, number, Answer<unknown>][] = [
    ["reads", 200, await client.get(operationPath(operation))],
    ["reads", 404, await client.get(operationPath({ ...operation, operation_no: "9999" }))],
    ["reads", 422, await client.get("/operations/v1?limit=0")],
    ["reads", 406, await client.get(operationPath(operation), { headers: { accept: "text/csv" } })],
    ["writes", 415, await client.post("/operations/v1", {}, { headers: { "content-type": "text/plain" } })],
    ["writes", 201, await client.post("/workplaces/v1", { name: newWorkplace() })],
    ["heavy", 207, await client.post("/operations/v1/import", [{}])],
    ["heavy", 200, await client.get("/reports/v1/summary?workplace_group=Laser")],
    ["reads", 200, await server.get("/operations/v1?limit=1")],
    ["reads", 200, await anonymous.get("/operations/health")],
    ["reads", 200, await anonymous.get("/operations")],
    ["unauthenticated", 401, await anonymous.get("/operations/v1")],
  ];
  for (const [rateClass, status, answer] of answers) {
    assertEquals(answer.status, status, answer.text);
    const { policy, limit } = rateHeadersOf(answer);
    assertMatch(policy ?? "", new RegExp(`^"${rateClass}";q=\\d+;w=\\d+$`));
    assertMatch(limit ?? "", new RegExp(`^"${rateClass}";r=\\d+;t=\\d+$`));
    const exposed = answer.headers.get("access-control-expose-headers") ?? "";
    assert(
      ["RateLimit", "RateLimit-Policy", "Retry-After"].every((name) => exposed.split(/, ?/).includes(name)),
      exposed,
    );
  }
});

Deno.test("OpenAPI document: every endpoint declares 429 with Retry-After and the headers of limits", () => {
  for (const [path, methods] of Object.entries(contract.paths)) {
    for (const [method, { responses }] of Object.entries(methods as Record<string, { responses: object }>)) {
      const refused = answerOf(Reflect.get(responses, "429"));
      assert(typeof refused === "object" && refused !== null, `${method} ${path}`);
      const headers: unknown = Reflect.get(refused, "headers");
      assertEquals(
        Object.keys(headers ?? {}).sort(),
        ["RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"],
        `${method} ${path}`,
      );
    }
  }
});

Deno.test(
  { name: "Rate limits: a user beyond the burst gets 429 rate_limited, and others do not", ignore },
  async () => {
    const [{ id, client }, other] = await Promise.all([newUser(), newUser()]);
    await limitCaller(`user:${id}`, "reads", 1, 5);
    const answers = await Promise.all(Array.from({ length: 40 }, () => client.get("/profiles/v1/me")));
    assertEquals(tally(answers.map(({ status }) => status)), { "200": 5, "429": 35 });
    const refused = await client.get("/profiles/v1/me");
    const problem = assertProblem(refused, 429, "rate_limited");
    const retryAfterS = Number(refused.headers.get("retry-after"));
    assertEquals([problem.policy, problem.limit, problem.retry_after_s], ["reads", 5, retryAfterS]);
    assert(retryAfterS > 20 && retryAfterS <= 60, String(retryAfterS));
    assertEquals(rateHeadersOf(refused), { policy: `"reads";q=5;w=300`, limit: `"reads";r=0;t=${retryAfterS}` });
    // another class, and another user
    assertEquals((await client.patch(`/profiles/v1/${id}`, { full_name: "A" })).status, 200);
    assertEquals((await other.client.get("/profiles/v1/me")).status, 200);
    // a limit that is raised in SQL lets the caller in again
    await limitCaller(`user:${id}`, "reads", 1_000_000, 1_000_000);
    await client.patch(`/profiles/v1/${id}`, { full_name: "B" });
  },
);

Deno.test({ name: "Rate limits: a refused request's body is not read, whatever it holds", ignore }, async () => {
  const { id, client } = await newUser();
  await limitCaller(`user:${id}`, "writes", 1, 1);
  assertEquals((await client.post("/events/v1", {})).status, 422);
  for (const rawBody of ["{", "[".repeat(100_000), `"${"a".repeat(2 * 1024 * 1024)}"`]) {
    assertProblem(await client.post("/events/v1", undefined, { rawBody }), 429, "rate_limited");
  }
  // route and method come first
  assertEquals((await client.post("/events/v1/a/b", {})).status, 404);
  assertEquals((await client.request("PUT", "/events/v1")).status, 405);
});

Deno.test({ name: "Rate limits: batches and imports cost their rows", ignore }, async () => {
  const { id, client } = await newUser({ role: "manager" });
  await limitCaller(`user:${id}`, "heavy", 1, 1000);
  const report = { action_type: "START", order_no: unique("O"), operation_no: "0010", workplace_name: newWorkplace() };
  const before = await client.post("/events/v1/batch", { events: [report] });
  assertEquals(before.status, 207, before.text);
  const batch = await client.post("/events/v1/batch", { events: Array(100).fill(report) });
  assertEquals(unitsLeft(before) - unitsLeft(batch), 100, batch.text);
  const row = { order_no: unique("O"), asset_id: 1, operation_no: "0010", timestamp_ms: new Date().toISOString() };
  const imported = await client.post("/operations/v1/import?dry_run=true", Array(50).fill(row));
  assertEquals(unitsLeft(batch) - unitsLeft(imported), 50, imported.text);
  // the last one that is allowed may cost more than is left; the next one waits for it
  const last = await client.post("/operations/v1/import?dry_run=true", Array(900).fill(row));
  assertEquals([last.status === 200 || last.status === 207, unitsLeft(last)], [true, 0], last.text);
  const refused = await client.post("/operations/v1/import?dry_run=true", [row]);
  assertProblem(refused, 429, "rate_limited");
  assert(Number(refused.headers.get("retry-after")) > 3_000);
});

Deno.test({ name: "Rate limits: a report costs 25, and a CSV as much as its pages of 500 rows", ignore }, async () => {
  const { id, client } = await newUser({ role: "manager" });
  await limitCaller(`user:${id}`, "heavy", 1, 1000);
  await limitCaller(`user:${id}`, "reads", 1, 1000);
  const workplace_name = newWorkplace();
  const order_no = unique("O");
  const rows = Array.from({ length: 1_001 }, (_, index) => ({
    ...{ order_no, asset_id: 1, operation_no: String(index), workplace_name },
    timestamp_ms: new Date().toISOString(),
  }));
  for (const part of [rows.slice(0, 600), rows.slice(600)]) {
    const imported = await server.post("/operations/v1/import", part);
    assertEquals(imported.status, 200, imported.text);
  }
  const left = async (path: string, query: Record<string, string | number>) => {
    const answer = await client.get(path, { query: { workplace_name, ...query } });
    assertEquals(answer.status, 200, answer.text);
    return unitsLeft(answer);
  };
  const reads = await left("/operations/v1", { limit: 1 });
  const cost = async (query: Record<string, string | number>) => {
    const before = await left("/operations/v1", { limit: 1 });
    return before - await left("/operations/v1", { format: "csv", columns: "order_no", ...query });
  };
  assert(reads < 1000, "the limit is in force");
  assertEquals([await cost({}), await cost({ limit: 500 }), await cost({ skip: 500 })], [3, 1, 2]);

  const window = { from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" };
  const reports: [string, Record<string, string>][] = [
    ["oee", window],
    ["timeline", window],
    ["losses", window],
    ["scrap", window],
    ["operations", window],
    ["summary", {}],
  ];
  let units = await left("/reports/v1/summary", {});
  for (const [name, query] of reports) {
    for (const format of ["json", "csv"]) {
      const now = await left(`/reports/v1/${name}`, { ...query, format });
      assertEquals(units - now, 25, `${name} ${format}`);
      units = now;
    }
  }
});

Deno.test({ name: "Rate limits: two isolates share one budget within 10 %", ignore }, async () => {
  const { id, token } = await newUser();
  const burst = 400;
  // few, so that slow machines use them up as well
  const unitsPerMinute = 300;
  await limitCaller(`user:${id}`, "reads", unitsPerMinute, burst);
  const isolates = await Promise.all([startFunctions(["profiles"]), startFunctions(["profiles"])]);
  try {
    const headers = { authorization: `Bearer ${token}` };
    const began = performance.now();
    const statuses: number[] = [];
    // 10 clients at each, until each was refused a few times
    await Promise.all(isolates.flatMap(({ url }) =>
      Array.from({ length: 10 }, async () => {
        for (let refused = 0; refused < 8;) {
          const response = await fetch(`${url}/profiles/v1/me`, { headers });
          await response.body?.cancel();
          statuses.push(response.status);
          if (response.status === 429) refused++;
        }
      })
    ));
    const seconds = (performance.now() - began) / 1_000;
    const { "200": admitted = 0, "429": refused = 0, ...others } = tally(statuses);
    assertEquals(others, {});
    const budget = burst + seconds * unitsPerMinute / 60;
    console.log(
      `MEASURED Rate limits: two isolates share one budget: ${admitted} of ${Math.round(budget)} units in ` +
        `${seconds.toFixed(1)} s (${(100 * (admitted / budget - 1)).toFixed(1)} %), ${refused} refused`,
    );
    assert(Math.abs(admitted / budget - 1) <= 0.1, `${admitted} of ${budget}`);
  } finally {
    await Promise.all(isolates.map((isolate) => isolate.end()));
  }
});

Deno.test(
  { name: "Rate limits: refuse nobody while the database cannot be told what was counted", ignore },
  async () => {
    const { id, token } = await newUser();
    await limitCaller(`user:${id}`, "reads", 1, 2);
    let isAway = true;
    const functions = await watchFunctions(
      ["profiles"],
      (call) => isAway && call.endsWith("/settle_rates") ? new Response(null, { status: 503 }) : undefined,
    );
    const get = async () => {
      const response = await fetch(`${functions.url}/profiles/v1/me`, {
        headers: { authorization: `Bearer ${token}` },
      });
      await response.body?.cancel();
      return response;
    };
    try {
      for (let time = 0; time < 50; time++) {
        const response = await get();
        assertEquals([response.status, response.headers.get("ratelimit")], [200, null]);
      }
      assert(functions.log.some((line) => line.includes("not in force")));
      isAway = false;
      // the next settlement brings the limit into force
      const began = performance.now();
      while ((await get()).status !== 429) {
        assert(
          performance.now() - began < 10_000,
          "The limit is not in force again",
        );
      }
    } finally {
      await functions.end();
    }
  },
);

Deno.test(
  { name: "RATE_LIMITS: a setting that cannot be read is logged, and `off` limits nothing", ignore },
  async () => {
    const { id, token } = await newUser();
    await limitCaller(`user:${id}`, "reads", 1, 2);
    for (const [setting, statuses] of [["off", { "200": 6 }], ['{"pilot": {}}', { "200": 2, "429": 4 }]] as const) {
      const functions = await startFunctions(["profiles"], { RATE_LIMITS: setting });
      try {
        const found = [];
        for (let time = 0; time < 6; time++) {
          const response = await fetch(`${functions.url}/profiles/v1/me`, {
            headers: { authorization: `Bearer ${token}` },
          });
          await response.body?.cancel();
          found.push(response.status);
        }
        assertEquals(tally(found), statuses);
        assertEquals(functions.log.some((line) => line.includes("RATE_LIMITS is not valid")), setting !== "off");
      } finally {
        await functions.end();
      }
    }
  },
);

Deno.test(
  { name: "settle_rates: answers the limits of a caller's role, and a caller's own before those", ignore },
  async () => {
    const users = await Promise.all(
      Constants.public.Enums.role.map(async (role) => ({ role, ...await newUser({ role }) })),
    );
    await withDatabase(async (sql) => {
      await sql.begin(async (sql) => {
        await sql`update app.rate_limits l set units_per_minute = 1000 + k.position, burst = 1
        from unnest(enum_range(null::public.rate_kind)) with ordinality as k (kind, position) where k.kind = l.kind`;
        await sql`insert into app.rate_limit_overrides values ('key:a', 'reads', 7, 8)`;
        const callers: [string, string][] = [
          ...users.map(({ id, role }): [string, string] => [`user:${id}`, role]),
          [`user:${crypto.randomUUID()}`, "readonly"],
          [`key:${users[0]?.id}`, "readonly"],
          [`model:${users[0]?.id}`, "model"],
          ["secret_key:default", "secret_key"],
          ["address:192.0.2.7", "address"],
        ];
        const counted = callers.map(([caller]) => ({ caller, class: "reads", units: 1 }));
        const [row] = await sql<{ settled: { caller: string; units_per_minute: number; burst: number }[] }[]>`
        select public.settle_rates(${
          sql.json([...counted, { caller: "key:a", class: "reads", units: 1 }])
        }) as settled`;
        const limitOf = new Map(row?.settled.map((one) => [one.caller, one]));
        for (const [caller, kind] of callers) {
          const position = Constants.public.Enums.rate_kind.findIndex((name) => name === kind) + 1;
          assertEquals(limitOf.get(caller)?.units_per_minute, 1000 + position, `${caller} ${kind}`);
        }
        assertEquals([limitOf.get("key:a")?.units_per_minute, limitOf.get("key:a")?.burst], [7, 8]);
        await sql`rollback`;
      }).catch((error) => {
        if (!/rollback|transaction/i.test(String(error))) throw error;
      });
    });
  },
);

Deno.test({
  name: "settle_rates: adds the counts of isolates that settle the same callers at once in any order",
  ignore,
}, async () => {
  const callers = Array.from({ length: 20 }, () => `model:${crypto.randomUUID()}`);
  for (const caller of callers) await limitCaller(caller, "reads", 60, 100);
  await withDatabase(async (one, two, three) => {
    const settle = (sql: typeof one, order: string[]) =>
      sql`select public.settle_rates(${sql.json(order.map((caller) => ({ caller, class: "reads", units: 1 })))}, true)`;
    for (let round = 0; round < 10; round++) {
      await Promise.all([settle(one, callers), settle(two, callers.toReversed()), settle(three, callers)]);
    }
    const rows = await one<{ ahead: number }[]>`
      select extract(epoch from full_at - clock_timestamp())::float8 as ahead from app.rate_budgets where caller in ${
      one(callers)
    }`;
    assertEquals(rows.length, callers.length);
    for (const { ahead } of rows) assert(ahead > 20 && ahead <= 30, String(ahead));
  });
});

Deno.test(
  { name: "settle_rates: deletes full budgets, and adds at most the burst and 10 minutes", ignore },
  async () => {
    await withDatabase(async (sql) => {
      const [full, indebted] = [`model:${crypto.randomUUID()}`, `model:${crypto.randomUUID()}`];
      const settle = (caller: string, units: number) =>
        sql`select public.settle_rates(${sql.json([{ caller, class: "reads", units }])}, true)`;
      await sql`insert into app.rate_budgets values (${full}, 'reads', clock_timestamp() - interval '1 second', 1, clock_timestamp())`;
      await limitCaller(indebted, "reads", 1, 1);
      await settle(indebted, 1_000);
      const rows = await sql<{ caller: string; minutes: number }[]>`
      select caller, extract(epoch from full_at - clock_timestamp())::float8 / 60 as minutes
      from app.rate_budgets where caller in (${full}, ${indebted})`;
      assertEquals(rows.map(({ caller, minutes }) => [caller, Math.round(minutes)]), [[indebted, 11]]);
    });
  },
);

Deno.test({ name: "set_rate_limits: a name goes before *, and what is not given stays", ignore }, async () => {
  await undone(async (sql) => {
    await sql`update app.rate_limits set units_per_minute = 10, burst = 20`;
    const limits = {
      "*": { "*": { units_per_minute: 11 }, reads: { units_per_minute: 12 } },
      machine: { writes: { burst: 21 }, "*": { burst: 22 } },
    };
    await sql`select public.set_rate_limits(${sql.json(limits)})`;
    const rows = await sql`select kind, class, units_per_minute, burst from app.rate_limits
        where kind in ('machine', 'admin') and class in ('reads', 'writes') order by kind, class`;
    assertEquals(rows.map((row) => Object.values(row).join(" ")), [
      "machine reads 10 22",
      "machine writes 10 21",
      "admin reads 12 20",
      "admin writes 11 20",
    ]);
  });
});
