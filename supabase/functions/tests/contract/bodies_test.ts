/** Bodies: the checks before the reading, the cost of the reading, and the fate of an unread body. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertProblem,
  Client,
  env,
  newOperation,
  operationPath,
  server,
} from "../support/harness.ts";
import { endpoints } from "../support/document.ts";
import { startFunctions } from "../support/functions_process.ts";
import { readJson } from "../../_shared/json.ts";
import { maxElements } from "../../_shared/json_scan.ts";
import { Problem } from "../../_shared/problems.ts";
import { holdsWithin } from "../../../../local/system/poll.ts";

const MiB = 1024 * 1024;

/** A path of the endpoint: the examples of the document, or an x. */
const pathOf = (template: string, parameters: typeof endpoints[number]["parameters"]) =>
  template.replaceAll(/\{([^}]+)\}/g, (_, name) => {
    const parameter = parameters.find((one) => one.name === name);
    return encodeURIComponent(String(parameter?.schema.example ?? parameter?.example ?? "x"));
  });

const withBody = endpoints.filter(({ body }) => Object.keys(body).length > 0);
const anybody = new Client({});

for (const { title, method, template, parameters, body } of withBody) {
  Deno.test(`${title}: answers 400 when there is no body`, async () => {
    const path = pathOf(template, parameters);
    for (const type of [null, "application/json", "text/plain"]) {
      const answer = await server.request(method, path, { headers: { "content-type": type } });
      const { detail } = assertProblem(answer, 400, "malformed_json");
      assertMatch(detail, /has no body/);
    }
  });

  Deno.test(`${title}: checks credential, Accept, size, Content-Type and JSON in this order`, async () => {
    const path = pathOf(template, parameters);
    const tooLarge = "[".repeat(MiB + 1);
    const headers = { accept: "text/html", "content-type": "text/plain" };
    assertProblem(await anybody.request(method, path, { rawBody: tooLarge, headers }), 401, "unauthenticated");
    assertProblem(await server.request(method, path, { rawBody: tooLarge, headers }), 406, "not_acceptable");
    const { limit } = assertProblem(
      await server.request(method, path, { rawBody: tooLarge, headers: { "content-type": "text/plain" } }),
      413,
      "body_too_large",
    );
    assertEquals(limit, MiB);
    const other = { "content-type": "text/plain" };
    assertProblem(
      await server.request(method, path, { rawBody: "[[[", headers: other }),
      415,
      "unsupported_media_type",
    );
    const deep = `${"[".repeat(33)},,${"]".repeat(33)}`;
    assertProblem(await server.request(method, path, { rawBody: deep }), 400, "malformed_request");
    if (body["application/json"] !== undefined) {
      assertProblem(await server.request(method, path, { rawBody: "[[[" }), 400, "malformed_json");
    }
  });
}

Deno.test("Routing: answers 404 and 405 whatever the body and the credential are", async () => {
  const rawBody = "[".repeat(MiB + 1);
  for (const client of [anybody, server, new Client({ token: "not.a.token" })]) {
    for (const path of ["/operations", "/operations/v1", "/events/v1", "/stream/v1", "/webhooks/v1", "/docs"]) {
      const headers = { "content-type": "text/plain", accept: "text/html" };
      assertProblem(await client.post(`${path}/a/b/c/d/e/f`, undefined, { rawBody, headers }), 404, "unknown_route");
    }
    for (const path of ["/operations/v1", "/events/v1", "/operations/health"]) {
      const answer = await client.request("PUT", path, { rawBody });
      assertProblem(answer, 405, "method_not_allowed");
      assertMatch(answer.headers.get("allow") ?? "", /^GET, HEAD, (POST, )?(PATCH, )?OPTIONS$/);
    }
  }
});

Deno.test("JSON bodies: are rejected by pointer when an array or object has too many elements", async () => {
  const create = (value: string) => server.post("/operations/v1", undefined, { rawBody: `{"a":[{"b":${value}}]}` });
  const array = `[${Array(maxElements + 1).fill("1").join(",")}]`;
  const object = `{${Array.from({ length: maxElements + 1 }, (_, n) => `"${n}":1`).join(",")}}`;
  for (const value of [array, object]) {
    const { errors } = assertProblem(await create(value), 422, "validation_failed");
    assertEquals(errors?.map(({ pointer, code }) => [pointer, code]), [["/a/0/b", "too_big"]]);
  }
});

