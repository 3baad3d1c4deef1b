/** What a request is charged to: the class of its endpoint, in the budget of its caller. */
import type { RateClass } from "../../_shared/rate_budget.ts";
import { newKey } from "../support/api_keys.ts";
import { hasDatabase } from "../support/database_connection.ts";
import { assertEquals, assertProblem, type Client, newUser, newWorkplace } from "../support/harness.ts";
import { limitCaller, rateClassOf, unitsLeft } from "../support/rate_limits.ts";
import { newPerson, newTerminal, signIn, tryToSignIn, wrongPin } from "../support/terminals.ts";
import contract from "../../../../docs/openapi.json" with { type: "json" };

/** Endpoints that are not one read or one write, in each of their versions. */
const others: Record<string, RateClass> = {
  "PATCH /operations": "heavy",
  "POST /operations/import": "heavy",
  "POST /events/batch": "heavy",
  "GET /reports/oee": "heavy",
  "GET /reports/timeline": "heavy",
  "GET /reports/losses": "heavy",
  "GET /reports/scrap": "heavy",
  "GET /reports/operations": "heavy",
  "GET /reports/summary": "heavy",
  "POST /people/sign-in": "sign_in",
};

/** All endpoints that need a credential: method, and path in its version. */
const endpoints = Object.entries(contract.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method): [string, string] => [method.toUpperCase(), path.replace("/functions/v1", "")])
).filter(([, path]) => /^\/[\w-]+\/v\d+(\/|$)/.test(path));

Deno.test("Rate limits: an endpoint has one class in all versions", async () => {
  const { client } = await newUser();
  const found: Record<string, string[]> = {};
  const expected: Record<string, string[]> = {};
  for (const [method, path] of endpoints) {
    const title = `${method} ${path.replace(/\/v\d+/, "")}`;
    const body = method === "GET" || method === "DELETE" ? undefined : {};
    const answer = await client.request(method, path.replace(/\{\w+\}/g, "1"), { body });
    (found[title] ??= []).push(rateClassOf(answer) ?? answer.text);
    (expected[title] ??= []).push(others[title] ?? (method === "GET" ? "reads" : "writes"));
  }
  assertEquals(found, expected);
  // operations and events have two versions
  assertEquals(Object.values(found).filter((classes) => classes.length === 2).length, 16);
});

const terminals: [
  name: string,
  create: (workplace: string) => Promise<{ id: string; client: Client }>,
  kind: "user" | "key",
][] = [
  ["a user", (workplace) => newTerminal([workplace]), "user"],
  ["an API key", (workplace) => newKey({ role: "machine", workplaces: [workplace] }), "key"],
];

for (const [name, create, kind] of terminals) {
  Deno.test({
    name: `Rate limits: sign-ins are charged to sign_in and nothing else, when the terminal is ${name}`,
    ignore: !hasDatabase,
  }, async () => {
    const here = newWorkplace();
    const [terminal, other] = await Promise.all([create(here), create(here)]);
    await limitCaller(`${kind}:${terminal.id}`, "sign_in", 1, 3);
    await limitCaller(`${kind}:${terminal.id}`, "writes", 1, 1);
    const person = await newPerson([here]);
    const { badge_code, pin } = person;
    // a wrong PIN costs as much
    for (const [given, status, left] of [[pin, 201, 2], [wrongPin(person), 403, 1]] as const) {
      const answer = await tryToSignIn(terminal.client, { badge_code, pin: given });
      assertEquals([answer.status, rateClassOf(answer), unitsLeft(answer)], [status, "sign_in", left], answer.text);
    }
    const acting = await signIn(terminal.client, person);
    const refused = await tryToSignIn(terminal.client, { badge_code, pin });
    assertEquals(assertProblem(refused, 429, "rate_limited").policy, "sign_in");
    // what the person does is not bound by it, and neither is another terminal
    assertEquals(rateClassOf(await acting.get("/people/v1/me")), "reads");
    const signedOut = await acting.post("/people/v1/sign-out");
    assertEquals([rateClassOf(signedOut), unitsLeft(signedOut)], ["writes", 0]);
    await signIn(other.client, person);
  });
}

Deno.test({ name: "Rate limits: each API key has a budget of its own", ignore: !hasDatabase }, async () => {
  const keys = await Promise.all([newKey(), newKey()]);
  for (const { id } of keys) await limitCaller(`key:${id}`, "reads", 1, 4);
  for (const { client } of keys) {
    const left = [];
    for (let request = 0; request < 5; request++) {
      const answer = await client.get("/operations/v1?limit=1");
      left.push([answer.status, unitsLeft(answer)]);
    }
    assertEquals(left, [[200, 3], [200, 2], [200, 1], [200, 0], [429, 0]]);
  }
});
