/** Credentials that are not what they seem: forged, foreign, outdated, misplaced or doubled. */
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url.js";
import {
  anonymous,
  type Answer,
  assert,
  assertEquals,
  assertMatch,
  assertProblem,
  Client,
  dataApi,
  env,
  newOperation,
  newUser,
  type Operation,
  operationPath,
  report,
  type RequestOptions,
  server,
  type User,
} from "../support/harness.ts";
import { neededMigration } from "../../_shared/needed_migration.ts";
import { startFunctions } from "../support/functions_process.ts";
import { startStack } from "../../../../local/stack.ts";

/** The key that signs users' tokens: known to the tests on a stack that they started themselves only. */
const signingSecret = Deno.env.get("LOCAL_JWT_SECRET");

type Claims = Record<string, unknown>;

const encodeJson = (value: unknown) => encodeBase64Url(new TextEncoder().encode(JSON.stringify(value)));

function decodeJson(part: string | undefined): Claims {
  return JSON.parse(new TextDecoder().decode(decodeBase64Url(part ?? "")));
}

async function sign(header: Claims, claims: Claims, secret: string, hash = "SHA-256"): Promise<string> {
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash }, false, ["sign"]);
  const signed = `${encodeJson(header)}.${encodeJson(claims)}`;
  return `${signed}.${encodeBase64Url(await crypto.subtle.sign("HMAC", key, encoder.encode(signed)))}`;
}

interface Genuine {
  /** A manager, whose token shows everything. */
  user: User;
  header: Claims;
  claims: Claims;
  signature: string;
  operation: Operation;
}

let made: Promise<Genuine> | undefined;
const genuine = () => made ??= makeGenuine();

async function makeGenuine(): Promise<Genuine> {
  const user = await newUser({ role: "manager", workplaces: ["*"] });
  const [header, claims, signature] = user.token.split(".");
  return {
    user,
    header: decodeJson(header),
    claims: decodeJson(claims),
    signature: signature ?? "",
    operation: await newOperation(),
  };
}

/** Refused by the functions, for a read and for a write, and nothing happens. */
async function assertRefused(headers: Record<string, string>, query: RequestOptions["query"] = {}): Promise<void> {
  const { operation } = await genuine();
  const client = new Client({});
  const path = operationPath(operation);
  const answers: Answer<unknown>[] = [
    await client.get(path, { headers, query }),
    await client.get("/profiles/v1", { headers, query }),
    await client.patch(path, { status: "IN_PROGRESS" }, { headers, query }),
    await client.post("/events/v1", {}, { headers, query }),
    await client.delete(path, { headers, query }),
  ];
  for (const answer of answers) {
    assertProblem(answer, 401, "unauthenticated");
    assertEquals(answer.headers.get("www-authenticate"), "Bearer");
    for (const value of Object.values(headers)) assert(value.length < 20 || !answer.text.includes(value), answer.text);
  }
  const { status, body, text } = await server.get<Operation>(path);
  assertEquals([status, body.version], [200, operation.version], text);
}

const bearer = (token: string) => ({ apikey: env.publishableKey, authorization: `Bearer ${token}` });

interface Forgery {
  what: string;
  token: (genuine: Genuine) => string | Promise<string>;
  /** True when only the functions are asked, because the Data API accepts every token that the project signed. */
  functionsOnly?: true;
}

const now = () => Math.floor(Date.now() / 1000);

