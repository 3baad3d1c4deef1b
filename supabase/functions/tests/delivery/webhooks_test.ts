/** Webhooks: endpoints, their URLs, who may see and change them. What is sent is tested in webhook_delivery_test.ts. */
import {
  anonymous,
  type Answer,
  assert,
  assertEquals,
  assertMatch,
  assertProblem,
  assertRejects,
  type Client,
  dataApi,
  env,
  newUser,
  newWorkplace,
  nextPage,
  server,
  unique,
} from "../support/harness.ts";
import { edgeDeno, edgeFlags } from "../../../../local/functions/edge_deno.ts";
import { newEndpoint, Receiver } from "../support/webhook_receiver.ts";
import type { WebhookEndpoint } from "../../_shared/webhook_endpoint.ts";
import type { WebhookEndpointWithSecret } from "../../webhooks/endpoints/schemas.ts";
import { addressOf, checkUrl, RefusedTarget, type TargetRules } from "../../webhooks/sending/target.ts";

const deployed: TargetRules = { ports: [443, 8443], allowsLoopback: false };

/** A URL that receives nothing. */
const someUrl = "https://hooks.example.com/mes";

Deno.test("POST /webhooks/v1/endpoints: answers the endpoint with its secret only when it is created", async () => {
  const workplace_name = newWorkplace();
  const manager = await newUser({ role: "manager" });
  const fields: Partial<WebhookEndpoint> = {
    url: someUrl,
    description: "Plan board",
    action_types: ["START", "FINISH"],
    workplace_names: [workplace_name],
    order_prefix: "4038",
  };
  const created = await manager.client.post<WebhookEndpointWithSecret>("/webhooks/v1/endpoints", fields);
  assertEquals(created.status, 201, created.text);
  assertMatch(created.body.secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
  const path = `/webhooks/v1/endpoints/${created.body.id}`;
  assertEquals(created.headers.get("location"), `/functions/v1${path}`);
  const { secret, ...endpoint } = created.body;
  const read = await manager.client.get<WebhookEndpoint>(path);
  assertEquals(read.body, endpoint);
  assertEquals({ ...endpoint, ...fields }, endpoint);
  assert(!read.text.includes(secret));
  const listed = await server.get<WebhookEndpoint[]>("/webhooks/v1/endpoints", { query: { limit: 500 } });
  assert(!listed.text.includes("whsec_"));
  assertEquals((await server.delete(path)).status, 204);
  assertProblem(await server.get(path), 404, "not_found");
});

Deno.test("POST /webhooks/v1/endpoints: answers the same endpoint and secret when it is repeated with its key", async () => {
  const headers = { "Idempotency-Key": unique("K") };
  const create = () => server.post<WebhookEndpointWithSecret>("/webhooks/v1/endpoints", { url: someUrl }, { headers });
  const [first, second] = [await create(), await create()];
  assertEquals(second.text, first.text);
  assertEquals(second.headers.get("idempotency-replayed"), "true");
  await server.delete(`/webhooks/v1/endpoints/${first.body.id}`);
});

Deno.test("PATCH /webhooks/v1/endpoints: counts versions, checks If-Match and sets disabled_reason when enabled changes", async () => {
  const { id } = await newEndpoint({ url: someUrl, workplace_names: [newWorkplace()] });
  const path = `/webhooks/v1/endpoints/${id}`;
  const disabled = await server.patch<WebhookEndpoint>(path, { enabled: false }, { headers: { "If-Match": '"1"' } });
  assertEquals([disabled.status, disabled.body.disabled_reason, disabled.body.version], [200, "manual", 2]);
  assertProblem(
    await server.patch(path, { description: "x" }, { headers: { "If-Match": '"1"' } }),
    412,
    "stale_version",
  );
  assertProblem(await server.post(`${path}/test`), 409, "endpoint_disabled");
  const enabled = await server.patch<WebhookEndpoint>(path, {
    enabled: true,
    workplace_names: null,
    order_prefix: "O-1",
  });
  assertEquals(
    [enabled.body.enabled, enabled.body.disabled_reason, enabled.body.workplace_names, enabled.body.order_prefix],
    [true, null, null, "O-1"],
  );
  for (const patch of [{}, { url: null }, { enabled: null }, { secret: "x" }, { action_types: [] }]) {
    assertProblem(await server.patch(path, patch), 422, "validation_failed");
  }
  await server.delete(path);
});

Deno.test("GET /webhooks/v1/endpoints: lists each endpoint once when read page by page", async () => {
  const made = [];
  for (let index = 0; index < 3; index++) {
    made.push(await newEndpoint({ url: someUrl, workplace_names: [newWorkplace()] }));
  }
  const seen: string[] = [];
  for (let path: string | undefined = "/webhooks/v1/endpoints?limit=1"; path !== undefined;) {
    const page: Answer<WebhookEndpoint[]> = await server.get<WebhookEndpoint[]>(path);
    assertEquals(page.status, 200, page.text);
    seen.push(...page.body.map(({ id }) => id));
    path = nextPage(page);
  }
  assertEquals(made.filter(({ id }) => seen.filter((other) => other === id).length !== 1), []);
  for (const { id } of made) await server.delete(`/webhooks/v1/endpoints/${id}`);
});

/** URLs that a deployed project rejects, for every resolution of a name. */
const hostileUrls = [
  "http://hooks.example.com/",
  "ftp://hooks.example.com/",
  "file:///etc/passwd",
  "https://127.0.0.1/",
  "https://2130706433/",
  "https://0177.0.0.1/",
  "https://0x7f.0.0.1/",
  "https://0x7f000001/",
  "https://127.1/",
  "https://①②⑦.⓪.⓪.①/",
  "https://10.0.0.1/",
  "https://172.16.0.1/",
  "https://192.168.1.1/",
  "https://169.254.169.254/latest/meta-data/",
  "https://100.64.0.1/",
  "https://168.63.129.16/metadata/v1/instanceinfo",
  "https://a..b/",
  "https://hooks..example.com/",
  "https://.hooks.example.com/",
  "https://hooks.example.com../",
  "https://0.0.0.0/",
  "https://224.0.0.1/",
  "https://255.255.255.255/",
  "https://192.0.2.1/",
  "https://[::1]/",
  "https://[::]/",
  "https://[::ffff:127.0.0.1]/",
  "https://[::ffff:7f00:1]/",
  "https://[::127.0.0.1]/",
  "https://[fe80::1]/",
  "https://[fc00::1]/",
  "https://[fd00:ec2::254]/",
  "https://[64:ff9b::7f00:1]/",
  "https://[2002:7f00:1::]/",
  "https://[ff02::1]/",
  "https://localhost/",
  "https://LOCALHOST/",
  "https://localhost./",
  "https://db.localhost/",
  "https://metadata.google.internal/",
  "https://printer.local/",
  "https://intranet/",
  "https://user:password@hooks.example.com/",
  "https://hooks.example.com@127.0.0.1/",
  "https://@hooks.example.com/",
  "https://hooks.example.com:22/",
  "https://hooks.example.com:5432/",
  "https://hooks.example.com:80/",
  "https:\\\\hooks.example.com/",
  "https://hooks.example.com\t/",
  "https:/hooks.example.com/",
  " https://hooks.example.com/",
  "https://hooks.example.com/#fragment",
  "https://hooks。example。com/",
  "//hooks.example.com/",
  "",
];

Deno.test("Webhook URLs: are rejected when their form is hostile", () => {
  const passed = hostileUrls.filter((url) => {
    try {
      checkUrl(url, deployed);
      return true;
    } catch (error) {
      assert(error instanceof RefusedTarget, `${url}: ${error}`);
      return false;
    }
  });
  assertEquals(passed, []);
  for (
    const url of [someUrl, "https://hooks.example.com:8443/a?b=c", "https://8.8.8.8/", "https://[2606:4700::1111]/"]
  ) {
    assertEquals(checkUrl(url, deployed).href, url);
  }
});

Deno.test("Webhook URLs: are rejected when one address of the name is internal", async () => {
  const url = checkUrl(someUrl, deployed);
  const inner = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "168.63.129.16",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fe80::1",
  ];
  for (const address of [...inner, "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "::10.0.0.1", "2002:a00:1::"]) {
    await assertRejects(() => addressOf(url, deployed, () => Promise.resolve([address])), RefusedTarget);
    await assertRejects(() => addressOf(url, deployed, () => Promise.resolve(["8.8.8.8", address])), RefusedTarget);
  }
  assertEquals(await addressOf(url, deployed, () => Promise.resolve(["8.8.8.8"])), "8.8.8.8");
  assertEquals(await addressOf(checkUrl("https://8.8.8.8/", deployed), deployed), "8.8.8.8");
});

Deno.test("POST and PATCH /webhooks/v1/endpoints: answer 422 when the URL is hostile", async () => {
  const { id } = await newEndpoint({ url: someUrl, workplace_names: [newWorkplace()] });
  const path = `/webhooks/v1/endpoints/${id}`;
  for (const url of hostileUrls) {
    assertProblem(await server.post("/webhooks/v1/endpoints", { url }), 422, "validation_failed");
  }
  // a local stack lets http go to this machine, and there only in the plain form
  for (
    const url of ["http://2130706433:9/", "http://0x7f.1/", "http://127.1/", "http://10.0.0.1/", "http://a@127.0.0.1/"]
  ) {
    const { errors } = assertProblem(await server.patch(path, { url }), 422, "validation_failed");
    assertEquals([errors?.[0]?.pointer, errors?.[0]?.code], ["/url", "refused_url"]);
  }
  await server.delete(path);
});

Deno.test({
  name: "Webhooks by https: connect to the checked address, and verify the name by TLS, when they are sent",
  ignore: !await hasOpenssl(),
}, async () => {
  const { cert, key } = await makeCertificate("hooks.example.com");
  const heard: string[] = [];
  const https = Deno.serve({ hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} }, async (request) => {
    heard.push(`${request.headers.get("host")} ${await request.text()}`);
    return new Response("heard");
  });
  const script = new URL("../support/webhook_post.ts", import.meta.url).pathname;
  const send = async (host: string, ...ca: string[]) => {
    const { success, stdout } = await new Deno.Command(await edgeDeno(), {
      args: [...edgeFlags, script, `https://${host}:${https.addr.port}/hook`, "127.0.0.1", ...ca],
      stderr: "null",
    }).output();
    return success ? JSON.parse(new TextDecoder().decode(stdout)) : "refused";
  };
  try {
    assertEquals(await send("hooks.example.com", cert), { status: 200, text: "heard" });
    assertEquals(heard, [`hooks.example.com:${https.addr.port} {}`]);
    assertEquals(await send("other.example.com", cert), "refused");
    assertEquals(await send("hooks.example.com"), "refused");
    assertEquals(heard.length, 1);
  } finally {
    await https.shutdown();
  }
});

