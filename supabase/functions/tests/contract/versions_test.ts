/** Versions are data: what their table says is what answers, refusals and the OpenAPI document say. */
import { markEndings } from "../../../../docs/version_endings.ts";
import openapi from "../../../../docs/openapi.json" with { type: "json" };
import { createApp } from "../../_shared/app.ts";
import { hasEnded, isEnding, successorOf, type Version, versions, versionsOf } from "../../_shared/versions.ts";
import { endpoints } from "../../operations/index.ts";
import { assert, assertEquals } from "../support/assertions.ts";
import { answerOf } from "../support/document.ts";
import { table } from "../support/functions_of_other_versions.ts";
import { startFunctions } from "../support/functions_process.ts";
import { env, type JsonObject, newOperation, operationPath, type ProblemBody } from "../support/harness.ts";
import { version2Path } from "../support/version2_client.ts";

const dayMs = 86_400_000;

/** Headers of the end of operations v1 in the table of these tests. */
const ofTheEnd = { deprecation: "@1767225600", sunset: "Thu, 01 Jan 2099 00:00:00 GMT" };

function headersOfTheEnd(headers: Headers) {
  return { deprecation: headers.get("deprecation"), sunset: headers.get("sunset") };
}

/** Operations whose version 1 ends by the table of these tests, at a time of this clock. */
function operationsAt(time: string) {
  const now = () => Date.parse(time);
  return createApp("operations", { versioning: { table, now } }).openapiRoutes(endpoints);
}

Deno.test("Versions: the table has each version once, in order, and no end within a year of its deprecation", () => {
  const rows: readonly Version[] = versions;
  for (const resource of new Set(rows.map(({ resource }) => resource))) {
    const numbers = versionsOf(resource).map(({ version }) => Number(version.slice(1)));
    assertEquals(numbers, [...new Set(numbers)].toSorted((a, b) => a - b), resource);
  }
  for (const row of rows.filter(isEnding)) {
    const { resource, version, deprecatedAt, sunsetAt = "9999-01-01T00:00:00Z" } = row;
    assert(Date.parse(sunsetAt) - Date.parse(deprecatedAt) >= 365 * dayMs, `${resource} ${version} ends too soon`);
    assert(successorOf(row) !== undefined, `${resource} ${version} has no successor`);
  }
});

Deno.test("Versions: the table has those of the OpenAPI document, and that of JSON-RPC", () => {
  const documented = Object.keys(openapi.paths).flatMap((path) => /^\/([a-z-]+\/v\d+)/.exec(path)?.[1] ?? []);
  documented.push("mcp/v1");
  const served = versions.filter((row: Version) => row.status !== "sunset");
  assertEquals(
    [...new Set(documented)].toSorted(),
    served.map(({ resource, version }) => `${resource}/${version}`).toSorted(),
  );
});

Deno.test("Versions: a version ends at its sunset, and not before", () => {
  const v1 = { resource: "operations", version: "v1" } as const;
  const at = (time: string) => Date.parse(time);
  const [deprecatedAt, sunsetAt] = ["2029-01-01T00:00:00Z", "2030-01-01T00:00:00Z"];
  const deprecated = { ...v1, status: "deprecated", deprecatedAt, sunsetAt } as const;
  assertEquals(hasEnded(deprecated, at(sunsetAt) - 1), false);
  assertEquals(hasEnded(deprecated, at(sunsetAt)), true);
  assertEquals(hasEnded({ ...v1, status: "deprecated", deprecatedAt }, at("9999-01-01T00:00:00Z")), false);
  assertEquals(hasEnded({ ...v1, status: "current" }, at("9999-01-01T00:00:00Z")), false);
  assertEquals(hasEnded({ ...v1, status: "sunset", deprecatedAt, sunsetAt }, at(sunsetAt) - dayMs), true);
});