/** Tokens that any user can make from their own token and the public key. */
const forgeries: Forgery[] = [
  {
    what: "alg none, no signature",
    token: ({ claims }) => `${encodeJson({ alg: "none", typ: "JWT" })}.${encodeJson(claims)}.`,
  },
  {
    what: "alg none with the kid and a signature",
    token: ({ header, claims, signature }) =>
      `${encodeJson({ ...header, alg: "none" })}.${encodeJson(claims)}.${signature}`,
  },
  { what: "alg nOnE", token: ({ claims }) => `${encodeJson({ alg: "nOnE" })}.${encodeJson(claims)}.` },
  {
    what: "signed with the publishable key",
    token: ({ header, claims }) => sign({ ...header, alg: "HS256" }, claims, env.publishableKey),
  },
  {
    what: "signed with the publishable key, no kid",
    token: ({ claims }) => sign({ alg: "HS256", typ: "JWT" }, claims, env.publishableKey),
  },
  {
    what: "signed with a short key",
    token: ({ header, claims }) => sign({ ...header, alg: "HS256" }, claims, "secret"),
  },
  {
    what: "signed with a key that it brings along",
    token: ({ header, claims }) => {
      const k = encodeBase64Url(new TextEncoder().encode("mallory's own key, long enough"));
      return sign(
        { ...header, alg: "HS256", jwk: { kty: "oct", alg: "HS256", k } },
        claims,
        "mallory's own key, long enough",
      );
    },
  },
  {
    what: "signed with a key that it points at",
    token: ({ header, claims }) =>
      sign({ ...header, alg: "HS256", jku: "http://127.0.0.1:9/jwks.json" }, claims, "mallory's own key, long enough"),
  },
  {
    what: "a kid that is a path",
    token: ({ claims }) => sign({ alg: "HS256", kid: "../../../../dev/null" }, claims, "\0"),
  },
  {
    what: "role service_role under the old signature",
    token: ({ header, claims, signature }) =>
      `${encodeJson(header)}.${encodeJson({ ...claims, role: "service_role" })}.${signature}`,
  },
  {
    what: "somebody else's sub under the old signature",
    token: ({ header, claims, signature }) =>
      `${encodeJson(header)}.${encodeJson({ ...claims, sub: crypto.randomUUID() })}.${signature}`,
  },
  {
    what: "a later exp under the old signature",
    token: ({ header, claims, signature }) =>
      `${encodeJson(header)}.${encodeJson({ ...claims, exp: now() + 86_400 })}.${signature}`,
  },
  { what: "no signature", token: ({ user }) => user.token.slice(0, user.token.lastIndexOf(".") + 1) },
  { what: "two parts", token: ({ user }) => user.token.slice(0, user.token.lastIndexOf(".")) },
  { what: "truncated", token: ({ user }) => user.token.slice(0, -5) },
  { what: "one part too many", token: ({ user }) => `${user.token}.e30` },
  {
    what: "another signature",
    token: ({ user, signature }) => user.token.replace(signature, signature.split("").reverse().join("")),
  },
  { what: "no JSON", token: ({ signature }) => `e30.bm90IGpzb24.${signature}` },
  { what: "not a token", token: () => "mallory" },
  { what: "20 KB", token: () => "e".repeat(20_000) },
];

/** Signed by the project itself, but not for this, not now or not for a user. */
const misuses: Forgery[] = [
  { what: "an unknown kid", token: (own) => signed(own, {}, { kid: "other" }), functionsOnly: true },
  { what: "no kid", token: (own) => signed(own, {}, { kid: undefined }), functionsOnly: true },
  {
    what: "another alg than the key's",
    token: ({ header, claims }) => sign({ ...header, alg: "HS512" }, claims, signingSecret ?? "", "SHA-512"),
  },
  { what: "no exp", token: (own) => signed(own, { exp: undefined }), functionsOnly: true },
  { what: "expired", token: (own) => signed(own, { exp: now() - 3_600 }) },
  { what: "exp as text", token: (own) => signed(own, { exp: String(now() + 3_600) }) },
  { what: "not yet valid", token: (own) => signed(own, { nbf: now() + 3_600 }) },
  {
    what: "another issuer",
    token: (own) => signed(own, { iss: "https://mallory.example/auth/v1" }),
    functionsOnly: true,
  },
  { what: "no issuer", token: (own) => signed(own, { iss: undefined }), functionsOnly: true },
  { what: "another audience", token: (own) => signed(own, { aud: "other" }), functionsOnly: true },
  { what: "no audience", token: (own) => signed(own, { aud: undefined }), functionsOnly: true },
  { what: "role service_role", token: (own) => signed(own, { role: "service_role" }), functionsOnly: true },
  { what: "role supabase_admin", token: (own) => signed(own, { role: "supabase_admin" }), functionsOnly: true },
  { what: "role anon", token: (own) => signed(own, { role: "anon", sub: undefined }) },
  { what: "role as a list", token: (own) => signed(own, { role: ["authenticated"] }), functionsOnly: true },
  { what: "an anonymous user", token: (own) => signed(own, { is_anonymous: true }), functionsOnly: true },
  { what: "no role", token: (own) => signed(own, { role: undefined }), functionsOnly: true },
];