Deno.test("JSON bodies: are rejected when they have more than 50,000 arrays and objects", async () => {
  // an object, an array, and arrays of nine empty ones
  const create = (count: number) => {
    const tens = Array((count - 2) / 10).fill(`[${Array(9).fill("[]")}]`);
    return server.post("/operations/v1", undefined, { rawBody: `{"a":[${tens}]}` });
  };
  const { errors } = assertProblem(await create(49_992), 422, "validation_failed");
  assert(errors?.every(({ code }) => code !== "too_big"));
  assertEquals(
    assertProblem(await create(50_002), 422, "validation_failed").errors?.map(({ pointer, code }) => [pointer, code]),
    [["", "too_big"]],
  );
});

const fill = (element: string, size = MiB - 2) =>
  `[${Array(Math.floor(size / (element.length + 1))).fill(element).join(",")}]`;
/** 1 MiB of arrays that are each as long as may be. */
const arrays = (element: string) => fill(fill(element, Math.min(MiB - 4, (maxElements - 1) * (element.length + 1))));

const megabytes: Record<string, string> = {
  "one array of numbers": fill("1"),
  "arrays of numbers": arrays("1"),
  "small objects": arrays('{"a":1}'),
  "nested objects": fill(`${'{"a":'.repeat(30)}1${"}".repeat(30)}`),
  "short texts": arrays('"ab"'),
  "one long text": `["${"x".repeat(MiB - 4)}"]`,
  "escapes": `["${"\\n".repeat(MiB / 2 - 2)}"]`,
  "reports": `{"events":${
    fill(JSON.stringify({
      ...{ id: crypto.randomUUID(), action_type: "REPORT_QUANTITY", order_no: "403860-001", operation_no: "0010" },
      ...{ workplace_name: "TruLaser 5060 (L76)", occurred_at: "2026-11-20T08:15:00Z", qty_good: 1 },
      operation_data: { program: "P-4711", values: Array(400).fill(1) },
    }))
  }}`,
};

// bench/bodies.ts has the times; here the machine may be busy
Deno.test("JSON bodies: are read in less than 100 ms, or ten times the time of parsing, when they have 1 MiB", () => {
  const leastMs = (work: () => void) =>
    Math.min(...Array.from({ length: 9 }, () => {
      const started = performance.now();
      work();
      return performance.now() - started;
    }));
  for (const [what, text] of Object.entries(megabytes)) {
    const bytes = new TextEncoder().encode(text);
    const readMs = leastMs(() => {
      try {
        readJson(bytes);
      } catch (error) {
        assert(error instanceof Problem);
      }
    });
    const boundMs = Math.max(100, 10 * leastMs(() => JSON.parse(text)));
    assert(readMs < boundMs, `${what}: ${readMs} ms`);
  }
});

