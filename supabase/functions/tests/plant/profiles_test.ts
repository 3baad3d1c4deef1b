/** Profiles: who may do what, where, and who may say so. */
import {
  assert,
  assertEquals,
  assertExists,
  assertProblem,
  dataApi,
  env,
  newOperation,
  newUser,
  newWorkplace,
  operationPath,
  type Profile,
  report,
  server,
  unique,
} from "../support/harness.ts";

const pathOf = ({ id }: { id: string }) => `/profiles/v1/${id}`;

async function read(user: { id: string }): Promise<Profile> {
  const { status, body, text } = await server.get<Profile>(pathOf(user));
  assertEquals(status, 200, text);
  return body;
}

Deno.test("Sign-up: creates the profile of an operator without a workplace when the user claims more", async () => {
  const email = `${unique("user")}@example.com`;
  const claims = { full_name: " Anna de Vries ", role: "admin", workplace_access: ["*"] };
  const { status, body, text } = await dataApi({ apikey: env.publishableKey }).post<{ user: { id: string } }>(
    "/auth/v1/signup",
    { email, password: crypto.randomUUID(), data: claims },
  );
  assertEquals(status, 200, text);
  const { created_at, updated_at, ...profile } = await read(body.user);
  assertEquals(created_at, updated_at);
  assertEquals({ ...profile, full_name: null }, {
    id: body.user.id,
    email,
    full_name: null,
    kind: "person",
    role: "operator",
    workplace_access: [],
    version: 1,
  });
  // an Auth API may store the typed address, and users may change their name
  assert(profile.full_name === null || profile.full_name === "Anna de Vries", String(profile.full_name));
});

Deno.test("GET /profiles/v1/{id}: answers 404 when the caller is below manager and the profile is another's", async () => {
  const [operator, manager, supervisor] = await Promise.all([
    newUser({ full_name: "Jan" }),
    newUser({ role: "manager" }),
    newUser({ role: "supervisor", workplaces: [newWorkplace()] }),
  ]);
  assertEquals((await operator.client.get<Profile>(pathOf(operator))).body.full_name, "Jan");
  assertEquals((await manager.client.get<Profile>(pathOf(operator))).body.id, operator.id);
  const hidden = [await operator.client.get(pathOf(manager)), await supervisor.client.get(pathOf(operator))];
  const missing = await operator.client.get(pathOf({ id: crypto.randomUUID() }));
  for (const answer of [...hidden, missing]) {
    assertEquals(assertProblem(answer, 404, "not_found").detail, assertProblem(missing, 404, "not_found").detail);
  }
  const list = await operator.client.get<Profile[]>("/profiles/v1");
  assertEquals(list.body.map(({ id }) => id), [operator.id]);
});

Deno.test("GET /profiles/v1/me: answers the caller's own profile, and 304 when it is unchanged", async () => {
  const workplaces = [newWorkplace()];
  const user = await newUser({ role: "operator", workplaces });
  const own = await user.client.get<Profile>("/profiles/v1/me");
  const actions = ["START", "STOP", "REPORT_QUANTITY", "COMPLETE", "FINISH", "REVERSE"];
  const downtime_actions = ["START", "END", "CLASSIFY", "SPLIT", "CANCEL"].map((name) => `DOWNTIME_${name}`);
  const may = { workplace_access: workplaces, actions, downtime_actions, machine_states: false };
  assertEquals([own.status, own.body], [200, { ...await read(user), scopes: null, person: null, may } as Profile]);
  const etag = own.headers.get("etag");
  assertExists(etag);
  const known = await user.client.get("/profiles/v1/me", { headers: { "if-none-match": etag } });
  assertEquals([known.status, known.text], [304, ""]);
  assertEquals((await user.client.patch(pathOf(user), { full_name: "Anna" })).status, 200);
  const changed = await user.client.get<Profile>("/profiles/v1/me", { headers: { "if-none-match": etag } });
  assertEquals([changed.status, changed.body.full_name], [200, "Anna"]);
});