/** The genuine token with other claims, signed as the project signs. */
function signed({ header, claims }: Genuine, otherClaims: Claims, otherHeader: Claims = {}): Promise<string> {
  return sign({ ...header, ...otherHeader }, { ...claims, ...otherClaims }, signingSecret ?? "");
}

function testForgery({ what, token, functionsOnly }: Forgery, needsSecret: boolean): void {
  const ignore = needsSecret && signingSecret === undefined;
  const reason = ignore ? " (needs LOCAL_JWT_SECRET: a deployed project does not give its key away)" : "";
  Deno.test({
    name: `Tokens: ${what}: 401 unauthenticated, ${
      functionsOnly ? "" : "nothing from the Data API, "
    }no fall-back to a key${reason}`,
    ignore,
    async fn() {
      const own = await genuine();
      const forged = await token(own);
      assert(forged !== own.user.token);
      await assertRefused(bearer(forged));
      await assertRefused({ apikey: env.secretKey, authorization: `Bearer ${forged}` });
      await assertRefused({ authorization: `Bearer ${forged}` });
      if (functionsOnly) return;
      const api = dataApi({ apikey: env.publishableKey, token: forged });
      for (const path of ["mes_operations", "profiles", "workplaces", "rpc/list_operations", "rpc/list_profiles"]) {
        const { status, text } = await api.get(`/rest/v1/${path}`);
        assertEquals(status, 401, `${path}: ${text}`);
        assert(!text.includes(own.operation.order_no));
      }
      const written = await api.post("/rest/v1/rpc/delete_profile", { id: own.user.id });
      assertEquals(written.status, 401, written.text);
      assertEquals((await server.get(`/profiles/v1/${own.user.id}`)).status, 200);
    },
  });
}

for (const forgery of forgeries) testForgery(forgery, false);
for (const misuse of misuses) testForgery(misuse, true);

Deno.test({
  name: "Tokens: the genuine claims signed again are accepted: the forgeries fail for what they changed" +
    (signingSecret === undefined ? " (needs LOCAL_JWT_SECRET)" : ""),
  ignore: signingSecret === undefined,
  async fn() {
    const own = await genuine();
    const again = await signed(own, { exp: now() + 60, iat: now() });
    assertEquals((await new Client({}).get(operationPath(own.operation), { headers: bearer(again) })).status, 200);
    assertEquals(
      (await new Client({}).get("/profiles/v1", { headers: { authorization: `Bearer ${again}` } })).status,
      200,
    );
  },
});

Deno.test("Tokens: the token needs no apikey beside it; a valid token wins over the secret key", async () => {
  const { claims: { sub } } = await genuine();
  const operator = await newUser();
  const { status, body } = await new Client({ token: operator.token }).get<{ id: string }[]>("/profiles/v1");
  assertEquals([status, body.map(({ id }) => id)], [200, [operator.id]]);
  const both = await new Client({ apikey: env.secretKey, token: operator.token }).get(`/profiles/v1/${sub}`);
  assertProblem(both, 404, "not_found");
});

const schemes: Record<string, (genuine: Genuine) => Record<string, string>> = {
  "lower-case bearer": ({ user }) => ({ authorization: `bearer ${user.token}` }),
  "upper-case BEARER": ({ user }) => ({ authorization: `BEARER ${user.token}` }),
  "no scheme": ({ user }) => ({ authorization: user.token }),
  "scheme without a token": () => ({ authorization: "Bearer" }),
  "two spaces": ({ user }) => ({ authorization: `Bearer  ${user.token}` }),
  "another scheme": ({ user }) => ({ authorization: `Token ${user.token}` }),
  "Basic with the secret key": () => ({ authorization: `Basic ${btoa(`service_role:${env.secretKey}`)}` }),
  "two tokens, comma": ({ user }) => ({ authorization: `Bearer ${user.token}, Bearer ${user.token}` }),
  "two tokens, space": ({ user }) => ({ authorization: `Bearer ${user.token} ${user.token}` }),
  "secret key as token": () => ({ authorization: `Bearer ${env.secretKey}` }),
  "secret key as token, publishable key": () => ({
    apikey: env.publishableKey,
    authorization: `Bearer ${env.secretKey}`,
  }),
  "publishable key as token": () => ({ authorization: `Bearer ${env.publishableKey}` }),
  "publishable key alone": () => ({ apikey: env.publishableKey }),
  "token as apikey": ({ user }) => ({ apikey: user.token }),
  "secret key in another header": () => ({ "x-api-key": env.secretKey }),
  "secret key, one character less": () => ({ apikey: env.secretKey.slice(0, -1) }),
  "secret key, one character more": () => ({ apikey: `${env.secretKey}x` }),
  "secret key in upper case": () => ({ apikey: env.secretKey.toUpperCase() }),
  "secret key twice": () => ({ apikey: `${env.secretKey}, ${env.secretKey}` }),
  "prefix of a secret key": () => ({ apikey: "sb_secret_" }),
  "a name of an object's member as key": () => ({ apikey: "__proto__" }),
  "token in a cookie": ({ user }) => ({ cookie: `sb-access-token=${user.token}; sb-local-auth-token=${user.token}` }),
};