Deno.test({
  name: "Webhooks by https: end the connection when the answer is endless, at any speed",
  ignore: !await hasOpenssl(),
}, async () => {
  const { cert, key } = await makeCertificate("hooks.example.com");
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const hint = new TextEncoder().encode("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(2_000));
  let sentBytes = 0;
  const talking = (async () => {
    for await (const connection of listener) {
      try {
        for (;;) sentBytes += await connection.write(hint);
      } catch {
        // the receiver was cut off
      }
      connection.close();
    }
  })();
  const script = new URL("../support/webhook_post.ts", import.meta.url).pathname;
  const url = `https://hooks.example.com:${listener.addr.port}/hook`;
  const { success, stderr } = await new Deno.Command(await edgeDeno(), {
    args: [...edgeFlags, script, url, "127.0.0.1", cert],
    stdout: "null",
    stderr: "piped",
  }).output();
  assertEquals(success, false);
  assertMatch(new TextDecoder().decode(stderr), /the answer is too long/);
  assert(sentBytes < 50_000_000, `${sentBytes} bytes`);
  listener.close();
  await talking;
});

async function hasOpenssl(): Promise<boolean> {
  try {
    return (await new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

async function makeCertificate(name: string): Promise<{ cert: string; key: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
    const names = [
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=DNS:${name}`,
      "-addext",
      "basicConstraints=CA:FALSE",
    ];
    const files = ["-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`];
    const { success } = await new Deno.Command("openssl", { args: [...args, ...names, ...files], stderr: "null" })
      .output();
    assert(success, "openssl made no certificate");
    return {
      cert: await Deno.readTextFile(`${folder}/cert.pem`),
      key: await Deno.readTextFile(`${folder}/key.pem`),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("Webhooks: answer 403 when the caller is below manager, and dispatching when the caller is no server", async () => {
  await using receiver = new Receiver();
  const endpoint = await newEndpoint({ url: receiver.url, workplace_names: [newWorkplace()] });
  const path = `/webhooks/v1/endpoints/${endpoint.id}`;
  const ping = await server.post<{ id: string }>(`${path}/test`);
  assertEquals(ping.status, 202, ping.text);
  const missing = crypto.randomUUID();
  const calls: ((client: Client) => Promise<Answer<unknown>>)[] = [
    (client) => client.get("/webhooks/v1/endpoints"),
    (client) => client.post("/webhooks/v1/endpoints", { url: someUrl }),
    (client) => client.get(path),
    (client) => client.get(`/webhooks/v1/endpoints/${missing}`),
    (client) => client.patch(path, { url: someUrl }),
    (client) => client.delete(path),
    (client) => client.post(`${path}/rotate`, {}),
    (client) => client.post(`${path}/test`),
    (client) => client.post(`${path}/replay`, {}),
    (client) => client.get("/webhooks/v1/deliveries"),
    (client) => client.get(`/webhooks/v1/deliveries/${ping.body.id}`),
    (client) => client.get(`/webhooks/v1/deliveries/${missing}`),
    (client) => client.post(`/webhooks/v1/deliveries/${ping.body.id}/replay`),
    (client) => client.post("/webhooks/v1/dispatch"),
  ];
  for (const role of ["readonly", "machine", "operator", "supervisor"] as const) {
    const { client } = await newUser({ role, workplaces: ["*"] });
    for (const call of calls) assertProblem(await call(client), 403, "forbidden");
  }
  for (const call of calls) assertProblem(await call(anonymous), 401, "unauthenticated");
  for (const role of ["manager", "admin"] as const) {
    const { client } = await newUser({ role });
    assertProblem(await client.post("/webhooks/v1/dispatch"), 403, "forbidden");
    assertEquals((await client.get(path)).status, 200);
    assertEquals((await client.get(`/webhooks/v1/deliveries/${ping.body.id}`)).status, 200);
    assertProblem(await client.get(`/webhooks/v1/endpoints/${missing}`), 404, "not_found");
  }
  assertEquals((await server.get<WebhookEndpoint>(path)).body.version, 1, "a refused call changed it");
  await server.delete(path);
});

Deno.test("Webhooks: hide tables and secrets when the Data API is called", async () => {
  const endpoint = await newEndpoint({ url: someUrl, workplace_names: [newWorkplace()] });
  const manager = await newUser({ role: "manager" });
  const supervisor = await newUser({ role: "supervisor", workplaces: ["*"] });
  const publishable = { apikey: env.publishableKey };
  const credentials = [publishable, supervisor.client, manager.client, server];
  for (const credential of credentials) {
    const api = dataApi(credential);
    for (const table of ["endpoints", "secrets", "health", "deliveries", "attempts"]) {
      for (const schema of [null, "app"]) {
        const headers = { "accept-profile": schema, "content-profile": schema };
        const read = await api.get(`/rest/v1/webhook_${table}`, { headers });
        assert(read.status >= 400, `${table}: ${read.status} ${read.text}`);
        const written = await api.post(`/rest/v1/webhook_${table}`, { endpoint_id: endpoint.id }, { headers });
        assert(written.status >= 400, `${table}: ${written.status} ${written.text}`);
      }
    }
  }
  const rpc = (credential: Parameters<typeof dataApi>[0], name: string, body: unknown) =>
    dataApi(credential).post(`/rest/v1/rpc/${name}`, body);
  const functions: [string, Record<string, unknown>][] = [
    ["list_webhook_endpoints", {}],
    ["get_webhook_endpoint", { endpoint_id: endpoint.id }],
    ["create_webhook_endpoint", { endpoint: { url: someUrl } }],
    ["update_webhook_endpoint", { endpoint_id: endpoint.id, patch: { url: "https://other.example.com/" } }],
    ["delete_webhook_endpoint", { endpoint_id: endpoint.id }],
    ["rotate_webhook_secret", { endpoint_id: endpoint.id }],
    ["test_webhook_endpoint", { endpoint_id: endpoint.id }],
    ["list_webhook_deliveries", {}],
    ["get_webhook_delivery", { delivery_id: endpoint.id }],
    ["replay_webhook_delivery", { delivery_id: endpoint.id }],
    ["replay_webhook_events", { endpoint_id: endpoint.id }],
    ["claim_deliveries", {}],
    ["settle_delivery", { delivery_id: endpoint.id, lease_token: endpoint.id, duration_ms: 1, url: someUrl }],
  ];
  for (const credential of [publishable, supervisor.client]) {
    for (const [name, body] of functions) {
      const answer = await rpc(credential, name, body);
      assert([401, 403, 404].includes(answer.status), `${name}: ${answer.status} ${answer.text}`);
    }
  }
  for (const name of ["claim_deliveries", "settle_delivery"]) {
    const [, body] = functions.find(([other]) => other === name) ?? [];
    assert([401, 403, 404].includes((await rpc(manager.client, name, body)).status), name);
  }
  assertEquals((await rpc(manager.client, "get_webhook_endpoint", { endpoint_id: endpoint.id })).status, 200);
  assertEquals((await server.get<WebhookEndpoint>(`/webhooks/v1/endpoints/${endpoint.id}`)).body.version, 1);
  await server.delete(`/webhooks/v1/endpoints/${endpoint.id}`);
});