Deno.test("GET /profiles/v1/me: says why there is none when the caller is the secret key or has no profile", async () => {
  const { detail } = assertProblem(await server.get("/profiles/v1/me"), 403, "forbidden");
  assert(detail.startsWith("The secret key is not a person and has no profile"), detail);
  const former = await newUser();
  assertEquals((await server.delete(pathOf(former))).status, 204);
  assertProblem(await former.client.get("/profiles/v1/me"), 404, "not_found");
});

Deno.test("GET /profiles/v1: lists exactly the visible profiles whose e-mail address or name begins with q when q is given", async () => {
  const place = newWorkplace();
  const name = unique("Ünal");
  const [supervisor, named, other] = await Promise.all([
    newUser({ role: "supervisor", workplaces: [place] }),
    newUser({ full_name: `${name} de Vries`, workplaces: [place] }),
    newUser({ full_name: `${name} elsewhere`, workplaces: [newWorkplace()] }),
  ]);
  const found = async (client: typeof server, q: string) => {
    const { status, body, text, headers } = await client.get<Profile[]>("/profiles/v1", {
      query: { q, count: "exact" },
    });
    assertEquals([status, headers.get("x-total-count")], [200, String(body.length)], text);
    return body.map(({ id }) => id).toSorted();
  };
  assertEquals(await found(server, name), [named.id, other.id].toSorted());
  assertEquals(await found(server, name.toUpperCase()), [named.id, other.id].toSorted());
  assertEquals(await found(supervisor.client, name), [named.id]);
  assertEquals(await found(named.client, name), [named.id]);
  assertEquals(await found(server, named.email.toUpperCase()), [named.id]);
  for (const q of ["de Vries", "%", "_", `${name}%`]) assertEquals(await found(named.client, q), [], q);
});

Deno.test("GET /profiles/v1: lists colleagues of a shared workplace, read only, when the caller is a supervisor", async () => {
  const workplace = newWorkplace();
  const [supervisor, colleague, other] = await Promise.all([
    newUser({ role: "supervisor", workplaces: [workplace, newWorkplace()] }),
    newUser({ workplaces: [newWorkplace(), workplace] }),
    newUser({ workplaces: [newWorkplace()] }),
  ]);
  const { body } = await supervisor.client.get<Profile[]>("/profiles/v1?limit=500");
  const seen = body.map(({ id }) => id);
  assert(seen.includes(supervisor.id) && seen.includes(colleague.id) && !seen.includes(other.id));
  assertEquals((await supervisor.client.get(pathOf(colleague))).status, 200);
  const changes = [{ workplace_access: [workplace] }, { full_name: "Other" }, { role: "supervisor" }];
  for (const change of changes) {
    assertProblem(await supervisor.client.patch(pathOf(colleague), change), 403, "forbidden");
    assertProblem(await supervisor.client.patch(pathOf(other), change), 404, "not_found");
  }
  assertEquals((await read(colleague)).version, 2);
});