for (const [what, headers] of Object.entries(schemes)) {
  Deno.test(`Credentials: ${what}: 401 unauthenticated`, async () => {
    const sent = headers(await genuine());
    await assertRefused(sent);
    // whatever stands in Authorization is judged, a valid key beside it or not; what is no token at all there is a key
    // that supabase-js sends twice
    const isKey = /^Bearer sb_/.test(sent.authorization ?? "");
    if (sent.authorization !== undefined && !isKey) await assertRefused({ ...sent, apikey: env.secretKey });
  });
}

Deno.test("Credentials: the secret key in both headers, as supabase-js sends it, is the secret key", async () => {
  const headers = { apikey: env.secretKey, authorization: `Bearer ${env.secretKey}` };
  assertEquals((await anonymous.get("/profiles/v1?limit=1", { headers })).status, 200);
});

Deno.test("Credentials: two Authorization headers: 401 unauthenticated", async () => {
  const { user, operation } = await genuine();
  const headers = new Headers([["authorization", `Bearer ${user.token}`], ["authorization", `Bearer ${user.token}`]]);
  const response = await fetch(`${env.functionsUrl}${operationPath(operation)}`, { headers });
  assertEquals(response.status, 401, await response.text());
});

Deno.test("Credentials: in the query: 401 unauthenticated", async () => {
  const { user } = await genuine();
  await assertRefused({}, { access_token: user.token });
  await assertRefused({}, { apikey: env.secretKey });
  await assertRefused({ apikey: env.publishableKey }, {
    token: user.token,
    authorization: `Bearer ${user.token}`,
    jwt: user.token,
  });
});

Deno.test("Credentials: have the same role when headers of the Data API name another one", async () => {
  const { operation } = await genuine();
  const operator = await newUser();
  for (
    const header of [
      "x-role",
      "role",
      "x-supabase-role",
      "x-forwarded-user",
      "prefer",
      "x-client-info",
      "request.jwt.claims",
    ]
  ) {
    const answer = await operator.client.get(operationPath(operation), { headers: { [header]: "role=service_role" } });
    assertProblem(answer, 404, "not_found");
  }
  const answer = await report(operator.client, operation, "START");
  assertProblem(answer, 404, "not_found");
});

const needsSecret = signingSecret === undefined ? " (needs LOCAL_JWT_SECRET)" : "";
const get = async (url: string, token: string) => {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  const { detail, code } = await response.json().catch(() => ({}));
  return { status: response.status, detail: String(detail), code };
};

Deno.test({
  name: `Tokens: show nothing of the Data API when the user is anonymous${needsSecret}`,
  ignore: signingSecret === undefined,
  async fn() {
    const own = await genuine();
    const token = await signed(own, { is_anonymous: true });
    const api = dataApi({ apikey: env.publishableKey, token });
    for (const table of ["mes_operations", "profiles", "workplaces", "reason_codes"]) {
      assertEquals((await api.get(`/rest/v1/${table}?limit=1`)).text, "[]", table);
    }
    const { order_no, asset_id, operation_no } = own.operation;
    const read = await api.post("/rest/v1/rpc/get_operation", { order_no, asset_id, operation_no });
    assertEquals(read.status, 404, read.text);
  },
});

