/** Input that clients must not send, at every place where they can send it; and input that only looks bad. */
import {
  type Answer,
  assert,
  assertEquals,
  assertExists,
  assertProblem,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  type OperationEvent,
  operationPath,
  report,
  type ReportedEvent,
  server,
  unique,
} from "../support/harness.ts";
import { type Endpoint, endpoints, objectForms, resolve, type Schema, typesOf } from "../support/document.ts";
import { rounds } from "../support/racing.ts";

const maxBodyBytes = 1024 * 1024;

/** A value as it is written in JSON: also what JSON.stringify cannot write. */
type Literal = string;
const literals = (values: unknown[]): Literal[] => values.map((value) => JSON.stringify(value));

const notText = literals([1, true, [], {}]);
const notStorable = ["a\0b", "\ud800", "\udc00\ud800", "x\udfff"];
const inexactNumbers = ["1e400", "-1e400", "1e-400", "9007199254740993", "4.99999999999999999999"];
const badDates = [
  ...["infinity", "-infinity", "now", "today", "epoch", "", "2026-01-01", "1767261600000", "2026-W01-1T10:00:00Z"],
  ...["0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "+010000-01-01T00:00:00Z", "1969-12-31T23:59:59Z"],
  ...["9999-12-31T23:59:59-00:01", "1970-01-01T00:00:00+00:01", "2026-01-01T24:00:00Z", "2026-01-01T23:59:60Z"],
  ...["2026-01-01T10:00:00", "2026-01-01T10:00:00+24:00", "2026-01-01T10:00:00+0100", "2026-01-01T10:00:00+01"],
  ...["2026-01-01t10:00:00z", "2026-01-01 10:00:00Z", "2026-01-01T10:00Z", "2026-01-01T10:00:00,5Z"],
  ...["2026-02-29T10:00:00Z", "2026-13-01T10:00:00Z", "2026-01-32T10:00:00Z", " 2026-01-01T10:00:00Z"],
];
const badKeys = [
  ...["", " x", "x ", "\u00a0x", "x\ufeff", "a\tb", "a\nb", "a\x7fb", "a\u0085b", "x".repeat(65), "😀".repeat(65)],
  ...["a\u0301".repeat(33)],
];
const badIds = ["nope", "", "{0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10}", "0f4b7e7a5d0c4a3f9a671c5a4b8e2d10"];

/** A member of the enumeration in the other case. */
function inOtherCase(schema: Schema): string {
  const member = String(schema.enum?.[0]);
  return member === member.toUpperCase() ? member.toLowerCase() : member.toUpperCase();
}

/** Returns values that this schema rejects, as JSON. */
function badValues(schema: Schema): Literal[] {
  const types = typesOf(schema);
  const notNull = types.includes("null") ? [] : ["null"];
  if (schema.enum !== undefined) {
    return [...notText, ...notNull, ...literals(["", "X", inOtherCase(schema)])];
  }
  if (types.includes("integer") || types.includes("number")) {
    const beyond = [(schema.maximum ?? 0) + 1, (schema.minimum ?? 0) - 1];
    const common = [...notNull, ...literals(["1", "NaN", "", true, [], {}, ...beyond])];
    return [...common, ...inexactNumbers, "1e300", ...(types.includes("integer") ? ["1.5", "2147483648"] : [])];
  }
  if (types.includes("boolean")) return [...notNull, ...literals(["true", "", 1, 0, [], {}])];
  if (types.includes("object")) return [...notNull, ...literals(["x", 1, true, []])];
  if (!types.includes("string")) return [];
  const text = [...notText, ...notNull];
  if (schema.format === "date-time") return [...text, ...literals(badDates), ...literals(notStorable)];
  if (schema.format === "uuid") return [...text, ...literals(badIds), ...literals(notStorable)];
  if (schema.minLength === 1 && schema.maxLength === 64) {
    return [...text, ...literals([...badKeys, ".", "..", ...notStorable])];
  }
  const tooLong = schema.maxLength === undefined
    ? []
    : ["x", "😀"].map((one) => one.repeat((schema.maxLength ?? 0) + 1));
  return [...text, ...literals([...tooLong, ...notStorable])];
}

interface Field {
  pointer: string;
  schema: Schema;
}

/** Fields of a form that take a value each, also those of objects inside. */
function fieldsOf(form: Schema, pointer = ""): Field[] {
  return Object.entries(form.properties ?? {}).flatMap(([name, property]) => {
    const schema = resolve(property);
    const here = `${pointer}/${name}`;
    if (schema.const !== undefined) return []; // names the form
    if (schema.properties !== undefined) return fieldsOf(schema, here);
    if (typesOf(schema).includes("array")) {
      const items = resolve(schema.items ?? {});
      return typesOf(items).includes("string") ? [{ pointer: `${here}/0`, schema: items }] : [];
    }
    return [{ pointer: here, schema }];
  });
}

/** JSON with these values at these pointers; a step `0` makes an array. */
function jsonWith(base: Record<string, Literal>, values: [pointer: string, literal: Literal][]): string {
  const members = new Map(Object.entries(base));
  const inner = Map.groupBy(values, ([pointer]) => pointer.split("/")[1] ?? "");
  for (const [name, here] of inner) {
    const [pointer, literal] = here[0] ?? ["", ""];
    const rest = pointer.slice(name.length + 1);
    if (rest === "") members.set(name, literal);
    else if (rest === "/0") members.set(name, `[${literal}]`);
    else members.set(name, jsonWith({}, here.map(([one, value]) => [one.slice(name.length + 1), value])));
  }
  return `{${[...members].map(([name, literal]) => `${JSON.stringify(name)}:${literal}`).join(",")}}`;
}

/** Values of the required fields, from the document's examples. */
function requiredOf(form: Schema): Record<string, Literal> {
  return Object.fromEntries((form.required ?? []).map((name) => {
    const schema = resolve(form.properties?.[name] ?? {});
    const value = schema.const ?? schema.enum?.[0] ?? schema.example ?? (schema.properties === undefined ? [{}] : {});
    return [name, JSON.stringify(value)];
  }));
}

/** The path with each parameter at its example, or at the value given. */
function pathOf({ template, parameters }: Endpoint, values: Record<string, string> = {}): string {
  return template.replaceAll(/\{([^}]+)\}/g, (_, name) => {
    const parameter = parameters.find((one) => one.name === name);
    return values[name] ?? encodeURIComponent(String(parameter?.schema.example ?? parameter?.example ?? "x"));
  });
}