Deno.test("PATCH /profiles/v1/{id}: answers 403 when a field is not the caller's to change, and raises no rights", async () => {
  const roles = ["readonly", "machine", "operator", "supervisor", "manager"] as const;
  for (const role of roles) {
    const user = await newUser({ role });
    const { body, status } = await user.client.patch<Profile>(pathOf(user), { full_name: `I, ${role}` });
    assertEquals([status, body.full_name], [200, `I, ${role}`]);
    for (const change of [{ role: "admin" }, { email: "other@example.com" }, { full_name: "I", role }]) {
      const refused = assertProblem(await user.client.patch(pathOf(user), change), 403, "forbidden");
      assert(Array.isArray(refused.changeable_fields) && !refused.changeable_fields.includes("role"));
    }
    const own = await user.client.patch(pathOf(user), { workplace_access: ["*"] });
    if (role === "manager") assertEquals(own.status, 200);
    else assertProblem(own, 403, "forbidden");
    assertEquals((await read(user)).role, role);
  }
  const [manager, admin, operator] = await Promise.all([
    newUser({ role: "manager" }),
    newUser({ role: "admin" }),
    newUser({ full_name: "Jan" }),
  ]);
  const place = newWorkplace();
  const assigned = await manager.client.patch<Profile>(pathOf(operator), { workplace_access: [place] });
  assertEquals([assigned.status, assigned.body.workplace_access], [200, [place]]);
  for (const change of [{ role: "supervisor" }, { full_name: "Piet" }, { email: null }]) {
    assertProblem(await manager.client.patch(pathOf(operator), change), 403, "forbidden");
  }
  const email = `${unique("new")}@example.com`;
  const all = { role: "supervisor", full_name: null, workplace_access: ["*"], email };
  const raised = await admin.client.patch<Profile>(pathOf(operator), all);
  assertEquals(raised.status, 200, raised.text);
  const { role, full_name, workplace_access, version } = raised.body;
  assertEquals({ role, full_name, workplace_access, email: raised.body.email }, {
    role: "supervisor",
    full_name: null,
    workplace_access: ["*"],
    email,
  });
  assertEquals(raised.headers.get("etag"), `"${version}"`);
});

Deno.test("PATCH /profiles/v1/{id}: takes effect when the user sends the next request", async () => {
  const operation = await newOperation();
  const user = await newUser();
  const path = operationPath(operation);
  assertProblem(await user.client.get(path), 404, "not_found");
  await server.patch(pathOf(user), { workplace_access: [operation.workplace_name] });
  assertEquals((await user.client.get(path)).status, 200);
  assertProblem(await user.client.patch(path, { qty_desired: 51 }), 403, "forbidden");
  await server.patch(pathOf(user), { role: "supervisor" });
  assertEquals((await user.client.patch(path, { qty_desired: 51 })).status, 200);
  await server.patch(pathOf(user), { role: "readonly" });
  assertProblem(await report(user.client, operation, "START"), 403, "forbidden");
  await server.patch(pathOf(user), { workplace_access: [] });
  assertProblem(await user.client.get(path), 404, "not_found");
});

Deno.test("POST and PATCH /profiles/v1: name every field when values are invalid", async () => {
  const user = await newUser();
  const wrong: [Record<string, unknown>, string[]][] = [
    [{}, [""]],
    [{ role: "boss" }, ["/role"]],
    [{ role: null, workplace_access: null }, ["/role", "/workplace_access"]],
    [{ workplace_access: [""] }, ["/workplace_access/0"]],
    [{ workplace_access: ["ok", " padded", 7] }, ["/workplace_access/1", "/workplace_access/2"]],
    [{ workplace_access: Array(1001).fill("a") }, ["/workplace_access"]],
    [{ full_name: "", email: "x".repeat(321) }, ["/email", "/full_name"]],
    [{ full_name: "x".repeat(201) }, ["/full_name"]],
    [{ id: crypto.randomUUID(), version: 3, created_at: "2026-01-01T00:00:00Z" }, ["/created_at", "/id", "/version"]],
  ];
  for (const [patch, pointers] of wrong) {
    const problem = assertProblem(await server.patch(pathOf(user), patch), 422, "validation_failed");
    assertEquals(problem.errors?.map(({ pointer }) => pointer).sort(), pointers, JSON.stringify(patch).slice(0, 200));
  }
  const missing = assertProblem(await server.post("/profiles/v1", { role: "operator" }), 422, "validation_failed");
  assertEquals(missing.errors?.map(({ pointer }) => pointer), ["/id"]);
  assertEquals((await read(user)).version, 1);
});