Deno.test({
  name: `Tokens: one issued 10 minutes ahead of the server's clock, which stepped back, is no error${needsSecret}`,
  ignore: signingSecret === undefined,
  async fn() {
    const own = await genuine();
    const ahead = await signed(own, { iat: now() + 600, exp: now() + 4_200 });
    const { status, code, detail } = await get(`${env.functionsUrl}${operationPath(own.operation)}`, ahead);
    // the Data API may wait for the clock, and says so
    assert(status === 200 || (status === 503 && code === "unavailable"), `${status} ${detail}`);
  },
});

Deno.test({
  name: `Tokens: 401 says what is wrong with one that the project signed${needsSecret}`,
  ignore: signingSecret === undefined,
  async fn() {
    const own = await genuine();
    const why = async (claims: Claims, header?: Claims) =>
      (await get(`${env.functionsUrl}/profiles/v1`, await signed(own, claims, header))).detail;
    assertMatch(await why({ exp: now() - 3_600 }), /has expired/);
    assertMatch(await why({ nbf: now() + 3_600 }), /not valid yet, by the server's clock \(20/);
    assertMatch(await why({ is_anonymous: true }), /anonymous user/);
    assertMatch(await why({ iss: "https://mallory.example/auth/v1" }), /claim "iss"/);
    assertMatch(await why({}, { kid: undefined }), /no key id \(kid\).*JWT_SECRET/);
  },
});

Deno.test({
  name:
    `Tokens: of a project with the legacy secret: accepted with JWT_SECRET, told in the log without it${needsSecret}`,
  ignore: signingSecret === undefined,
  async fn() {
    const own = await genuine();
    const legacy = await signed(own, {}, { kid: undefined });
    const environment = { SUPABASE_JWKS: '{"keys":[]}' };
    const knowing = await startFunctions(["profiles"], { ...environment, JWT_SECRET: signingSecret ?? "" });
    const unknowing = await startFunctions(["profiles"], environment);
    try {
      assertEquals((await get(`${knowing.url}/profiles/v1`, legacy)).status, 200);
      const forgeries = [
        await sign({ alg: "HS256" }, own.claims, "mallory's own key, long enough"),
        await signed(own, { exp: now() - 3_600 }, { kid: undefined }),
        await signed(own, { aud: "other" }, { kid: undefined }),
        await signed(own, { iss: "https://mallory.example/auth/v1" }, { kid: undefined }),
        await signed(own, { is_anonymous: true }, { kid: undefined }),
        await signed(own, { role: "service_role" }, { kid: undefined }),
        `${encodeJson({ alg: "none" })}.${encodeJson(own.claims)}.`,
      ];
      for (const forged of forgeries) {
        assertEquals((await get(`${knowing.url}/profiles/v1`, forged)).status, 401, forged);
      }
      assertEquals(knowing.log.filter((line) => line.includes("warning")), []);
      const refused = await get(`${unknowing.url}/profiles/v1`, legacy);
      assertEquals(refused.status, 401);
      assertMatch(refused.detail, /legacy JWT secret/);
      assert(unknowing.log.some((line) => line.includes("SUPABASE_JWKS has no key")), unknowing.log.join("\n"));
    } finally {
      await Promise.all([knowing.end(), unknowing.end()]);
    }
  },
});

Deno.test("Tokens: a key that the project rotated to is fetched, at most once in a while", async () => {
  const { privateKey, publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const published = { ...await crypto.subtle.exportKey("jwk", publicKey), kid: "rotated", alg: "ES256", use: "sig" };
  let fetched = 0;
  const project = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
    if (url.endsWith("/rest/v1/rpc/health")) return Response.json({ migration: neededMigration });
    if (!url.endsWith("/auth/v1/.well-known/jwks.json")) return Response.json({ items: [], next: null, total: null });
    fetched++;
    return Response.json({ keys: [published] });
  });
  const supabaseUrl = `http://127.0.0.1:${project.addr.port}`;
  const functions = await startFunctions(["profiles"], {}, { ...env, supabaseUrl, jwtSecret: "of the deployment" });
  const tokenOf = async (kid: string) => {
    const claims = { sub: crypto.randomUUID(), role: "authenticated", aud: "authenticated", exp: now() + 60 };
    const signed = `${encodeJson({ alg: "ES256", kid })}.${encodeJson({ ...claims, iss: `${supabaseUrl}/auth/v1` })}`;
    const signature = await crypto.subtle.sign(
      { name: "ECDSA", hash: "SHA-256" },
      privateKey,
      new TextEncoder().encode(signed),
    );
    return `${signed}.${encodeBase64Url(signature)}`;
  };
  try {
    assertEquals((await get(`${functions.url}/profiles/v1`, await tokenOf("rotated"))).status, 200);
    for (let n = 0; n < 20; n++) {
      const unknown = await get(`${functions.url}/profiles/v1`, await tokenOf(`guessed-${n}`));
      assertEquals(unknown.status, 401);
      assertMatch(unknown.detail, /a key that the project does not have/);
    }
    assertEquals((await get(`${functions.url}/profiles/v1`, await tokenOf("rotated"))).status, 200);
    assertEquals(fetched, 1);
  } finally {
    await functions.end();
    await project.shutdown();
  }
});