const withJson = endpoints.filter(({ body }) =>
  typesOf(resolve(body["application/json"] ?? {})).includes("array") === false
)
  .filter(({ body }) => body["application/json"] !== undefined);

function formsOf({ body }: Endpoint): Schema[] {
  return objectForms(body["application/json"] ?? {});
}

/** `validation_failed` with an error for each of these, and for nothing else. */
function assertRefused(answer: Answer<unknown>, where: "body" | "path" | "query", pointers: string[]): void {
  const { errors } = assertProblem(answer, 422, "validation_failed");
  const named = [...new Set(errors?.map((error) => `${error.in} ${error.pointer}`))].sort();
  assertEquals(named, pointers.map((pointer) => `${where} ${pointer}`).sort(), answer.text);
}

for (const endpoint of withJson) {
  Deno.test(`${endpoint.title}: each field rejects invalid values by its pointer`, async () => {
    const path = pathOf(endpoint);
    for (const form of formsOf(endpoint)) {
      const base = requiredOf(form);
      const fields = fieldsOf(form).map((field) => ({ ...field, bad: badValues(field.schema) }));
      const most = Math.max(0, ...fields.map(({ bad }) => bad.length));
      // one request has a bad value in every field; what is found first hides the rest
      for (let n = 0; n < most; n++) {
        const sent = fields.flatMap(({ pointer, bad }) => n < bad.length ? [{ pointer, literal: bad[n] ?? "" }] : []);
        const groups = Object.values(Object.groupBy(sent, ({ literal }) => finderOf(literal)));
        for (const group of groups) {
          const rawBody = jsonWith(base, (group ?? []).map(({ pointer, literal }) => [pointer, literal]));
          const answer = await server.request(endpoint.method, path, { rawBody });
          assertRefused(answer, "body", (group ?? []).map(({ pointer }) => pointer));
        }
      }
    }
  });

  Deno.test(`${endpoint.title}: rejects unknown fields by name`, async () => {
    for (const form of formsOf(endpoint)) {
      const unknown = [
        "nope",
        "constructor",
        "toString",
        "id2",
        "created_at",
        "op_seq",
        "version",
        "a/b~c",
        "",
        "Order_no",
      ];
      const rawBody = jsonWith({ ...requiredOf(form), ...Object.fromEntries(unknown.map((name) => [name, "1"])) }, []);
      const answer = await server.request(endpoint.method, pathOf(endpoint), { rawBody });
      const { errors } = assertProblem(answer, 422, "validation_failed");
      const named = errors?.filter(({ code }) => code === "unrecognized_keys").map(({ pointer }) => pointer).sort();
      const pointers = unknown.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`);
      assertEquals(named, pointers.sort(), answer.text);
    }
  });

  Deno.test(`${endpoint.title}: rejects a body that is not one plain JSON object`, async () => {
    const path = pathOf(endpoint);
    const nest = (levels: number) => '{"a":'.repeat(levels) + "1" + "}".repeat(levels);
    const bytes = (...values: number[]) => new Uint8Array(values);
    const cases: [
      status: number,
      code: "malformed_json" | "malformed_request" | "validation_failed",
      Literal | Uint8Array<ArrayBuffer>,
    ][] = [
      ...[
        "",
        " ",
        "{",
        '{"a":1,}',
        "{'a':1}",
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":01}',
        '{"a":.5}',
        '{"a":+1}',
        '{"a":0x1}',
      ]
        .map((text): typeof cases[number] => [400, "malformed_json", text]),
      ...["{} x", "{}{}", "// c\n{}", "{}//", "{}/**/", "NaN", "undefined", '"\n"', '{"a":"\t"}', "[".repeat(100_000)]
        .map((text): typeof cases[number] => [400, "malformed_json", text]),
      // duplicates: equal, nested, written otherwise, with the names that prototypes have
      ...['{"a":1,"a":2}', '{"a":1,"a":1}', '{"a":{"b":1,"b":1}}', '{"a":[{"b":"x","b":"x"}]}', '{"\\u0061":1,"a":1}']
        .map((text): typeof cases[number] => [400, "malformed_json", text]),
      ...['{"constructor":1,"constructor":2}', '{"a":{"toString":1,"toString":1}}']
        .map((text): typeof cases[number] => [400, "malformed_json", text]),
      [400, "malformed_json", bytes(0xff)],
      [400, "malformed_json", bytes(0x22, 0xc3, 0x28, 0x22)],
      [400, "malformed_json", bytes(0x22, 0xed, 0xa0, 0x80, 0x22)],
      [400, "malformed_json", bytes(0x7b, 0, 0x7d, 0)],
      ...["null", "1", '"x"', "true", "[]", "[{}]"].map((
        text,
      ): typeof cases[number] => [422, "validation_failed", text]),
      ...[
        '{"__proto__":1}',
        '{"__proto__":1,"__proto__":1}',
        '{"a\\u0000":1}',
        '{"\\ud800":1}',
        '{"a":[{"b":"\\udc00"}]}',
      ]
        .map((text): typeof cases[number] => [422, "validation_failed", text]),
      [422, "validation_failed", nest(32)],
      [400, "malformed_request", nest(33)],
      [400, "malformed_request", "[".repeat(33) + "]".repeat(33)],
      [400, "malformed_request", nest(100_000)],
    ];
    for (const [status, code, rawBody] of cases) {
      const answer = await server.request(endpoint.method, path, { rawBody });
      assertProblem(answer, status, code);
    }
  });

  Deno.test(`${endpoint.title}: requires Content-Type application/json for a body`, async () => {
    const path = pathOf(endpoint);
    const rawBody = '{"nope":1}';
    const send = (type: string | null) =>
      server.request(endpoint.method, path, { rawBody, headers: { "content-type": type } });
    for (
      const type of [
        ...[
          null,
          "text/plain",
          "text/json",
          "application/problem+json",
          "application/merge-patch+json",
          "application/jsonx",
        ],
        ...[
          "application/json5",
          "application/x-www-form-urlencoded",
          "multipart/form-data; boundary=x",
          "application/json/x",
        ],
        ...["application/json, text/plain", "x application/json"],
      ]
    ) assertProblem(await send(type), 415, "unsupported_media_type");
    for (
      const type of [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
      ]
    ) {
      assertProblem(await send(type), 422, "validation_failed");
    }
  });
}

/** Returns the check that finds the value: first text that cannot be stored, then numbers that cannot be held, then the rest. */
function finderOf(literal: Literal): "text" | "number" | "schema" {
  if (literal.startsWith('"')) return /\\u0000|\\ud[89a-f]/i.test(literal) ? "text" : "schema";
  return inexactNumbers.includes(literal) ? "number" : "schema";
}

/** Returns values that this part of a URL rejects. */
function badParts(schema: Schema): string[] {
  if (schema.enum !== undefined) return ["X", "", inOtherCase(schema), "a,status.eq.X"];
  if (typesOf(schema).includes("integer")) {
    const { minimum = 0, maximum = 0 } = schema;
    return [String(maximum + 1), String(minimum - 1), "1.5", "1e1", "x", "", " 1", "+1", "0x1", "9".repeat(30), "NaN"];
  }
  if (typesOf(schema).includes("number")) return ["x", "", "NaN", "Infinity", "-1", "1e400", "0x1"];
  if (typesOf(schema).includes("boolean")) return ["TRUE", "1", "", "yes"];
  if (schema.format === "date-time") return [...badDates, "2026-01-01T10:00:00 01:00", "2026-01-01T10:00:00Z\0"];
  if (schema.format === "uuid") return [...badIds, "x\0"];
  if (schema.minLength === 1 && schema.maxLength === 64) return [...badKeys, "a\0b"];
  return [];
}

/** Parameters without which a request is refused for their lack. */
function neededBy({ template, parameters }: Endpoint): [name: string, value: string][] {
  const values: Record<string, string> = {
    from: "2026-11-16T00:00:00Z",
    to: "2026-11-23T00:00:00Z",
    workplace_name: "TruLaser%205060%20(L76)",
  };
  return parameters.filter(({ in: place, name, required }) =>
    place === "query" && (required || template.startsWith("/reports/") && ["from", "to"].includes(name))
  ).map(({ name }) => [name, values[name] ?? "x"]);
}

for (const endpoint of endpoints) {
  const parts = endpoint.parameters.filter((parameter) => parameter.in === "path");
  const example = () => {
    const form = formsOf(endpoint)[0] ?? {};
    return endpoint.body["application/json"] === undefined ? {} : { rawBody: jsonWith(requiredOf(form), []) };
  };
  if (parts.length > 0) {
    Deno.test(`${endpoint.title}: each part of the path rejects invalid values`, async () => {
      const search = `?${neededBy(endpoint).map((pair) => pair.join("=")).join("&")}`;
      for (const { name, schema } of parts) {
        for (const bad of badParts(resolve(schema))) {
          if (bad === "") continue; // another path
          const answer = await server.request(
            endpoint.method,
            pathOf(endpoint, { [name]: encodeURIComponent(bad) }) + search,
            example(),
          );
          assertRefused(answer, "path", [`/${name}`]);
        }
        for (const escapes of ["%", "%zz", "%ff", "%ed%a0%80", "%c3%28", "a%e2%82"]) {
          const answer = await server.request(
            endpoint.method,
            pathOf(endpoint, { [name]: escapes }) + search,
            example(),
          );
          assertProblem(answer, 400, "malformed_request");
        }
      }
    });
  }

  const query = endpoint.parameters.filter((parameter) => parameter.in === "query");
  if (query.length > 0) {
    Deno.test(`${endpoint.title}: each query parameter rejects invalid values`, async () => {
      const send = (search: string) => {
        const sent = new Set(search.split("&").map((part) => part.split("=")[0]));
        const others = neededBy(endpoint).filter(([name]) => !sent.has(name)).map(([name, value]) =>
          `${name}=${value}`
        );
        return server.request(endpoint.method, `${pathOf(endpoint)}?${[search, ...others].join("&")}`, example());
      };
      for (const { name, schema } of query) {
        if (name === "ticket") {
          // a credential: a caller without a valid one learns nothing else
          for (const bad of ["", "x", "x".repeat(201), "x&ticket=x"]) {
            assertProblem(await send(`ticket=${bad}`), 401, "unauthenticated");
          }
          continue;
        }
        const isList = typesOf(schema).includes("array");
        const item = resolve(isList ? schema.items ?? {} : schema);
        const pointer = isList ? `/${name}/0` : `/${name}`;
        for (const bad of badParts(item)) {
          assertRefused(await send(`${name}=${encodeURIComponent(bad)}`), "query", [pointer]);
        }
        for (const escapes of ["%", "%ff", "%ed%a0%80"]) {
          assertProblem(await send(`${name}=${escapes}`), 400, "malformed_request");
        }
        const good = encodeURIComponent(String(item.enum?.[0] ?? [item.example ?? schema.example].flat()[0] ?? "x"));
        if (!isList) assertRefused(await send(`${name}=${good}&${name}=${good}`), "query", [`/${name}`]);
        else assertRefused(await send(Array(101).fill(`${name}=${good}`).join("&")), "query", [`/${name}`]);
        assertRefused(await send(`${name.toUpperCase()}=${good}`), "query", [`/${name.toUpperCase()}`]);
      }
      for (const name of ["nope", "constructor", "__proto__", "or", "select", "status[]"]) {
        assertRefused(await send(`${name}=1`), "query", [`/${name}`]);
      }
    });
  }
}

Deno.test("Rejected requests: change nothing", async () => {
  const operation = await newOperation();
  const path = operationPath(operation);
  const user = await newUser();
  const before = [await server.get(path), await server.get(`/profiles/v1/${user.id}`)].map(({ text }) => text);
  const order_no = unique("O");
  for (
    const rawBody of [
      '{"activity_description":"changed","nope":1}',
      '{"activity_description":"changed","activity_description":"again"}',
      '{"activity_description":"changed","qty_desired":1e400}',
      '{"activity_description":"changed","planned_start_at":"infinity"}',
      '{"activity_description":"changed"} x',
      '{"status":"CANCELLED","note":"\\u0000"}',
    ]
  ) assert((await server.patch(path, undefined, { rawBody })).status >= 400);
  assert((await server.patch(`/profiles/v1/${user.id}`, { full_name: "changed", role: "king" })).status >= 400);
  for (
    const more of [{ qty_desired: 1.5 }, { nope: 1 }, { status: "X" }, {
      actual_start_at: "9999-01-01T00:00:00Z",
      status: "IN_PROGRESS",
    }]
  ) {
    assert((await server.post("/operations/v1", { order_no, asset_id: 1, operation_no: "1", ...more })).status >= 400);
  }
  assert((await report(server, operation, "START", { nope: 1 })).status >= 400);

  const after = [await server.get(path), await server.get(`/profiles/v1/${user.id}`)].map(({ text }) => text);
  assertEquals(after, before);
  assertEquals((await server.get("/operations/v1", { query: { order_no } })).text, "[]");
  assertEquals((await server.get("/events/v1", { query: { order_no: operation.order_no } })).text, "[]");
});

Deno.test("Bodies: are accepted up to 1 MiB and rejected with 413 beyond, with and without Content-Length", async () => {
  for (
    const [method, path] of [["POST", "/operations/v1"], ["PATCH", "/operations/v1/none/1/1"], [
      "POST",
      "/events/v1",
    ]] as const
  ) {
    for (const size of [maxBodyBytes, maxBodyBytes + 1, 3 * maxBodyBytes]) {
      const frame = '{"nope":""}';
      const bytes = new TextEncoder().encode(frame.replace('""', `"${"x".repeat(size - frame.length)}"`));
      assertEquals(bytes.length, size);
      const whole = await server.request(method, path, { rawBody: bytes });
      const chunked = await fetch(`${env.functionsUrl}${path}`, {
        method,
        headers: { apikey: env.secretKey, "content-type": "application/json" },
        body: ReadableStream.from(
          Array.from({ length: Math.ceil(size / 65_536) }, (_, n) => bytes.slice(n * 65_536, (n + 1) * 65_536)),
        ),
      });
      const code = (await chunked.json()).code;
      const expected = size <= maxBodyBytes ? [422, "validation_failed"] : [413, "body_too_large"];
      assertEquals([whole.status, whole.body.code], expected);
      assertEquals([chunked.status, code], expected);
    }
  }
});

Deno.test("Numbers: have the same value in every notation", async () => {
  for (
    const [literal, value] of [["-0", 0], ["-0.0", 0], ["5.0", 5], ["5e0", 5], ["0.5e1", 5], [
      "2147483647",
      2_147_483_647,
    ]] as const
  ) {
    const rawBody = `{"order_no":"${unique("O")}","asset_id":1,"operation_no":"1","qty_desired":${literal}}`;
    const created = await server.post<Operation>("/operations/v1", undefined, { rawBody });
    assertEquals([created.status, created.body.qty_desired], [201, value], created.text);
  }
});

Deno.test("Instants: are answered in UTC with milliseconds when they are sent with any offset", async () => {
  for (
    const [sent, told] of [
      ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"],
      ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
      ["9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999Z"],
      ["2026-01-01T10:00:00+15:59", "2025-12-31T18:01:00.000Z"],
      ["2026-01-01T10:00:00-15:59", "2026-01-02T01:59:00.000Z"],
      ["2026-01-01T10:00:00+23:59", "2025-12-31T10:01:00.000Z"],
      ["2026-01-01T10:00:00-23:59", "2026-01-02T09:59:00.000Z"],
      ["2026-01-01T10:00:00-00:00", "2026-01-01T10:00:00.000Z"],
      ["2024-02-29T10:00:00.1Z", "2024-02-29T10:00:00.100Z"],
    ] as const
  ) {
    const created = await server.post<Operation>("/operations/v1", {
      order_no: unique("O"),
      asset_id: 1,
      operation_no: "1",
      planned_start_at: sent,
    });
    assertEquals([created.status, created.body.planned_start_at], [201, told], created.text);
    const found = await server.get("/operations/v1", { query: { planned_start_after: sent, limit: 1 } });
    assertEquals(found.status, 200, found.text);
  }
});

Deno.test("Actual times: are rejected by their field when the work has not started or not ended", async () => {
  const later = new Date(Date.now() + 120_000).toISOString();
  const create = (more: Record<string, unknown>) =>
    server.post("/operations/v1", { order_no: unique("O"), asset_id: 1, operation_no: "1", ...more });
  assertRefused(await create({ status: "IN_PROGRESS", actual_start_at: later }), "body", ["/actual_start_at"]);
  assertRefused(await create({ status: "FINISHED", actual_end_at: later }), "body", ["/actual_end_at"]);
  const now = new Date().toISOString();
  assertRefused(await create({ status: "RELEASED", actual_end_at: now }), "body", ["/actual_end_at"]);

  const operation = await newOperation();
  const path = operationPath(operation);
  const start = { status: "IN_PROGRESS", actual_start_at: later };
  assertRefused(await server.patch(path, start), "body", ["/actual_start_at"]);
  assertRefused(await report(server, operation, "START", { occurred_at: later }), "body", ["/occurred_at"]);
  assertEquals((await server.patch(path, { status: "IN_PROGRESS" })).status, 200);
  assertRefused(await server.patch(path, { status: "FINISHED", actual_end_at: later }), "body", ["/actual_end_at"]);
});

/** Keys that URLs, filters, SQL, shells and people stumble over. */
const strangeKeys = [
  ...[
    "/",
    "//",
    "%",
    "%2F",
    "%25",
    "%zz",
    "..",
    ".",
    "a/../b",
    "?",
    "#",
    "&",
    "=",
    "+",
    ";",
    ":",
    "@",
    "$",
    "~",
    "\\",
    "|",
  ],
  ...[
    " ",
    "  ",
    "'",
    '"',
    "`",
    ",",
    "()",
    "*",
    "%%",
    "_",
    "[]",
    "{}",
    "<>",
    "!",
    "^",
    "--",
    "' or 1=1 --",
    "a,status.eq.X",
  ],
  ...[
    "😀",
    "👩‍🔧",
    "\u200f",
    "א",
    "\u202e",
    "\u200b",
    "é",
    "e\u0301",
    "ß",
    "İ",
    "\u00a0",
    "\u2028",
    "\ufffe",
    "\u{10ffff}",
    "null",
    "-1",
  ],
];

Deno.test("Unusual keys: find their row by URL, filter, event, PATCH and DELETE", async () => {
  const keys = [
    // at both ends where that may be, else inside
    ...strangeKeys.map((strange) => {
      const key = `${strange}${unique("")}${strange}`;
      return key === key.trim() ? key : `x${key}x`;
    }),
    `${unique("")}${"x".repeat(51)}`,
    `${unique("")}${"😀".repeat(51)}`,
    `${unique("")}${"e\u0301".repeat(25)}`,
  ];
  await rounds(keys.length, 4, async (round) => {
    const key = keys[round] ?? "";
    const encoded = encodeURIComponent(key);
    const operation = await newOperation({
      order_no: key,
      operation_no: key,
      workplace_name: key,
      workplace_group: key,
      activity_code: key,
      activity_description: key,
    });
    const path = `/operations/v1/${encoded}/1/${encoded}`;
    const isIt = ({ order_no, operation_no }: Operation | OperationEvent) => order_no === key && operation_no === key;
    const found = await server.get<Operation>(path);
    assert(found.status === 200 && isIt(found.body), `${key}: ${found.text}`);

    const started = await report(server, operation, "START");
    assertEquals(started.status, 201, started.text);
    const patched = await server.patch<Operation>(path, { qty_processed: 1 });
    assertEquals([patched.status, patched.body.qty_processed], [200, 1], patched.text);

    for (const name of ["order_no", "workplace_name", "workplace_group", "activity_code", "q"]) {
      const listed = await server.get<Operation[]>(`/operations/v1?${name}=${encoded}`);
      assertEquals(
        [listed.status, listed.body.length, listed.body.every(isIt)],
        [200, 1, true],
        `${name} ${key}: ${listed.text}`,
      );
    }
    for (
      const from of [
        `/events/v1?order_no=${encoded}`,
        `/events/v1?operation_no=${encoded}`,
        `/events/v1?workplace_name=${encoded}`,
      ]
    ) {
      const listed = await server.get<OperationEvent[]>(from);
      assertEquals(
        [listed.status, listed.body.length, listed.body.every(isIt)],
        [200, 2, true],
        `${from}: ${listed.text}`,
      );
    }
    const ofWorkplace = await server.get<OperationEvent[]>(`/events/v1/workplace/${encoded}`);
    assertEquals([ofWorkplace.status, ofWorkplace.body.length], [200, 2], ofWorkplace.text);

    const other = await newOperation({ order_no: key, operation_no: key, workplace_name: key, asset_id: 2 });
    assertEquals((await server.delete(`/operations/v1/${encoded}/2/${encoded}`)).status, 204);
    assertProblem(await server.get(operationPath(other)), 404, "not_found");
    assertEquals((await server.get(path)).status, 200);
  });
});

Deno.test("Filters: find only equal rows when the value has characters of a filter language", async () => {
  const prefix = unique("F");
  const workplace_name = newWorkplace();
  for (const suffix of ["1", "2", "3"]) {
    const named = `${prefix}${suffix}`;
    await newOperation({
      order_no: named,
      workplace_name,
      workplace_group: named,
      activity_code: named,
      activity_description: named,
    });
  }
  const patterns = [
    `${prefix}*`,
    `${prefix}%`,
    `${prefix}_`,
    `${prefix}1,${prefix}2`,
    `in.(${prefix}1)`,
    `eq.${prefix}1`,
  ];
  const more = [
    `${prefix}1' or '1'='1`,
    `${prefix}1)`,
    `(${prefix}1`,
    `${prefix}1*)`,
    `"${prefix}1"`,
    `not.eq.${prefix}`,
    `${prefix}\\1`,
  ];
  for (const pattern of [...patterns, ...more]) {
    for (const name of ["order_no", "workplace_group", "activity_code", "workplace_name", "q"]) {
      const listed = await server.get("/operations/v1", { query: { [name]: pattern } });
      assertEquals([listed.status, listed.text], [200, "[]"], `${name}=${pattern}`);
    }
    for (const name of ["order_no", "operation_no", "workplace_name"]) {
      const listed = await server.get("/events/v1", { query: { [name]: pattern } });
      assertEquals([listed.status, listed.text], [200, "[]"], `${name}=${pattern}`);
    }
  }
});

Deno.test("operation_data: is stored as sent up to 16 KiB and 31 levels", async () => {
  const operation = await newOperation();
  const send = (operation_data: unknown) => report(server, operation, "START", { operation_data, dry_run: true });
  const nested = (levels: number): unknown => levels === 0 ? 1 : { a: nested(levels - 1) };
  const ofSize = (bytes: number) => ({ x: "y".repeat(bytes - '{"x":""}'.length) });
  for (
    const kept of [
      { "": 1, "a b": { c: [] } },
      { number: [0.1, 1e21, 5e-324, 1.7976931348623157e308, -0.5, 0.30000000000000004, 9007199254740991] },
      { text: "\u2028😀\u202e\u0001 '\"\\ %00" },
      { constructor: { prototype: 1 }, toString: null, hasOwnProperty: false },
      nested(31),
      ofSize(16 * 1024),
    ]
  ) {
    const told = await send(kept);
    assertEquals(told.status, 200, told.text.slice(0, 500));
    assertEquals(told.body.operation_data, kept as ReportedEvent["operation_data"]);
  }
  assertRefused(await send(ofSize(16 * 1024 + 1)), "body", ["/operation_data"]);
  assertRefused(await send({ x: Array(2000).fill(1e300) }), "body", ["/operation_data"]);
  assertProblem(await send(nested(32)), 400, "malformed_request");
});

Deno.test("Actual minutes: leave room for a closing run when the largest value is set", async () => {
  const operation = await newOperation({
    status: "IN_PROGRESS",
    qty_desired: null,
    actual_start_at: "1970-01-01T00:00:00.000Z",
    t_actual_processing_min: 99_999_999,
  });
  const finished = await report(server, operation, "FINISH");
  assertEquals([finished.status, finished.body.operation?.status], [201, "FINISHED"], finished.text);
  assert((finished.body.operation?.t_actual_processing_min ?? 0) >= 99_999_999);
});

const keyed = endpoints.filter(({ parameters }) => parameters.some(({ name }) => name === "idempotency-key"));

for (const endpoint of keyed) {
  Deno.test(`${endpoint.title}: rejects a malformed Idempotency-Key`, async () => {
    const form = formsOf(endpoint)[0] ?? {};
    const isObject = withJson.includes(endpoint);
    for (const key of ["", "x".repeat(256), "a b", "\xe9", "a\tb", "one, two"]) {
      // an example that the database does not take either: nothing is created
      const rawBody = isObject ? exampleOf(endpoint, form) : "[{}]";
      const answer = await server.request(endpoint.method, pathOf(endpoint), {
        rawBody,
        headers: { "idempotency-key": key },
      });
      assertProblem(answer, 400, "malformed_request");
    }
  });
}

function exampleOf(endpoint: Endpoint, form: Schema): string {
  const whole = resolve(endpoint.body["application/json"] ?? {}).example;
  return whole === undefined ? jsonWith(requiredOf(form), []) : JSON.stringify(whole);
}

Deno.test("Idempotency-Key: is accepted when it has 1 to 255 visible characters", async () => {
  const path = operationPath(await newOperation());
  for (const key of ["!", "~", `a,"b";c=${unique("")}`, unique("").padEnd(255, "x")]) {
    const patched = await server.patch(path, { activity_code: "A" }, { headers: { "idempotency-key": key } });
    assert(patched.status === 200 || patched.body.code === "idempotency_key_reused", patched.text);
  }
});

Deno.test("If-Match: is rejected when malformed, answers 412 when no ETag matches, and nothing changes", async () => {
  const path = operationPath(await newOperation());
  const send = (method: string, etags: string) =>
    server.request(method, path, {
      headers: { "if-match": etags },
      ...(method === "PATCH" ? { body: { activity_code: "A" } } : {}),
    });
  for (const method of ["PATCH", "DELETE"]) {
    for (const garbage of ["", "1", "abc", '"1', '"1" "2"', '"1",*', "W/1", "'1'", '"1";', "\xe9"]) {
      assertProblem(await send(method, garbage), 400, "malformed_request");
    }
    for (
      const other of ['"2"', 'W/"1"', '"01"', '""', '"x"', '"-1"', '"1.0"', `"${"9".repeat(30)}"`, '"2", "3"', '",1,"']
    ) {
      assertProblem(await send(method, other), 412, "stale_version");
    }
  }
  assertEquals((await server.get(path)).body.version, 1);
  assertEquals((await send("PATCH", '"7", "1"')).status, 200);
  assertEquals((await send("PATCH", " * ")).status, 200);
});

Deno.test("Accept: is answered when it includes JSON, and with 406 when it excludes JSON", async () => {
  const path = operationPath(await newOperation());
  const send = (accept: string) => server.get(path, { headers: { accept } });
  for (
    const accept of [
      ...["", " ", "*/*", "application/*", "application/json", "APPLICATION/JSON", "application/problem+json"],
      ...["application/json; charset=utf-8", "text/html, application/json;q=0.001", "text/html;q=0.9,*/*;q=0.8"],
    ]
  ) assertEquals((await send(accept)).status, 200, accept);
  for (
    const accept of ["text/html", "text/*", "application/json;q=0", "*/*;q=0", "garbage", ";;;", ",", "x".repeat(4000)]
  ) {
    assertProblem(await send(accept), 406, "not_acceptable");
  }
});

Deno.test("X-Request-Id: is kept when usable, and replaced otherwise", async () => {
  const send = async (id: string) =>
    (await server.get("/operations/v1/none/1/1", { headers: { "x-request-id": id } })).headers.get("x-request-id");
  for (const sane of ["abc", "0b7e-1_A=", "x".repeat(128)]) assertEquals(await send(sane), sane);
  for (const hostile of ["", "x".repeat(129), "a b", "<script>", "\xe9", '{"a":1}', "../x", "a;b", "a\tb"]) {
    const told = await send(hostile);
    assertExists(told);
    assert(told !== hostile && /^[\w=-]{1,128}$/.test(told), told);
  }
});

Deno.test("DELETE: ignores a body", async () => {
  for (
    const [rawBody, type] of [["{", "application/json"], ["x", "text/plain"], [
      "x".repeat(maxBodyBytes + 1),
      "text/plain",
    ]]
  ) {
    const path = operationPath(await newOperation());
    const deleted = await server.request("DELETE", path, { rawBody, headers: { "content-type": type ?? null } });
    assertEquals(deleted.status, 204, deleted.text);
  }
});