Deno.test("Deprecated version: each answer says when it ends and what comes after it; other versions say nothing", async () => {
  const app = operationsAt("2098-12-31T23:59:59.999Z");
  const expected = {
    ...ofTheEnd,
    link:
      '</functions/v1/operations>; rel="deprecation", </functions/v1/operations/v3/A/1/0010>; rel="successor-version"',
  };
  const { status, headers } = await app.request("/operations/v1/A/1/0010", {
    headers: { origin: "https://example.com" },
  });
  assertEquals(status, 401);
  assertEquals({ ...headersOfTheEnd(headers), link: headers.get("link") }, expected);
  const exposed = headers.get("access-control-expose-headers")?.split(",") ?? [];
  assertEquals(["Deprecation", "Sunset"].filter((name) => !exposed.includes(name)), []);
  const odd = await app.request("/operations/v1/%E2%82%AC%3E%22/1/0010");
  assertEquals(
    odd.headers.get("link")?.split(", ")[1],
    expected.link.split(", ")[1]?.replace("/A/", "/%E2%82%AC%3E%22/"),
  );
  const unknown = await app.request("/operations/v1/nowhere");
  assertEquals([unknown.status, unknown.headers.get("sunset")], [404, ofTheEnd.sunset]);
  for (const path of ["/operations/v2", "/operations", "/operations/v10"]) {
    const { headers } = await app.request(path);
    assertEquals([headersOfTheEnd(headers), headers.get("link")], [{ deprecation: null, sunset: null }, null], path);
  }
});

Deno.test("Ended version: each path of it is 410 version_gone from the sunset on, without a credential", async () => {
  const app = operationsAt("2099-01-01T00:00:00Z");
  const requests = [["GET", "/operations/v1"], ["POST", "/operations/v1"], ["GET", "/operations/v1/removed/long/ago"]];
  for (const [method, path] of requests) {
    const answer = await app.request(path ?? "", { method, headers: { "x-request-id": "gone" } });
    const body: ProblemBody = await answer.json();
    assertEquals([answer.status, body.code, body.type], [
      410,
      "version_gone",
      "/functions/v1/docs/errors/version_gone",
    ]);
    assertEquals([body.instance, body.sunset_at, body.successor], [
      "gone",
      "2099-01-01T00:00:00.000Z",
      "/functions/v1/operations/v3",
    ]);
    assertEquals(headersOfTheEnd(answer.headers), ofTheEnd);
    assertEquals(answer.headers.get("content-type"), "application/problem+json");
    assert(answer.headers.get("link")?.includes('rel="successor-version"'));
  }
  assertEquals((await app.request("/operations/v2")).status, 404);
  const preflight = await app.request("/operations/v1", { method: "OPTIONS" });
  assertEquals(preflight.status, 204);
});

Deno.test("GET /{function}: lists the versions that are served, and the state of each", async () => {
  const about = async (time: string) => {
    const { versions, version_states, links } = await (await operationsAt(time).request("/operations")).json();
    return { versions, v1: version_states.v1, v3: version_states.v3.status, links: Object.keys(links).slice(0, -3) };
  };
  const dates = { deprecated_at: "2026-01-01T00:00:00.000Z", sunset_at: "2099-01-01T00:00:00.000Z" };
  assertEquals(await about("2098-12-31T00:00:00Z"), {
    versions: ["v1", "v2", "v3"],
    v1: { status: "deprecated", ...dates },
    v3: "current",
    links: ["v1", "v2", "v3"],
  });
  assertEquals(await about("2099-01-01T00:00:00Z"), {
    versions: ["v2", "v3"],
    v1: { status: "sunset", ...dates },
    v3: "current",
    links: ["v2", "v3"],
  });
});

/** An endpoint of the document, as far as its version is concerned. */
interface Endpoint {
  deprecated?: boolean;
  responses: Record<
    string,
    { description: string; headers: JsonObject; content?: Record<string, { examples: object }> }
  >;
}

/** Returns the paths of the document, if these were the versions. */
function markedBy(table: readonly Version[]): Record<string, Record<string, Endpoint>> {
  // endings are marked before answers become components
  const whole = JSON.stringify(openapi.paths, (_, value) => answerOf(value));
  return JSON.parse(JSON.stringify(markEndings(JSON.parse(whole), table)));
}