Deno.test("Second factor: with REQUIRE_AAL2, managers and admins need aal2, here and at the Data API", async () => {
  // the rule is the whole database's, so it needs one of its own
  const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: () => {} });
  const { publishableKey, secretKey, jwtSecret } = stack.keys;
  const surroundings = { supabaseUrl: stack.url, publishableKey, secretKey, jwtSecret };
  const names = ["profiles", "operations", "stream"];
  const demanding = await startFunctions(names, { REQUIRE_AAL2: "true" }, surroundings);
  const relenting = await startFunctions(names, { REQUIRE_AAL2: "false" }, surroundings);
  const post = async (url: string, headers: Record<string, string>, body: unknown, method = "POST") => {
    const sent = { method, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(url, sent);
    return { status: response.status, body: await response.json() };
  };
  try {
    const operation = { order_no: "O-1", asset_id: 1, operation_no: "0010" };
    assertEquals((await post(`${demanding.url}/operations/v1`, { apikey: secretKey }, operation)).status, 201);
    const roles = ["operator", "supervisor", "manager", "admin"] as const;
    for (const role of roles) {
      const account = { email: `${role}@example.com`, password: crypto.randomUUID() };
      const { body } = await post(`${stack.url}/auth/v1/signup`, { apikey: publishableKey }, account);
      const url = `${demanding.url}/profiles/v1/${body.user.id}`;
      const patched = await post(url, { apikey: secretKey }, { role, workplace_access: ["*"] }, "PATCH");
      assertEquals(patched.status, 200);
      const [header, claims] = String(body.access_token).split(".");
      const withLevel = (aal: string | undefined) =>
        sign(decodeJson(header), { ...decodeJson(claims), aal }, jwtSecret);
      const needs = role === "manager" || role === "admin";
      for (const aal of [undefined, "aal1", "aal2"]) {
        const token = await withLevel(aal);
        const expected = needs && aal !== "aal2" ? 403 : 200;
        const read = await get(`${demanding.url}/operations/v1`, token);
        assertEquals(read.status, expected, `${role} ${aal}: ${read.detail}`);
        if (expected === 403) assertMatch(read.detail, /second factor \(aal2\)/);
        for (const path of ["/rest/v1/mes_operations", "/rest/v1/profiles"]) {
          const headers = { apikey: publishableKey, authorization: `Bearer ${token}` };
          const direct = await fetch(`${stack.url}${path}`, { headers });
          assertEquals(direct.status, expected, `${role} ${aal} ${path}: ${await direct.text()}`);
        }
        const ticket = await post(`${demanding.url}/stream/v1/tickets`, { authorization: `Bearer ${token}` }, {});
        assertEquals(ticket.status, expected === 403 ? 403 : 201);
      }
    }
    // a process with another setting stores it in the database
    const admin = await post(`${stack.url}/auth/v1/signup`, { apikey: publishableKey }, {
      email: "late@example.com",
      password: crypto.randomUUID(),
    });
    const url = `${demanding.url}/profiles/v1/${admin.body.user.id}`;
    await post(url, { apikey: secretKey }, { role: "admin" }, "PATCH");
    assertEquals((await get(`${demanding.url}/operations/v1`, admin.body.access_token)).status, 403);
    assertEquals((await get(`${relenting.url}/operations/v1`, admin.body.access_token)).status, 200);
  } finally {
    await Promise.all([demanding.end(), relenting.end()]);
    await stack.stop();
  }
});
