/** People at shared terminals: who manages them, and who signs in. */
import type { Person } from "../../people/schemas.ts";
import {
  type Answer,
  assert,
  assertEquals,
  assertProblem,
  type Client,
  dataApi,
  newOperation,
  newUser,
  nextPage,
  server,
  unique,
} from "../support/harness.ts";
import { hasDatabase } from "../support/database_connection.ts";
import { withSql } from "../support/floor.ts";
import { outcome, race, tally } from "../support/racing.ts";
import { newPerson, newTerminal, signIn, tryToSignIn, wrongPin } from "../support/terminals.ts";

const needsDatabase = hasDatabase ? "" : " (needs DATABASE_URL)";

/** A workplace that exists. */
async function aWorkplace(): Promise<string> {
  const { workplace_name } = await newOperation();
  return workplace_name ?? "";
}

const path = (id: string) => `/people/v1/${id}`;
const failed = "403 sign_in_failed";
const locked = "429 sign_in_locked";

// ---------------------------------------------------------------- create, read, change, delete

Deno.test("POST /people/v1: creates a person, with Location and ETag, and never answers badge or PIN", async () => {
  const here = await aWorkplace();
  const { client: supervisor } = await newUser({ role: "supervisor", workplaces: [here] });
  const person = {
    display_name: "Anna",
    person_no: unique("P"),
    badge_code: unique("badge"),
    pin: "271828",
    workplace_access: [here],
  };
  const created = await supervisor.post<Person>("/people/v1", person);
  assertEquals(created.status, 201, created.text);
  const { id, created_at, updated_at, ...rest } = created.body;
  assertEquals(rest, {
    ...{ display_name: "Anna", person_no: person.person_no, has_badge: true, has_pin: true, workplace_access: [here] },
    ...{ active: true, profile_id: null, pseudonymised_at: null, version: 1 },
  });
  assert(created_at === updated_at);
  assertEquals([created.headers.get("etag"), created.headers.get("location")], [
    '"1"',
    `/functions/v1/people/v1/${id}`,
  ]);
  const read = await supervisor.get<Person>(path(id));
  assertEquals([read.body, read.headers.get("etag")], [created.body, '"1"']);
  assertEquals((await supervisor.get(path(id), { headers: { "if-none-match": '"1"' } })).status, 304);
});

Deno.test("POST /people/v1: rejects a number, a badge or a profile that another person has", async () => {
  const { id: profile_id } = await newUser();
  const { person_no, badge_code } = await newPerson([], { profile_id });
  for (const field of [{ person_no }, { badge_code }, { profile_id }]) {
    assertProblem(await server.post("/people/v1", { display_name: "Ben", ...field }), 409, "duplicate_person");
  }
});

