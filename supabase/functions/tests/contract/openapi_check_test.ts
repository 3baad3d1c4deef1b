/** The check that every other test relies on must itself be able to fail. */
import { assertEquals, assertMatch } from "../support/assertions.ts";
import { newOperation, operationPath, server } from "../support/harness.ts";
import { contractViolations, type Exchange } from "../support/openapi_check.ts";

/** A true answer, to be bent. */
async function trueExchange(): Promise<Exchange & { body: Record<string, unknown> }> {
  const path = operationPath(await newOperation());
  const { status, headers, text, body } = await server.get<Record<string, unknown>>(path);
  return { method: "GET", path, status, headers, text, body };
}

const problem = {
  type: "/functions/v1/docs/errors/not_found",
  title: "There is no such resource",
  status: 404,
  detail: "There is no such resource",
  instance: "terminal-7",
  code: "not_found",
};
const problemHeaders = { "content-type": "application/problem+json", "x-request-id": "terminal-7" };

function without(object: Record<string, unknown>, member: string) {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== member));
}

Deno.test("contractViolations: none in what the API answers", async () => {
  assertEquals(contractViolations(await trueExchange()), []);
});

Deno.test("contractViolations: everything that bends an answer away from the document is named", async () => {
  const exchange = await trueExchange();
  const headersWithout = (name: string) => new Headers([...exchange.headers].filter(([header]) => header !== name));
  const plain = new Headers(exchange.headers);
  plain.set("content-type", "text/plain");
  const bent: [Partial<Exchange>, RegExp][] = [
    [{ status: 202 }, /does not declare status 202/],
    [{ path: "/operations/v7" }, /no path for \/operations\/v7/],
    [{ method: "PUT" }, /no PUT of/],
    [{ method: "HEAD" }, /HEAD has a body/],
    [{ headers: plain }, /content type "text\/plain"/],
    [{ headers: headersWithout("etag") }, /header ETag is missing/],
    [{ headers: headersWithout("x-request-id") }, /X-Request-Id is missing/],
    [{ body: without(exchange.body, "qty_good") }, /qty_good/],
    [{ body: { ...exchange.body, qty_good: "1" } }, /\/qty_good must be/],
    [{ body: { ...exchange.body, status: "DONE" } }, /\/status must be/],
    [{ body: { ...exchange.body, created_at: "2026-01-01 00:00:00+00" } }, /\/created_at must match/],
    [{ body: { ...exchange.body, id: 7 } }, /unevaluated/],
    [{ body: [exchange.body] }, /must be object/],
    [{ path: "/operations/v1", body: [{ ...exchange.body, id: 7 }] }, /unevaluated/],
    [{ path: "/operations/v1", body: exchange.body }, /must be array/],
  ];
  for (const [change, expected] of bent) {
    assertMatch(contractViolations({ ...exchange, ...change }).join("\n"), expected);
  }
});

Deno.test("contractViolations: every member of a problem must be there, and true", () => {
  const exchange = (body: Record<string, unknown>, headers: Record<string, string> = problemHeaders): Exchange => ({
    method: "GET",
    path: "/operations/v1/999999/1/0010",
    status: 404,
    headers: new Headers(headers),
    text: JSON.stringify(body),
    body,
  });
  assertEquals(contractViolations(exchange(problem)), []);
  for (const member of Object.keys(problem)) {
    assertMatch(contractViolations(exchange(without(problem, member))).join("\n"), new RegExp(member));
  }
  assertMatch(contractViolations(exchange({ ...problem, status: 400 })).join(), /says status 400/);
  assertMatch(contractViolations(exchange({ ...problem, instance: "other" })).join(), /not the request id/);
  const asJson = { ...problemHeaders, "content-type": "application/json" };
  assertMatch(contractViolations(exchange(problem, asJson)).join(), /not as application\/problem\+json/);
});
