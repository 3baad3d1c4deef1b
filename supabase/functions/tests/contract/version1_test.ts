/**
 * Version 1 answers as it did before there was a version 2, byte for byte: status, headers and body of one request to
 * each endpoint of operations and events, and of refused ones, are those of version1_answers.json. That file was
 * recorded before version 2 existed. Members that an answer has got since then are left out of the comparison, because a
 * version may get new ones. `RECORD=1 deno task test version1_test` records the answers anew.
 */
import { assertEquals } from "../support/assertions.ts";
import {
  type Client,
  type Json,
  type JsonObject,
  newUser,
  operationPath,
  type RequestOptions,
  server,
  unique,
} from "../support/harness.ts";

const file = new URL("version1_answers.json", import.meta.url);

/** What is recorded of an exchange. */
interface Recorded {
  request: string;
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** Headers that say something about the answer. Others belong to the connection, or to the frame of all functions. */
const recordedHeaders = [
  ...["allow", "cache-control", "content-type", "deprecation", "etag", "idempotency-replayed", "link", "location"],
  ...["retry-after", "sunset", "www-authenticate", "x-request-id", "x-total-count"],
];

/** Replaces what no two runs have in common, each by a word of its kind. */
function comparable(text: string): string {
  return text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uuid>")
    .replace(/-[0-9a-f]{12}\b/g, "-<unique>")
    .replace(/\beyJ[\w.-]+/g, "<cursor>")
    // the times of the test itself are those of one day
    .replace(/\b20\d\d-(?!01-05T)\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replace(/"pos":\d+/g, '"pos":"<number>"')
    // an open run counts until now
    .replace(/"t_actual_processing_min":\d{5,}(\.\d+)?/g, '"t_actual_processing_min":"<minutes>"')
    .replace(/"(webhook_success|webhook_response|error_message)":(\w+|"[^"]*")/g, '"$1":"<webhooks>"');
}

/** Sends a request and returns the exchange as it is recorded. */
async function record(client: Client, method: string, path: string, options: RequestOptions = {}): Promise<Recorded> {
  const answer = await client.request(method, path, {
    ...options,
    headers: { "x-request-id": "version-1", ...options.headers },
  });
  const headers = [...answer.headers].filter(([name]) => recordedHeaders.includes(name));
  return {
    request: comparable(`${method} ${path}`),
    status: answer.status,
    headers: Object.fromEntries(headers.map(([name, value]) => [name, comparable(value)])),
    body: comparable(answer.text),
  };
}

/** Sends the requests, each of which depends on those before it. */
async function exchanges(): Promise<Recorded[]> {
  const found: Recorded[] = [];
  const send = async (method: string, path: string, body?: unknown, options: RequestOptions = {}, client = server) => {
    found.push(await record(client, method, path, { ...body === undefined ? {} : { body }, ...options }));
  };
  const [order_no, workplace_name] = [unique("O"), unique("Workplace")];
  const operator = (await newUser({ workplaces: [workplace_name] })).client;
  const key = { order_no, asset_id: 1, operation_no: "0010" };
  const at = (time: string) => `2026-01-05T${time}:00Z`;
  const report = { order_no, operation_no: "0010", workplace_name };
  const one = operationPath(key);
  const id = crypto.randomUUID();
  const idempotent = { headers: { "idempotency-key": crypto.randomUUID() } };

  await send("POST", "/operations/v1", {
    ...key,
    workplace_name,
    activity_code: "LASER",
    status: "RELEASED",
    qty_desired: 50,
    t_target_processing_min: 90.5,
    planned_start_at: at("08:00"),
    planned_end_at: at("10:00"),
    timestamp_ms: at("06:00"),
    change_type: "INSERT",
  });
  await send("POST", "/operations/v1", { ...key, workplace_name });
  await send("POST", "/operations/v1", { ...key, operation_no: "0020", workplace_name }, idempotent);
  await send("POST", "/operations/v1", { ...key, operation_no: "0020", workplace_name }, idempotent);
  await send("POST", "/operations/v1/import", [
    { ...key, operation_no: "0030", workplace_name, status: "RELEASED", qty_desired: 5, timestamp_ms: at("06:00") },
    { ...key, operation_no: "0040", timestamp_ms: "yesterday" },
  ]);
  await send("GET", one);
  await send("GET", one, undefined, {}, operator);
  await send("HEAD", one);
  await send("GET", one, undefined, { headers: { "if-none-match": '"1"' } });
  await send("PATCH", one, { qty_desired: 60, note: "Ten more" });
  await send("PATCH", one, { qty_desired: 70 }, { headers: { "if-match": '"1"' } });
  await send("PATCH", "/operations/v1", { filter: { order_no }, patch: { workplace_group: "Laser" }, dry_run: false });
  await send("POST", `${one}/transitions`, { action: "START", occurred_at: at("08:15"), dry_run: true });
  await send("POST", "/events/v1", { ...report, action_type: "START", occurred_at: at("08:15"), id });
  await send("POST", "/events/v1", { ...report, action_type: "START", occurred_at: at("08:15"), id });
  await send("POST", "/events/v1/batch", {
    events: [
      { ...report, action_type: "REPORT_QUANTITY", qty_good: 10, qty_scrap: 1, occurred_at: at("08:30") },
      { ...report, action_type: "REPORT_QUANTITY", qty_good: -1 },
    ],
  });
  await send("POST", `${one}/transitions`, { action: "STOP", occurred_at: at("09:00") });
  await send("POST", `${one}/transitions`, { action: "RELEASE" });
  await send("GET", one, undefined, {}, operator);
  await send("GET", `${one}/runs`);
  await send("GET", `/operations/v1?order_no=${order_no}&limit=2&count=exact`);
  await send("GET", `/operations/v1?order_no=${order_no}&sort=-planned_start_at`, undefined, {}, operator);
  await send("GET", `/operations/v1?order_no=${unique("O")}&count=exact`);
  await send("GET", "/operations/v1?limit=0&colour=red");
  await send("GET", `/operations/v1?cursor=nothing`);
  await send("GET", `/events/v1?order_no=${order_no}&limit=2&count=exact`);
  await send("GET", `/events/v1/workplace/${workplace_name}?limit=1`, undefined, {}, operator);
  await send("GET", `/events/v1/${id}`);
  await send("GET", `/events/v1/feed?order_no=${order_no}&limit=1&wait=5`);
  await send("POST", "/events/v1", { ...report, action_type: "FINISH", occurred_at: at("09:30") });
  await send("DELETE", one);
  await send("DELETE", operationPath({ ...key, operation_no: "0020" }));
  await send("GET", operationPath({ ...key, operation_no: "0020" }));
  await send("GET", "/operations/v1/nowhere");
  await send("PUT", "/operations/v1");
  await send("GET", "/events/v1/feed/nowhere");
  return found;
}

/** Leaves out of a JSON text the members that the recorded one does not have, and changes nothing else. */
function withoutNewMembers(text: string, recorded: string): string {
  if (text === "" || recorded === "") return text;
  const common = (value: Json, before: Json | undefined): Json => {
    if (Array.isArray(value)) {
      return value.map((item, index) => common(item, Array.isArray(before) ? before[index] : null));
    }
    if (!isObject(value) || !isObject(before)) return value;
    return Object.fromEntries(
      Object.entries(value).filter(([name]) => name in before).map(([name, one]) => [name, common(one, before[name])]),
    );
  };
  return JSON.stringify(common(JSON.parse(text), JSON.parse(recorded)));
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

Deno.test("Version 1: answers each request byte for byte as before there was a version 2", async (t) => {
  const found = await exchanges();
  if (Deno.env.get("RECORD") !== undefined) {
    await Deno.writeTextFile(file, `${JSON.stringify(found, null, 2)}\n`);
    return;
  }
  const recorded: Recorded[] = JSON.parse(await Deno.readTextFile(file));
  assertEquals(found.map(({ request }) => request), recorded.map(({ request }) => request));
  for (const [index, exchange] of found.entries()) {
    await t.step(`${index + 1}: ${exchange.request}`, () => {
      const before = recorded[index];
      assertEquals({ ...exchange, body: withoutNewMembers(exchange.body, before?.body ?? "") }, before);
    });
  }
});