Deno.test("POST /people/v1: rejects badges and PINs of another form and does not quote them", async () => {
  // deno-fmt-ignore
  const bad = [{ pin: "123" }, { pin: "1234567890123" }, { pin: "12a4" }, { pin: 271828 }, { pin: "" },
    { badge_code: "" }, { badge_code: "x".repeat(129) }, { badge_code: "a\nb" }, { badge_code: 27182 }];
  for (const field of bad) {
    const answer = await server.post("/people/v1", { display_name: "Anna", ...field });
    const { errors } = assertProblem(answer, 422, "validation_failed");
    assertEquals(errors?.map(({ pointer }) => pointer), [`/${Object.keys(field)[0]}`]);
    for (const value of Object.values(field).map(String)) {
      assert(value === "" || !answer.text.replace(/"instance":"[^"]*"/, "").includes(value), answer.text);
    }
  }
});

Deno.test("POST /people/v1: answers a repeated request once more, and rejects one with another PIN or badge", async () => {
  const headers = { "Idempotency-Key": unique("K") };
  const body = { display_name: "Anna", badge_code: unique("badge"), pin: "27182818" };
  const create = (more = {}) => server.post<Person>("/people/v1", { ...body, ...more }, { headers });
  const [first, again] = [await create(), await create()];
  assertEquals([first.status, again.status, again.text], [201, 201, first.text]);
  assertEquals(again.headers.get("idempotency-replayed"), "true");
  for (const more of [{ pin: "27182819" }, { badge_code: unique("badge") }, { display_name: "Ben" }]) {
    assertProblem(await create(more), 422, "idempotency_key_reused");
  }
});

Deno.test("PATCH /people/v1/{person_id}: a repeated request says nothing of a PIN or badge that has changed since", async () => {
  const { id } = await newPerson([]);
  const headers = { "Idempotency-Key": unique("K") };
  const mine = { badge_code: unique("badge"), pin: "27182818" };
  const change = (secrets: Record<string, string>) => server.patch<Person>(path(id), secrets, { headers });
  const [first, again] = [await change(mine), await change(mine)];
  assertEquals([first.status, again.status, again.text], [200, 200, first.text]);
  assertEquals(again.headers.get("idempotency-replayed"), "true");

  const theirs = { badge_code: unique("badge"), pin: "31415926" };
  assertEquals((await server.patch(path(id), theirs)).status, 200);
  // the old ones, the new ones, and others
  const guesses = [mine, theirs, { ...mine, pin: theirs.pin }, { ...theirs, pin: mine.pin }];
  const answers = new Set<string>();
  for (const guess of [...guesses, { badge_code: unique("badge"), pin: "16180339" }]) {
    const answer = await change(guess);
    assertProblem(answer, 422, "idempotency_key_reused");
    answers.add(answer.text.replace(/"instance":"[^"]*"/, ""));
  }
  assertEquals(answers.size, 1, [...answers].join("\n"));
});

Deno.test("People: supervisors see those who share a workplace, and manage those of their own workplaces only", async () => {
  const [here, there] = [await aWorkplace(), await aWorkplace()];
  const { client: supervisor } = await newUser({ role: "supervisor", workplaces: [here] });
  const { client: operator } = await newUser({ role: "operator", workplaces: [here] });
  const [own, shared, foreign, everywhere] = await Promise.all(
    [[here], [here, there], [there], ["*"]].map((workplaces) => newPerson(workplaces)),
  );
  assert(own && shared && foreign && everywhere);
  const seen = await supervisor.get<Person[]>("/people/v1?limit=500", { query: { workplace_name: here } });
  const ids = seen.body.map(({ id }) => id);
  for (const { id } of [own, shared, everywhere]) assert(ids.includes(id));
  assert(!ids.includes(foreign.id));
  assertEquals((await operator.get<Person[]>("/people/v1")).body, []);

  const change = { display_name: "Ben" };
  assertEquals((await supervisor.patch(path(own.id), change)).status, 200);
  for (const { id } of [shared, everywhere]) {
    assertProblem(await supervisor.patch(path(id), change), 403, "forbidden");
    assertProblem(await supervisor.delete(path(id)), 403, "forbidden");
    assertProblem(await supervisor.post(`${path(id)}/pseudonymise`), 403, "forbidden");
  }
  for (const client of [supervisor, operator]) {
    assertProblem(await client.get(path(foreign.id)), 404, "not_found");
    assertProblem(await client.patch(path(foreign.id), change), 404, "not_found");
    assertProblem(await client.delete(path(foreign.id)), 404, "not_found");
    assertProblem(await client.post(`${path(foreign.id)}/pseudonymise`), 404, "not_found");
  }
  for (const workplace_access of [[there], [here, there], ["*"], []]) {
    assertProblem(await supervisor.patch(path(own.id), { workplace_access }), 403, "forbidden");
    assertProblem(await supervisor.post("/people/v1", { ...change, workplace_access }), 403, "forbidden");
  }
  assertProblem(await operator.post("/people/v1", { ...change, workplace_access: [here] }), 403, "forbidden");
  assertProblem(await operator.patch(path(own.id), change), 404, "not_found");
});

Deno.test("GET /people/v1: lists by prefix, in pages", async () => {
  const here = await aWorkplace();
  const prefix = unique("Q");
  const people = await Promise.all(
    ["c", "a", "b"].map((end) => newPerson([here], { display_name: `${prefix} ${end}` })),
  );
  const { client: supervisor } = await newUser({ role: "supervisor", workplaces: [here] });
  const names: string[] = [];
  let page: string | undefined = `/people/v1?q=${prefix.toLowerCase()}&limit=2&count=exact`;
  while (page !== undefined) {
    const answer: Answer<Person[]> = await supervisor.get<Person[]>(page);
    assertEquals([answer.status, answer.headers.get("x-total-count")], [200, "3"], answer.text);
    names.push(...answer.body.map(({ display_name }) => display_name ?? ""));
    page = nextPage(answer);
  }
  assertEquals(names, ["a", "b", "c"].map((end) => `${prefix} ${end}`));
  const byNumber = await supervisor.get<Person[]>("/people/v1", { query: { q: people[0]?.person_no ?? "" } });
  assertEquals(byNumber.body.map(({ id }) => id), [people[0]?.id]);
});

Deno.test("DELETE /people/v1/{person_id}: deletes a person who has reported nothing; their old badge is free", async () => {
  const { id, badge_code } = await newPerson([]);
  assertProblem(await server.delete(path(id), { headers: { "if-match": '"7"' } }), 412, "stale_version");
  assertEquals((await server.delete(path(id))).status, 204);
  assertProblem(await server.get(path(id)), 404, "not_found");
  await newPerson([], { badge_code });
});

// ---------------------------------------------------------------- signing in

Deno.test("POST /people/v1/sign-in: signs in by badge and PIN, by number and PIN, and by a badge that needs no PIN", async () => {
  const here = await aWorkplace();
  const terminal = await newTerminal([here]);
  const { person_no, badge_code, pin, id, display_name } = await newPerson(["*"]);
  for (const credentials of [{ badge_code, pin }, { person_no, pin }]) {
    const { status, body, text } = await tryToSignIn(terminal.client, credentials);
    assertEquals(status, 201, text);
    assertEquals([body.person, body.terminal.id, body.role, body.workplace_access], [
      { id, display_name, person_no },
      terminal.id,
      "machine",
      [here],
    ]);
    const validMs = Date.parse(body.expires_at) - Date.now();
    assert(validMs > 29 * 60_000 && validMs < 31 * 60_000, body.expires_at);
  }
  const noPin = await newPerson([here], { pin: null });
  assertEquals((await tryToSignIn(terminal.client, { badge_code: noPin.badge_code })).status, 201);
  // a number alone is known to everybody
  const alone = await tryToSignIn(terminal.client, { person_no: noPin.person_no });
  assertProblem(alone, 422, "validation_failed");
  assertProblem(await tryToSignIn(terminal.client, { badge_code, person_no, pin }), 422, "validation_failed");
  assertProblem(await tryToSignIn(terminal.client, { pin }), 422, "validation_failed");
});

Deno.test("POST /people/v1/sign-in: gives every wrong sign-in the same answer", async () => {
  const here = await aWorkplace();
  const person = await newPerson([here]);
  const inactive = await newPerson([here], { active: false });
  const noPin = await newPerson([here], { pin: null });
  const { badge_code, person_no, pin } = person;
  const answers: string[] = [];
  const attempts = [
    { badge_code, pin: wrongPin(person) },
    { badge_code },
    { person_no, pin: wrongPin(person) },
    { badge_code: unique("badge"), pin },
    { badge_code: unique("badge") },
    { person_no: unique("P"), pin },
    { badge_code: inactive.badge_code, pin: inactive.pin },
    { badge_code: noPin.badge_code, pin },
    { person_no: noPin.person_no, pin },
  ];
  for (const credentials of attempts) {
    // a terminal for each, since failures lock it
    const { status, text } = await tryToSignIn((await newTerminal([here])).client, credentials);
    answers.push(`${status} ${text.replace(/"instance":"[^"]*"/, "")}`);
  }
  assertEquals(new Set(answers).size, 1, answers.join("\n"));
  assert(answers[0]?.startsWith("403"), answers[0]);
});

Deno.test("POST /people/v1/sign-in: is for terminals, of a workplace that the person has", async () => {
  const here = await aWorkplace();
  const { badge_code, pin } = await newPerson([here]);
  for (const role of ["readonly", "operator", "supervisor", "manager", "admin"] as const) {
    const { client } = await newUser({ role, workplaces: [here] });
    assertProblem(await tryToSignIn(client, { badge_code, pin }), 403, "forbidden");
  }
  assertProblem(await tryToSignIn(server, { badge_code, pin }), 403, "forbidden");
  const elsewhere = await newTerminal([await aWorkplace()]);
  assertProblem(await tryToSignIn(elsewhere.client, { badge_code, pin }), 403, "forbidden");
});

/** Five wrong PINs of the person at the terminal. */
async function lock(terminal: Client, person: { badge_code: string; pin: string }): Promise<void> {
  for (let tries = 1; tries <= 5; tries++) {
    const { badge_code } = person;
    assertEquals(outcome(await tryToSignIn(terminal, { badge_code, pin: wrongPin(person) })), failed, `try ${tries}`);
  }
}

Deno.test("POST /people/v1/sign-in: locks person and terminal after five wrong PINs, and a new PIN ends the person's lock", async () => {
  const here = await aWorkplace();
  const [terminal, other, third] = [await newTerminal([here]), await newTerminal([here]), await newTerminal([here])];
  const [person, colleague] = [await newPerson([here]), await newPerson([here])];
  await lock(terminal.client, person);
  const answer = await tryToSignIn(terminal.client, person_(person));
  const { retry_after_s } = assertProblem(answer, 429, "sign_in_locked");
  assert(typeof retry_after_s === "number" && retry_after_s > 880 && retry_after_s <= 900, answer.text);
  assertEquals(answer.headers.get("retry-after"), String(retry_after_s));
  // the terminal for everybody, the person everywhere, by badge and by number
  assertEquals(outcome(await tryToSignIn(terminal.client, person_(colleague))), locked);
  assertEquals(outcome(await tryToSignIn(other.client, person_(person))), locked);
  const { person_no, pin } = person;
  assertEquals(outcome(await tryToSignIn(other.client, { person_no, pin })), locked);
  await signIn(third.client, colleague);

  const changed = await server.patch(path(person.id), { pin: "31415926" });
  assertEquals(changed.status, 200, changed.text);
  await signIn(third.client, { ...person, pin: "31415926" });
});

const person_ = ({ badge_code, pin }: { badge_code: string; pin: string }) => ({ badge_code, pin });

Deno.test("POST /people/v1/sign-in: locks unknown badges and numbers as it locks people", async () => {
  const here = await aWorkplace();
  const person_no = unique("P");
  for (let tries = 1; tries <= 5; tries++) {
    const { client } = await newTerminal([here]);
    assertEquals(outcome(await tryToSignIn(client, { person_no, pin: "1234" })), failed, `try ${tries}`);
  }
  assertEquals(outcome(await tryToSignIn((await newTerminal([here])).client, { person_no, pin: "1234" })), locked);
});

Deno.test("POST /people/v1/sign-in: forgives a person's own mistakes, and no guesses at others, when they sign in", async () => {
  const here = await aWorkplace();
  const { client } = await newTerminal([here]);
  const [victim, mallory] = [await newPerson([here]), await newPerson([here])];
  const guess = (person: typeof victim) =>
    tryToSignIn(client, { badge_code: person.badge_code, pin: wrongPin(person) }).then(outcome);
  assertEquals([await guess(mallory), await guess(mallory), await guess(mallory)], [failed, failed, failed]);
  await signIn(client, mallory);
  assertEquals([await guess(victim), await guess(victim)], [failed, failed]);
  await signIn(client, mallory);
  assertEquals([await guess(victim), await guess(victim), await guess(mallory)], [failed, failed, failed]);
  assertEquals(await guess(mallory), locked);
});

Deno.test("POST /people/v1/sign-in: 50 parallel guesses are at most five tries, at one terminal and at many", async () => {
  const here = await aWorkplace();
  const terminals = await Promise.all(Array.from({ length: 10 }, () => newTerminal([here])));
  for (const used of [terminals.slice(0, 1), terminals.slice(1)]) {
    const person = await newPerson([here]);
    const outcomes = tally(
      await race(50, async (racer) => {
        const { client } = used[racer % used.length] ?? { client: server };
        return outcome(await tryToSignIn(client, { badge_code: person.badge_code, pin: String(100_000 + racer) }));
      }),
    );
    assertEquals(Object.keys(outcomes).filter((one) => ![failed, locked, "429 rate_limited"].includes(one)), []);
    assert((outcomes[failed] ?? 0) <= 5 && (outcomes[failed] ?? 0) >= 1, JSON.stringify(outcomes));
  }
});

Deno.test({
  name: `POST /people/v1/sign-in: ends a lock 15 minutes after the fifth failure${needsDatabase}`,
  ignore: !hasDatabase,
}, async () => {
  const here = await aWorkplace();
  const terminal = await newTerminal([here]);
  const person = await newPerson([here]);
  await lock(terminal.client, person);
  const later = (minutes: number) =>
    withSql((sql) =>
      sql`
      update app.failed_sign_ins set failed_at = failed_at - ${minutes} * interval '1 minute'
      where terminal_id = ${terminal.id}`
    );
  await later(14);
  assertEquals(outcome(await tryToSignIn(terminal.client, person_(person))), locked);
  await later(1);
  assertEquals(outcome(await tryToSignIn(terminal.client, { ...person_(person), pin: wrongPin(person) })), failed);
  await signIn(terminal.client, person);
});

Deno.test("POST /people/v1/sign-in: takes as long for unknown people as for a wrong PIN", async () => {
  const here = await aWorkplace();
  const person = await newPerson([here]);
  const times: Record<string, number[]> = { wrong: [], unknown: [] };
  for (let round = 0; round < 4; round++) {
    for (const [name, badge_code] of [["wrong", person.badge_code], ["unknown", unique("badge")]] as const) {
      const { client } = await newTerminal([here]);
      const began = performance.now();
      assertEquals(outcome(await tryToSignIn(client, { badge_code, pin: "000000000000" })), failed);
      times[name]?.push(performance.now() - began);
    }
  }
  // bcrypt takes tens of milliseconds, the rest of the request a few
  const least = (name: string) => Math.min(...times[name] ?? []);
  assert(Math.abs(least("wrong") - least("unknown")) < 0.6 * least("wrong"), JSON.stringify(times));
});

Deno.test("Data API: update_person tells a caller who adds a PIN to a repeated request nothing of the person's own", async () => {
  const here = await aWorkplace();
  const supervisor = dataApi((await newUser({ role: "supervisor", workplaces: [here] })).client);
  const [own, other] = ["0a", "0b"].map((byte) => byte.repeat(32));
  const person = { display_name: "Anna", workplace_access: [here], pin: own };
  const { body: created } = await supervisor.post<{ body: Person }>("/rest/v1/rpc/create_person", { person });
  const idempotency = { key: unique("K"), method: "PATCH", route: "/people", fingerprint: "ab".repeat(32) };
  const change = (more = {}) =>
    supervisor.post("/rest/v1/rpc/update_person", {
      id: created.body.id,
      patch: { display_name: "Bea", ...more },
      idempotency,
    });
  const [first, again] = [await change(), await change()];
  assertEquals([first.status, again.status], [200, 200], first.text);
  const [right, wrong] = [await change({ pin: own }), await change({ pin: other })];
  assertEquals([right.status, wrong.status, wrong.text], [422, 422, right.text]);
});

Deno.test("Data API: sign_in_person and create_person take digests only, and do not repeat what else they get", async () => {
  const here = await aWorkplace();
  const terminal = dataApi((await newTerminal([here])).client);
  const supervisor = dataApi((await newUser({ role: "supervisor", workplaces: [here] })).client);
  const token_digest = "0a".repeat(32);
  for (const credentials of [{ badge_code: "secretbadge" }, { badge_code: "0a".repeat(32), pin: "271828" }]) {
    const answer = await terminal.post("/rest/v1/rpc/sign_in_person", { credentials, token_digest });
    assertEquals(answer.status, 422, answer.text);
    assert(!/secretbadge|271828/.test(answer.text), answer.text);
  }
  for (const secret of [{ badge_code: "secretbadge" }, { pin: "271828" }]) {
    const person = { display_name: "Anna", workplace_access: [here], ...secret };
    const answer = await supervisor.post("/rest/v1/rpc/create_person", { person });
    assertEquals(answer.status, 422, answer.text);
    assert(!/secretbadge|271828/.test(answer.text), answer.text);
  }
  // what a caller adds to a person is not stored
  const digest = `\\x${token_digest}`;
  const person = {
    display_name: "Anna",
    workplace_access: [here],
    badge_digest: digest,
    pin_hash: "$2a$10$x",
    version: 9,
  };
  const { body, text } = await supervisor.post<{ body: Person }>("/rest/v1/rpc/create_person", { person });
  assertEquals([body.body.has_badge, body.body.has_pin, body.body.version], [false, false, 1], text);
});