Deno.test("OpenAPI document: endpoints of a version that ends are deprecated and declare headers and 410", () => {
  const ended: Version[] = [
    ...table.filter(({ resource }) => resource === "operations"),
    { resource: "events", version: "v1", status: "deprecated", deprecatedAt: "2026-01-01T00:00:00Z" },
    { resource: "events", version: "v2", status: "current" },
    ...["profiles", "workplaces"].map((resource): Version => ({
      ...{ resource, version: "v1", status: "sunset" },
      ...{ deprecatedAt: "2024-01-01T00:00:00Z", sunsetAt: "2025-01-01T00:00:00Z" },
    })),
  ];
  const marked = markedBy(ended);
  const endpointsOf = (prefix: string) =>
    Object.entries(marked).filter(([path]) => path.startsWith(prefix))
      .flatMap(([, methods]) => Object.values(methods));
  const names = (prefix: string) => {
    const responses = endpointsOf(prefix).flatMap(({ responses }) => Object.values(responses));
    return ["Deprecation", "Sunset"].filter((name) => responses.every(({ headers }) => name in headers));
  };
  const gone = (endpoint: Endpoint | undefined) =>
    Object.keys(endpoint?.responses["410"]?.content?.["application/problem+json"]?.examples ?? {});

  assertEquals(new Set(endpointsOf("/operations/v1").map(({ deprecated }) => deprecated)), new Set([true]));
  assertEquals(names("/operations/v1"), ["Deprecation", "Sunset"]);
  assertEquals(endpointsOf("/operations/v1").filter((one) => gone(one).join() !== "version_gone"), []);
  // its end is not decided yet
  assertEquals(names("/events/v1"), ["Deprecation"]);
  assertEquals(gone(endpointsOf("/events/v1/feed")[0]), ["feed_reset"]);
  for (const prefix of ["/operations/v2", "/events/v2"]) {
    assertEquals(JSON.stringify(endpointsOf(prefix)).match(/"deprecated"|"Sunset"|version_gone/g), null);
  }
  assertEquals([endpointsOf("/profiles/v1"), endpointsOf("/workplaces/v1")], [[], []]);
  assert(endpointsOf("/profiles").length > 0, "the answer about the function stays");
  // together with what the endpoint answers by 410 itself
  assertEquals(gone(markedBy(table)["/events/v1/feed"]?.get), ["feed_reset", "version_gone"]);
});

Deno.test("Versions over HTTP: a deprecated version works and says so; an ended one is gone beside its successor", async () => {
  const operation = await newOperation();
  const module = import.meta.resolve("../support/functions_of_other_versions.ts");
  const functions = await startFunctions([["operations", module], ["events", module]]);
  try {
    const get = async (path: string) => {
      const answer = await fetch(`${functions.url}${path}`, { headers: { apikey: env.secretKey } });
      return { status: answer.status, headers: answer.headers, body: await answer.json() };
    };
    const one = await get(operationPath(operation));
    assertEquals([one.status, one.body.order_no, headersOfTheEnd(one.headers)], [200, operation.order_no, ofTheEnd]);
    const list = await get(`/operations/v1?order_no=${operation.order_no}&limit=1`);
    assertEquals([list.status, list.body.length, headersOfTheEnd(list.headers)], [200, 1, ofTheEnd]);
    const two = await get(version2Path(operationPath(operation)));
    assertEquals([two.status, two.body._links.self.method], [200, "GET"]);
    assertEquals(headersOfTheEnd(two.headers), { deprecation: null, sunset: null });

    // a third version is a row of the table and what it answers
    const [, successor] = /<\/functions\/v1([^>]+)>; rel="successor-version"/.exec(one.headers.get("link") ?? "") ?? [];
    assertEquals(successor, operationPath(operation).replace("/v1/", "/v3/"));
    const three = await get(successor ?? "");
    assertEquals([three.status, three.body], [200, { operation: one.body }]);
    assertEquals((await get(`/operations/v3?order_no=${operation.order_no}`)).body[0].order_no, operation.order_no);

    const path = `/events/v1?order_no=${operation.order_no}`;
    const gone = await get(path);
    assertEquals([gone.status, gone.body.code], [410, "version_gone"]);
    assertEquals(gone.headers.get("sunset"), "Wed, 01 Jan 2025 00:00:00 GMT");
    const kept = await get(version2Path(path));
    assertEquals([kept.status, kept.body.items], [200, []]);
    const about = await get("/events");
    assertEquals([about.body.versions, about.body.version_states.v1.status], [["v2"], "sunset"]);
  } finally {
    await functions.end();
  }
});
