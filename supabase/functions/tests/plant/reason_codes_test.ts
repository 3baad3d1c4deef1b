/** Reason codes: who may change them, and that those in use stay. */
import {
  type Answer,
  assertEquals,
  assertProblem,
  newOperation,
  newUser,
  newWorkplace,
  nextPage,
  report,
  server,
  unique,
} from "../support/harness.ts";
import type { ReasonCode } from "../../_shared/reason_code.ts";
import { eventsOf, pick, read, reported } from "../support/floor.ts";

const kinds = ["CANCEL", "DOWNTIME", "HOLD", "SCRAP", "SHORTFALL", "STOP"] as const;
type Kind = typeof kinds[number];

const path = (kind: string, code: string) => `/reason-codes/v1/${kind}/${encodeURIComponent(code)}`;

async function newReason(kind: Kind, more: Partial<ReasonCode> = {}): Promise<string> {
  const code = unique("R");
  const { status, text } = await server.post("/reason-codes/v1", { kind, code, ...more });
  assertEquals(status, 201, text);
  return code;
}

Deno.test("POST /reason-codes/v1: creates an active code with Location and ETag, and answers 409 when kind and code exist", async () => {
  const code = `${unique("R")} 1/2 ü`;
  for (const kind of kinds) {
    const created = await server.post<ReasonCode>("/reason-codes/v1", { kind, code, description: "In words" });
    assertEquals(created.status, 201, created.text);
    const { created_at: _, updated_at: __, ...rest } = created.body;
    const category = kind === "DOWNTIME" ? "UNPLANNED" : null;
    const loss = kind === "STOP" ? "NONE" : null;
    assertEquals(rest, {
      kind,
      code,
      description: "In words",
      category,
      parent: null,
      loss,
      active: true,
      version: 1,
    });
    const location = created.headers.get("location") ?? "";
    assertEquals([location, created.headers.get("etag")], [`/functions/v1${path(kind, code)}`, '"1"']);
    const read = await server.get<ReasonCode>(location.slice("/functions/v1".length));
    assertEquals([read.headers.get("etag"), read.body], ['"1"', created.body]);
    assertProblem(await server.post("/reason-codes/v1", { kind, code }), 409, "duplicate_reason_code");
  }
  const wrong: [Record<string, unknown>, string[]][] = [
    [{ code }, ["/kind"]],
    [{ kind: "STOP" }, ["/code"]],
    [{ kind: "WHIM", code }, ["/kind"]],
    [{ kind: "stop", code }, ["/kind"]],
    [{ kind: "STOP", code: "." }, ["/code"]],
    [{ kind: "STOP", code, active: 1, version: 1 }, ["/active", "/version"]],
    [{ kind: "STOP", code, description: "x".repeat(501) }, ["/description"]],
  ];
  for (const [body, pointers] of wrong) {
    const problem = assertProblem(await server.post("/reason-codes/v1", body), 422, "validation_failed");
    assertEquals(problem.errors?.map(({ pointer }) => pointer).toSorted(), pointers, JSON.stringify(body));
  }
});

Deno.test("POST and PATCH /reason-codes/v1: DOWNTIME takes a category and a parent in two levels, STOP a loss, and no other kind either", async () => {
  const family = await newReason("DOWNTIME", { category: "PLANNED" });
  const member = await newReason("DOWNTIME", { parent: family });
  const change = (kind: Kind, code: string, patch: Partial<ReasonCode>) =>
    server.patch<ReasonCode>(path(kind, code), patch);
  const read = (await server.get<ReasonCode>(path("DOWNTIME", member))).body;
  assertEquals(pick(read, "category", "parent", "loss"), { category: "UNPLANNED", parent: family, loss: null });
  const code = unique("R");
  const refused: Answer<unknown>[] = [
    await server.post("/reason-codes/v1", { kind: "DOWNTIME", code, parent: member }),
    await server.post("/reason-codes/v1", { kind: "DOWNTIME", code, parent: code }),
    await server.post("/reason-codes/v1", { kind: "DOWNTIME", code, parent: unique("R") }),
    await server.post("/reason-codes/v1", { kind: "DOWNTIME", code, loss: "PLANNED" }),
    await server.post("/reason-codes/v1", { kind: "STOP", code, category: "PLANNED" }),
    await server.post("/reason-codes/v1", { kind: "STOP", code, parent: family }),
    await server.post("/reason-codes/v1", { kind: "SCRAP", code, loss: "NONE" }),
    // a family cannot join another one, nor itself
    await change("DOWNTIME", family, { parent: await newReason("DOWNTIME") }),
    await change("DOWNTIME", family, { parent: family }),
  ];
  for (const answer of refused) assertProblem(answer, 422, "validation_failed");
  assertEquals((await change("DOWNTIME", member, { parent: null, category: "PLANNED" })).body.parent, null);
  assertEquals((await change("DOWNTIME", family, { parent: member })).body.parent, member);
  const stop = await newReason("STOP", { loss: "PLANNED" });
  assertEquals((await change("STOP", stop, { loss: "UNPLANNED" })).body.loss, "UNPLANNED");
});

