/** The documentation: its pages in a browser, and what the function docs answers. */
import type { Locator, Page } from "playwright-core";
import { problemTable } from "../../_shared/problems.ts";
import docs from "../../docs/index.ts";
import { packages } from "../../docs/packages.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assertions.ts";
import { browserTest } from "../support/browser.ts";
import {
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  server,
  unique,
} from "../support/harness.ts";

const url = `${env.functionsUrl}/docs`;

interface Document {
  servers: { url: string }[];
  paths: Record<string, Record<string, { operationId: string; summary: string; tags: [string] }>>;
}

async function served(): Promise<Document> {
  return await (await fetch(`${url}/openapi.json`)).json();
}

async function endpoints() {
  return Object.values((await served()).paths).flatMap((methods) => Object.values(methods));
}

/** As {@link fetch}, with the body read. */
async function get(path: string, init?: RequestInit) {
  const response = await fetch(`${url}${path}`, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

browserTest("Swagger UI: shows every endpoint, by its tag", async (page) => {
  const expected = (await endpoints()).map(({ operationId, tags: [tag] }) =>
    `operations-${tag.replaceAll(" ", "_")}-${operationId}`
  );
  await page.goto(url);
  const tags = page.locator(".opblock-tag");
  await tags.first().waitFor();
  assertStringIncludes(await page.title(), "MES Operations API");
  const shown: string[] = [];
  for (const tag of await tags.all()) {
    await tag.click();
    await page.locator(".opblock").first().waitFor();
    shown.push(...await page.locator(".opblock").evaluateAll((blocks) => blocks.map(({ id }) => id)));
    await tag.click();
    await page.locator(".opblock").first().waitFor({ state: "detached" });
  }
  assertEquals(shown.sort(), expected.sort());
});

browserTest("Swagger UI: its dialog of credentials", async (page, test) => {
  await page.goto(url);
  await test.step("begins with the access token, and its field has the focus", async () => {
    await page.click(".auth-wrapper .authorize");
    const names = await page.locator(".dialog-ux .auth-container h4").allInnerTexts();
    assertMatch(names[0] ?? "", /^userToken/);
    await page.locator("#auth-bearer-value:focus").waitFor();
  });
  await test.step("keeps the secret key until a reload", async () => {
    const kept = () => page.evaluate<string | null>("localStorage.getItem('authorized')");
    await authorize(page, "secretKey", "#api_key_value", env.secretKey);
    assertStringIncludes(await kept() ?? "", env.secretKey);
    await page.reload();
    await page.locator(".auth-wrapper .authorize.unlocked").waitFor();
    assertEquals(await kept(), "{}");
  });
});

/** Gives a credential in the dialog, which is open. */
async function authorize(page: Page, scheme: string, field: string, credential: string): Promise<void> {
  // each scheme has a form of its own, those of two keys with the same ids
  const form = page.locator("form", { hasText: scheme });
  await form.locator(field).fill(credential);
  await form.locator("button.authorize").click();
}

/** Sends the request of an opened endpoint, which creates something, and waits until the page shows that. */
async function create(page: Page, block: Locator): Promise<void> {
  const [response] = await Promise.all([
    page.waitForResponse((answer) => answer.request().method() === "POST"),
    block.locator(".execute").click(),
  ]);
  assertEquals(response.status(), 201, await response.text());
  await block.locator(".live-responses-table .response .response-col_status", { hasText: /^201/ }).waitFor();
}

browserTest('Swagger UI: "Try it out"', async (page, test) => {
  const workplace_name = newWorkplace();
  const { token } = await newUser({ role: "supervisor", workplaces: [workplace_name] });
  await page.goto(`${url}#/Operations/createOperation`);
  const block = page.locator("#operations-Operations-createOperation");
  await block.locator(".try-out__btn").click();

  const credentials = [
    { what: "an access token", scheme: "userToken", field: "#auth-bearer-value", credential: token },
    { what: "the secret key", scheme: "secretKey", field: "#api_key_value", credential: env.secretKey },
  ];
  for (const { what, scheme, field, credential } of credentials) {
    await test.step(`creates an operation with ${what}`, async () => {
      const operation = { order_no: unique("O"), asset_id: 1, operation_no: "0010", workplace_name, qty_desired: 7 };
      await page.click(".auth-wrapper .authorize");
      await authorize(page, scheme, field, credential);
      await page.click(".btn-done >> nth=0");
      await block.locator("textarea.body-param__text").fill(JSON.stringify(operation));
      await create(page, block);
      const created = await server.get<Operation>(operationPath(operation));
      assertEquals([created.status, created.body.qty_desired], [200, 7]);
      // one credential at a time
      await page.click(".auth-wrapper .authorize");
      await page.locator("form", { hasText: scheme }).getByRole("button", { name: "Remove authorization" }).click();
      await page.click(".btn-done >> nth=0");
    });
  }

  await test.step("sends no filter of a list that was not filled in", async () => {
    await page.click(".auth-wrapper .authorize");
    await authorize(page, "secretKey", "#api_key_value", env.secretKey);
    await page.click(".btn-done >> nth=0");
    const list = page.locator("#operations-Operations-listOperations");
    await list.locator(".opblock-summary-control").click();
    await list.locator(".try-out__btn").click();
    const [request] = await Promise.all([
      page.waitForRequest((sent) => sent.url().includes("/operations/v1") && sent.method() === "GET"),
      list.locator(".execute").click(),
    ]);
    assertMatch(new URL(request.url()).search, /^(\?(limit=100|skip=0)(&(limit=100|skip=0))?)?$/);
    assertEquals((await request.response())?.status(), 200);
  });
});

browserTest("Swagger UI: a link to an endpoint, and the sign-in form", async (page, test) => {
  const operation = await newOperation();
  const { order_no, operation_no, workplace_name } = operation;
  const { email, password } = await newUser({ workplaces: [String(workplace_name)] });
  await page.goto(`${url}#/Events/reportEvent`);
  await test.step("the link opens the endpoint", async () => {
    await page.waitForSelector("#operations-Events-reportEvent .opblock-body");
    assertEquals(await page.locator(".opblock-body").count(), 1);
  });
  await test.step("the form shows why it has no token when the password is wrong", async () => {
    await page.fill("#sign-in [name=email]", email);
    await page.fill("#sign-in [name=password]", "wrong");
    await page.click("#sign-in button");
    await page.locator("#sign-in-state", { hasText: "Not signed in: Invalid login credentials" }).waitFor();
  });
  await test.step("the form fetches a token, which is kept over a reload", async () => {
    await page.fill("#sign-in [name=password]", password);
    assertEquals(await page.inputValue("#sign-in [name=apikey]"), env.publishableKey);
    await page.click("#sign-in button");
    await page.locator("#sign-in-state", { hasText: `Signed in as ${email}` }).waitFor();
    assertEquals(await page.inputValue("#sign-in [name=password]"), "");

    await page.reload();
    const block = page.locator("#operations-Events-reportEvent");
    await block.locator(".try-out__btn").click();
    const body = block.locator("textarea.body-param__text");
    const example = JSON.parse(await body.inputValue());
    assertEquals(Object.keys(example), ["action_type", "order_no", "operation_no", "workplace_name"]);
    await body.fill(JSON.stringify({ ...example, order_no, operation_no, workplace_name }));
    await create(page, block);
  });
}, /status of 400/);

browserTest("pages: fit a phone, and no word of a title breaks", async (page) => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ["", "/redoc", "/errors", "/start"]) {
    await page.goto(`${url}${path}`);
    const title = page.locator("#swagger-ui .info .title, #redoc h1, main h1").first();
    await title.waitFor();
    const { width, broken } = await title.evaluate((heading) => {
      const text = heading.ownerDocument.createTreeWalker(heading, 4).nextNode();
      const words = [...text?.textContent?.matchAll(/\S+/g) ?? []];
      const lines = words.map(({ index, 0: word }) => {
        const range = heading.ownerDocument.createRange();
        range.setStart(text, index);
        range.setEnd(text, index + word.length);
        return { word, lines: range.getClientRects().length };
      });
      const broken = lines.filter(({ lines }) => lines !== 1).map(({ word }) => word);
      return { width: heading.ownerDocument.documentElement.scrollWidth, broken };
    });
    assertEquals({ path, width, broken }, { path, width: 390, broken: [] });
  }
});