Deno.test("DELETE /profiles/v1/{id}: leaves the user without rights until an admin creates the profile again", async () => {
  const operation = await newOperation();
  const user = await newUser({ role: "supervisor", workplaces: [operation.workplace_name ?? ""] });
  const { body: event } = await report(user.client, operation, "START");
  const admin = await newUser({ role: "admin" });
  assertEquals((await admin.client.delete(pathOf(user))).status, 204);
  assertProblem(await admin.client.delete(pathOf(user)), 404, "not_found");
  assertProblem(await user.client.get(operationPath(operation)), 404, "not_found");
  assertProblem(await user.client.get(pathOf(user)), 404, "not_found");
  assertEquals((await user.client.get("/operations/v1")).text, "[]");
  // the reported events stay
  assertEquals((await server.get(`/events/v1/${event.id}`)).body.user_id, user.id);

  const made = await admin.client.post<Profile>("/profiles/v1", { id: user.id, full_name: "Back again" });
  assertEquals(made.status, 201, made.text);
  assertEquals(made.headers.get("location"), `/functions/v1${pathOf(user)}`);
  assertEquals(made.headers.get("etag"), '"1"');
  const { email, role, workplace_access, full_name } = made.body;
  assertEquals({ email, role, workplace_access, full_name }, {
    email: user.email,
    role: "operator",
    workplace_access: [],
    full_name: "Back again",
  });
  assertEquals((await user.client.get(pathOf(user))).status, 200);
  assertProblem(await admin.client.post("/profiles/v1", { id: user.id }), 409, "duplicate_profile");
});

Deno.test("POST and DELETE /profiles/v1: answer 403, or 404 for hidden profiles, when the caller is below admin", async () => {
  const victim = await newUser();
  for (const role of ["operator", "supervisor", "manager"] as const) {
    const { client, id } = await newUser({ role });
    assertProblem(await client.post("/profiles/v1", { id: crypto.randomUUID() }), 403, "forbidden");
    assertProblem(await client.delete(pathOf({ id })), 403, "forbidden");
    const answer = await client.delete(pathOf(victim));
    if (role === "manager") assertProblem(answer, 403, "forbidden");
    else assertProblem(answer, 404, "not_found");
  }
  assertEquals((await read(victim)).version, 1);
});

Deno.test("GET and PATCH /profiles/v1/{id}: answer 304 when the ETag matches, and 412 with the current version when it is stale", async () => {
  const user = await newUser();
  const path = pathOf(user);
  const first = await user.client.get(path);
  assertEquals(first.headers.get("etag"), '"1"');
  assertEquals((await user.client.get(path, { headers: { "If-None-Match": 'W/"1"' } })).status, 304);
  const change = await user.client.patch(path, { full_name: "One" }, { headers: { "If-Match": '"1"' } });
  assertEquals([change.status, change.headers.get("etag")], [200, '"2"']);
  assertEquals((await user.client.get(path, { headers: { "If-None-Match": '"1"' } })).status, 200);
  for (const headers of [{ "If-Match": '"1"' }, { "If-Match": 'W/"2"' }]) {
    const stale = assertProblem(await user.client.patch(path, { full_name: "Two" }, { headers }), 412, "stale_version");
    assertEquals(stale.current_version, 2);
    assertProblem(await server.delete(path, { headers }), 412, "stale_version");
  }
  const malformed = await server.delete(path, { headers: { "If-Match": "2" } });
  assertProblem(malformed, 400, "malformed_request");
  const same = await user.client.patch<Profile>(path, { full_name: "One" }, { headers: { "If-Match": "*" } });
  assertEquals([same.status, same.body.version], [200, 2]);
  assertEquals((await server.delete(path, { headers: { "If-Match": '"1", "2"' } })).status, 204);
});

Deno.test("PATCH /profiles/v1/{id}: exactly one of 20 succeeds when they race from one ETag", async () => {
  const user = await newUser();
  const answers = await Promise.all(
    Array.from(
      { length: 20 },
      (_, index) =>
        user.client.patch<Profile>(pathOf(user), { full_name: `Name ${index}` }, { headers: { "If-Match": '"1"' } }),
    ),
  );
  const winners = answers.filter(({ status }) => status === 200);
  assertEquals(winners.length, 1);
  for (const answer of answers) if (answer.status !== 200) assertProblem(answer, 412, "stale_version");
  const [winner] = winners;
  assertExists(winner);
  assertEquals((await read(user)).full_name, winner.body.full_name);
});