Deno.test("PATCH and DELETE /reason-codes/v1: count versions, keep kind and code, and answer 412 when If-Match is stale", async () => {
  const code = await newReason("STOP");
  const changed = await server.patch<ReasonCode>(path("STOP", code), { description: "Tool", active: false });
  assertEquals([changed.status, changed.headers.get("etag")], [200, '"2"']);
  assertEquals(pick(changed.body, "description", "active", "version"), {
    description: "Tool",
    active: false,
    version: 2,
  });
  assertEquals((await server.patch<ReasonCode>(path("STOP", code), { active: false })).body.version, 2);
  assertEquals((await server.patch<ReasonCode>(path("STOP", code), { description: null })).body.description, null);
  const headers = { "if-match": '"2"' };
  for (
    const answer of [
      await server.patch(path("STOP", code), { active: true }, { headers }),
      await server.delete(path("STOP", code), { headers }),
    ]
  ) assertEquals(assertProblem(answer, 412, "stale_version").current_version, 3);
  for (const patch of [{}, { code: "X" }, { kind: "HOLD" }, { active: null }]) {
    assertProblem(await server.patch(path("STOP", code), patch), 422, "validation_failed");
  }
  assertEquals((await server.delete(path("STOP", code), { headers: { "if-match": '"3"' } })).status, 204);
  for (
    const answer of [
      await server.get(path("STOP", code)),
      await server.patch(path("STOP", code), { active: true }),
      await server.delete(path("STOP", code)),
      await server.get(path("HOLD", code)),
    ]
  ) assertProblem(answer, 404, "not_found");
});

Deno.test("DELETE /reason-codes/v1: answers in_use when an event has the code of this kind", async () => {
  const code = await newReason("STOP");
  await server.post("/reason-codes/v1", { kind: "HOLD", code });
  const operation = await newOperation();
  await reported(operation, ["START"], ["STOP", { reason_code: code }]);
  assertProblem(await server.delete(path("STOP", code)), 409, "in_use");
  assertEquals((await server.delete(path("HOLD", code))).status, 204);
  assertEquals((await server.patch(path("STOP", code), { active: false })).status, 200);
  // events keep it, new ones cannot have it
  assertEquals([(await eventsOf(operation)).at(-1)?.reason_code, (await read(operation)).hold_reason_code], [
    code,
    code,
  ]);
  await reported(operation, ["START"]);
  const refused = await report(server, operation, "STOP", { reason_code: code });
  assertEquals(assertProblem(refused, 422, "validation_failed").errors?.[0]?.code, "unknown_reason");
  assertEquals((await server.patch(path("STOP", code), { active: true })).status, 200);
  await reported(operation, ["STOP", { reason_code: code }]);
});

Deno.test("DELETE /reason-codes/v1: answers 409 when the code is UNSPECIFIED, which the API writes", async () => {
  for (const kind of ["HOLD", "CANCEL", "SHORTFALL"]) {
    assertProblem(await server.delete(path(kind, "UNSPECIFIED")), 409, "in_use");
    assertEquals((await server.get(path(kind, "UNSPECIFIED"))).status, 200);
  }
});

Deno.test("Reason codes: are readable when the caller has a workplace, and changeable when the caller is a manager or above", async () => {
  const code = await newReason("SCRAP");
  const workplace = newWorkplace();
  for (const role of ["readonly", "machine", "operator", "supervisor"] as const) {
    const { client } = await newUser({ role, workplaces: [workplace] });
    assertEquals((await client.get(path("SCRAP", code))).status, 200);
    assertEquals((await client.get("/reason-codes/v1", { query: { limit: 1 } })).status, 200);
    const refused = [
      await client.post("/reason-codes/v1", { kind: "SCRAP", code: unique("R") }),
      await client.patch(path("SCRAP", code), { active: false }),
      await client.delete(path("SCRAP", code)),
    ];
    for (const answer of refused) assertEquals(assertProblem(answer, 403, "forbidden").required_role, "manager");
  }
  const manager = await newUser({ role: "manager" });
  assertEquals((await manager.client.patch(path("SCRAP", code), { active: false })).status, 200);
  assertEquals((await manager.client.delete(path("SCRAP", code))).status, 204);
});

Deno.test("GET /reason-codes/v1: filters, orders by kind and code, and pages by cursor when there are several", async () => {
  const prefix = unique("R");
  for (const kind of ["STOP", "HOLD"] as const) {
    for (const number of [2, 1]) {
      await server.post("/reason-codes/v1", { kind, code: `${prefix}-${number}`, active: number === 1 });
    }
  }
  // other tests have hundreds of them
  const everyPage = async (query: Record<string, string>) => {
    const all: ReasonCode[] = [];
    for (let next: string | undefined = `/reason-codes/v1?${new URLSearchParams(query)}`; next !== undefined;) {
      const page: Answer<ReasonCode[]> = await server.get<ReasonCode[]>(next);
      assertEquals(page.status, 200, page.text);
      all.push(...page.body);
      next = nextPage(page);
    }
    return all;
  };
  const all = await everyPage({ limit: "7" });
  const own = ({ kind, code }: ReasonCode) => `${kind} ${code}`;
  const ours = (list: ReasonCode[]) => list.filter(({ code }) => code.startsWith(prefix)).map(own);
  assertEquals(ours(all), [`HOLD ${prefix}-1`, `HOLD ${prefix}-2`, `STOP ${prefix}-1`, `STOP ${prefix}-2`]);
  assertEquals(new Set(all.map(own)).size, all.length);
  const list = async (query: Record<string, string>) => ours(await everyPage({ ...query, limit: "500" }));
  assertEquals(await list({ kind: "STOP" }), [`STOP ${prefix}-1`, `STOP ${prefix}-2`]);
  assertEquals(await list({ kind: "STOP", active: "false" }), [`STOP ${prefix}-2`]);
  assertEquals(await list({ active: "true" }), [`HOLD ${prefix}-1`, `STOP ${prefix}-1`]);
  for (const query of ["kind=WHIM", "active=1", "skip=10001", "cursor=e30"]) {
    assertProblem(await server.get(`/reason-codes/v1?${query}`), 422, "validation_failed");
  }
});