Deno.test("Bodies: are drained when unread, and logged when the client disconnects", async (t) => {
  const functions = await startFunctions(["operations", "docs"]);
  const operation = await newOperation();
  const path = operationPath(operation);
  const key = `apikey: ${env.secretKey}\r\n`;
  const json = "Content-Type: application/json\r\n";
  try {
    await t.step(
      "an early answer leaves the connection usable: 401, 404, 405, 413 and 415 with 2 MiB each",
      async () => {
        const connection = await Connection.to(functions.port);
        const body = "x".repeat(2 * MiB);
        const cases: [status: number, request: string][] = [
          [401, `POST /operations/v1 HTTP/1.1\r\n${json}`],
          [404, `POST /operations/v1/a/b HTTP/1.1\r\n${json}${key}`],
          [405, `PUT /operations/v1 HTTP/1.1\r\n${json}${key}`],
          [413, `POST /operations/v1 HTTP/1.1\r\n${json}${key}`],
          [406, `POST /operations/v1 HTTP/1.1\r\n${json}${key}Accept: text/html\r\n`],
        ];
        for (const [status, request] of cases) {
          await connection.send(`${request}Host: x\r\nContent-Length: ${body.length}\r\n\r\n`);
          await connection.send(body);
          assertEquals((await connection.answer()).status, status);
        }
        const half = "x".repeat(MiB / 2);
        await connection.send(
          `POST /operations/v1 HTTP/1.1\r\nHost: x\r\n${key}Content-Type: text/plain\r\nContent-Length: ${half.length}\r\n\r\n${half}`,
        );
        assertEquals((await connection.answer()).status, 415);
        await connection.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n${key}\r\n`);
        assertEquals((await connection.answer()).status, 200);
        connection.close();
      },
    );

    await t.step("a chunked body of 40 MiB is 413, with and without a credential 401", async () => {
      for (const [status, credential] of [[413, key], [401, ""]] as const) {
        const connection = await Connection.to(functions.port);
        await connection.send(
          `POST /operations/v1 HTTP/1.1\r\nHost: x\r\n${json}${credential}Transfer-Encoding: chunked\r\n\r\n`,
        );
        const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
        for (let sent = 0; sent < 40 * MiB; sent += 65_536) await connection.send(chunk);
        await connection.send("0\r\n\r\n");
        assertEquals((await connection.answer()).status, status);
        connection.close();
      }
    });

    await t.step("a body that never ends: answered after 10 s, and the connection is closed", async () => {
      const connection = await Connection.to(functions.port);
      await connection.send(`POST /operations/v1 HTTP/1.1\r\nHost: x\r\n${json}Content-Length: 1000\r\n\r\nx`);
      const { status, headers } = await connection.answer();
      assertEquals([status, headers.get("connection")], [401, "close"]);
      connection.close();
    });

    await t.step("a client that asks before it sends (Expect: 100-continue) is answered at once", async () => {
      const connection = await Connection.to(functions.port);
      const started = performance.now();
      await connection.send(
        `POST /operations/v1 HTTP/1.1\r\nHost: x\r\n${json}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n`,
      );
      assertEquals((await connection.answer()).status, 401);
      assert(performance.now() - started < 3_000);
      connection.close();
    });

    await t.step("TRACE and methods that do not exist are 405 with Allow", async () => {
      for (const method of ["TRACE", "PROPFIND", "QUERY"]) {
        const connection = await Connection.to(functions.port);
        await connection.send(`${method} /operations/v1 HTTP/1.1\r\nHost: x\r\n${key}\r\n`);
        const { status, headers } = await connection.answer();
        assertEquals([status, headers.get("allow")], [405, "GET, HEAD, POST, PATCH, OPTIONS"], method);
        connection.close();
      }
    });

    await t.step("a client that leaves amid its body is one line of the log, status 499, and no error", async () => {
      for (const credential of [key, ""]) {
        const before = functions.log.length;
        const connection = await Connection.to(functions.port);
        const id = crypto.randomUUID();
        await connection.send(
          `POST /operations/v1 HTTP/1.1\r\nHost: x\r\n${json}${credential}X-Request-Id: ${id}\r\nContent-Length: 1000\r\n\r\n{"order_no":`,
        );
        connection.close();
        const lines = () => functions.log.slice(before);
        assert(await holdsWithin(3_000, () => lines().some((line) => line.includes(id))), lines().join("\n"));
        assertEquals(lines().length, 1, lines().join("\n"));
        assertEquals(JSON.parse(lines()[0] ?? "").status, credential === "" ? 401 : 499);
      }
    });
  } finally {
    await functions.end();
  }
});

/** A connection on which nothing is done but what is asked: fetch has ideas of its own. */
class Connection {
  readonly #connection: Deno.TcpConn;
  #rest = "";

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async to(port: number): Promise<Connection> {
    return new Connection(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  /** The next answer; its body is read as it comes, in chunks or whole. */
  async answer(): Promise<{ status: number; headers: Headers; body: string }> {
    const head = await this.#read((text) => {
      const end = text.indexOf("\r\n\r\n");
      return end < 0 ? undefined : end + 4;
    });
    const [statusLine = "", ...lines] = head.trim().split("\r\n");
    const headers = new Headers(lines.map((line): [string, string] => {
      const [name = "", ...value] = line.split(":");
      return [name, value.join(":").trim()];
    }));
    const length = Number(headers.get("content-length") ?? 0);
    const isChunked = headers.get("transfer-encoding") === "chunked";
    const body = await this.#read((text) => {
      if (!isChunked) return text.length >= length ? length : undefined;
      const end = text.indexOf("0\r\n\r\n");
      return end < 0 ? undefined : end + 5;
    });
    return { status: Number(statusLine.split(" ")[1]), headers, body };
  }

  async #read(lengthOf: (text: string) => number | undefined): Promise<string> {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const length = this.#rest === "" ? undefined : lengthOf(this.#rest);
      if (length !== undefined) {
        const taken = this.#rest.slice(0, length);
        this.#rest = this.#rest.slice(length);
        return taken;
      }
      const count = await this.#connection.read(buffer);
      if (count === null) throw new Error(`The connection ended after: ${this.#rest}`);
      this.#rest += new TextDecoder("latin1").decode(buffer.subarray(0, count));
    }
  }

  close(): void {
    this.#connection.close();
  }
}