browserTest("ReDoc: has every endpoint in its menu, and shows each by its link", async (page) => {
  for (const { operationId, summary, tags: [tag] } of await endpoints()) {
    const link = `#/${tag.toLowerCase().replaceAll(" ", "-")}/${operationId.toLowerCase()}`;
    await page.goto(`${url}/redoc${link}`);
    await page.locator(`#redoc a[href="${link}"]`).first().waitFor();
    await page.locator("#redoc :is(h1, h2, h3)", { hasText: summary }).first().waitFor();
  }
});

browserTest("errors: from the list to the page of a code", async (page) => {
  await page.goto(`${url}/errors`);
  assertEquals(await page.locator("tbody tr").count(), Object.keys(problemTable).length);
  await page.click("text=workplace_busy");
  await page.waitForURL(`${url}/errors/workplace_busy`);
  assertStringIncludes(await page.locator("main").innerText(), "running_operations");
});

Deno.test("docs: pages load nothing from other origins and cannot be framed", async () => {
  for (const path of ["", "/redoc", "/errors", "/errors/not_found", "/start"]) {
    const { status, headers, text } = await get(path, { headers: { accept: "text/html" } });
    assertEquals([status, headers.get("content-type")], [200, "text/html; charset=UTF-8"], path);
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    const policy = headers.get("content-security-policy") ?? "";
    for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
      assertStringIncludes(policy, rule);
    }
    assertEquals([...text.matchAll(/(?:src|href)="(?!\/functions\/v1\/)[^"]*"/g)].map(String), [], path);
  }
});

Deno.test("docs: versioned files are immutable, and all others are revalidated", async () => {
  for (const name of packages.flatMap(({ files }) => Object.values<string>(files))) {
    const { status, headers } = await get(`/assets/${name}`);
    assertEquals([status, headers.get("cache-control")], [200, "public, max-age=31536000, immutable"], name);
    assertMatch(headers.get("content-type") ?? "", /^text\/(javascript|css); charset=utf-8$/, name);
  }
  for (const path of ["/openapi.json", "/assets/pages.css", ""]) {
    const { headers } = await get(path);
    assertEquals(headers.get("cache-control"), "no-cache", path);
    const again = await get(path, { headers: { "if-none-match": headers.get("etag") ?? "" } });
    assertEquals([again.status, again.text], [304, ""], path);
  }
});

const isLocal = /^(127\.|localhost)/.test(new URL(env.supabaseUrl).hostname);

Deno.test("docs/start: says where everything is, as HTML for browsers and as JSON for all others", async () => {
  const tags = Object.keys((await served()).paths).map((path) => path.split("/")[1]);
  const { links, functions } = JSON.parse((await get("/start")).text);
  assertEquals(Object.keys(functions).sort(), [...new Set(tags)].sort());
  const page = (await get("/start", { headers: { accept: "text/html,*/*;q=0.8" } })).text;
  const places: [url: string, credential: boolean][] = [
    ...Object.values<{ url: string; health: string }>(functions).flatMap(({ url, health }) =>
      [[url, true], [health, false]] as [string, boolean][]
    ),
    [links.swagger_ui, false],
    [links.redoc, false],
    [links.openapi, false],
    [links.errors, false],
  ];
  for (const [path, credential] of places) {
    assertStringIncludes(page, path);
    if (credential) continue;
    const answer = await fetch(new URL(path, env.supabaseUrl));
    await answer.body?.cancel();
    assertEquals(answer.status, 200, path);
  }
});

Deno.test({
  name: "/functions/v1 of the local stack: answers what docs/start answers, and / too, to programs",
  // a project on Supabase has its own gateway
  ignore: !isLocal,
  async fn() {
    for (const accept of ["text/html", "application/json"]) {
      const expected = await get("/start", { headers: { accept } });
      // people get the pages of web/ there
      const roots = accept === "text/html" ? [] : ["/", "/?from=bookmark"];
      for (const path of ["/functions/v1", "/functions/v1/", ...roots]) {
        const answer = await fetch(`${env.supabaseUrl}${path}`, { headers: { accept } });
        assertEquals([answer.status, await answer.text()], [200, expected.text], path);
        assertEquals(answer.headers.get("content-security-policy"), expected.headers.get("content-security-policy"));
      }
    }
    const refused = await fetch(`${env.supabaseUrl}/`, { method: "POST", body: "{}" });
    await refused.body?.cancel();
    assertEquals(refused.status, 404);
  },
});

Deno.test("docs/openapi.json: the committed document, its server being where it comes from", async () => {
  const { servers, ...rest } = await served();
  assertEquals(servers.map((one) => one.url), ["/functions/v1"]);
  const { servers: _, ...committed } = JSON.parse(
    await Deno.readTextFile(new URL("../../../../docs/openapi.json", import.meta.url)),
  );
  assertEquals<unknown>(rest, committed);
});

Deno.test("docs/errors: every problem's type leads to its page, in text unless the client asks for HTML", async () => {
  for (const [code, { title }] of Object.entries(problemTable)) {
    const page = await get(`/errors/${code}`, { headers: { accept: "text/html" } });
    assertEquals(page.status, 200);
    assertStringIncludes(page.text, code);
    const plain = await get(`/errors/${code}`);
    assertEquals(plain.headers.get("content-type"), "text/plain; charset=UTF-8");
    assertStringIncludes(plain.text, title);
  }
  const { type } = (await server.get<{ type: string }>("/operations/v1/none/1/none")).body;
  assertEquals((await fetch(new URL(type, env.functionsUrl))).status, 200);
});

Deno.test("docs: unknown pages, assets, codes and methods are problems", async () => {
  const refused: [method: string, path: string, status: number, code: string][] = [
    ["GET", "/nothing", 404, "unknown_route"],
    ["GET", "/errors/nothing", 404, "not_found"],
    ["GET", "/assets/nothing.js", 404, "not_found"],
    ["GET", "/assets/..%2Findex.ts", 404, "not_found"],
    ["POST", "", 405, "method_not_allowed"],
  ];
  for (const [method, path, status, code] of refused) {
    const answer = await get(path, { method });
    const problem = JSON.parse(answer.text);
    assertEquals([answer.status, problem.code, problem.instance], [status, code, answer.headers.get("x-request-id")]);
  }
});

Deno.test("docs: answers HEAD and the health check", async () => {
  assertEquals((await get("", { method: "HEAD" })).status, 200);
  const { status, text } = await get("/health");
  assertEquals([status, text], [200, '{"status":"ok"}']);
});

Deno.test("docs: names the command that shows a page when the host is Supabase's own", async () => {
  const headers = { "x-forwarded-host": "abcdefghijklmnopqrst.supabase.co", accept: "text/html" };
  for (const path of ["/docs", "/docs/redoc"]) {
    const text = await (await docs.fetch(new Request(`http://docs${path}`, { headers }))).text();
    assertStringIncludes(text, "task docs https://abcdefghijklmnopqrst.supabase.co/functions/v1");
  }
  const error = await docs.fetch(new Request("http://docs/docs/errors/not_found", { headers }));
  assertEquals(error.headers.get("content-type"), "text/plain; charset=UTF-8");
  assert(!(await error.text()).includes("<"));
});
