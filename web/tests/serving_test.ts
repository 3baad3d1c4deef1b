/** How the pages are served: by the local stack, and by `deno task web`. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../../supabase/functions/tests/support/assertions.ts";
import { env, newUser } from "../../supabase/functions/tests/support/harness.ts";
import { isLocal } from "./support/pages.ts";

const { hostname, port, host, origin } = new URL(env.supabaseUrl);

/** A test of what only the local stack has. */
function localTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !isLocal, fn });
}

/** Sends a GET request as it is written, because `fetch` tidies paths and sets Host itself. */
async function rawGet(path: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const lines = Object.entries({ host, connection: "close", ...headers }).map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  await connection.write(new TextEncoder().encode(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`));
  const text = await new Response(connection.readable).text();
  return { status: Number(text.split(" ", 2)[1]), text };
}

localTest("pages: are served with a strict policy, and again only when they changed", async () => {
  const page = await fetch(`${origin}/`, { headers: { accept: "text/html" } });
  assertStringIncludes(await page.text(), '<div id="app">');
  assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
  assertEquals(page.headers.get("x-content-type-options"), "nosniff");
  assertEquals(page.headers.get("cache-control"), "no-cache");
  const policy = page.headers.get("content-security-policy") ?? "";
  assertMatch(policy, /default-src 'none'; script-src 'self';/);
  assertMatch(policy, /frame-ancestors 'none'/);
  assert(!policy.includes("unsafe"), policy);
  assertEquals(page.headers.get("access-control-allow-origin"), null);

  for (const path of ["/index.html", "/shared/api.js", "/styles/tokens.css", "/icon.svg", "/messages/nl/shared.json"]) {
    const first = await fetch(origin + path);
    await first.body?.cancel();
    assertEquals(first.status, 200, path);
    const again = await fetch(origin + path, { headers: { "if-none-match": first.headers.get("etag") ?? "" } });
    assertEquals([again.status, await again.text()], [304, ""], path);
  }
  const { packages } = await import("../packages.ts");
  for (const name of packages.flatMap(({ files }) => Object.values<string>(files)).filter((one) => /js$/.test(one))) {
    const library = await fetch(`${origin}/assets/${name}`);
    await library.body?.cancel();
    assertEquals([library.status, library.headers.get("cache-control")], [200, "public, max-age=31536000, immutable"]);
  }
});

localTest("pages: give nothing but themselves", async () => {
  const paths = [
    "/../deno.json",
    "/shared/../../deno.json",
    "/%2e%2e/deno.json",
    "/..%2fdeno.json",
    "/shared/..%2f..%2fdeno.json",
    "/..%5cdeno.json",
    "/..\\deno.json",
    "//deno.json",
    "/shared//view.js",
    "/shared/./view.js/",
    "/shared/view.js%00.html",
    "/.hidden.json",
    "/packages.ts",
    "/jsconfig.json",
    "/tests/rules_test.ts",
    "/tests/screenshots/index-390-dark.png",
    "/shared",
    "/no-such-page.html",
  ];
  for (const path of paths) assertEquals((await rawGet(path)).status, 404, path);
  const written = await fetch(`${origin}/index.html`, { method: "PUT", body: "x" });
  await written.body?.cancel();
  assertEquals(written.status, 404);
});

localTest("config.json: names the project that serves it", async () => {
  const config = await (await fetch(`${origin}/config.json`)).json();
  assertEquals(config, {
    functions_url: "/functions/v1",
    auth_url: "/auth/v1",
    publishable_key: env.publishableKey,
    demo_users_url: "/demo-users.json",
  });
});

localTest("demo-users.json: is for the pages of the local stack on this machine alone", async () => {
  const own = await rawGet("/demo-users.json", { "sec-fetch-site": "same-origin" });
  assertEquals(own.status, 200);
  assertStringIncludes(own.text, "operator@demo.local");
  assert(!/access-control/i.test(own.text));
  assertMatch(own.text, /cross-origin-resource-policy: same-origin/i);
  assertMatch(own.text, /cache-control: no-store/i);
  const foreign: Record<string, string>[] = [
    { host: "evil.example" },
    { host: `evil.example:${port}` },
    { host: `127.0.0.1.evil.example:${port}` },
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: `http://localhost:${Number(port) + 1}`, "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "cross-site" },
    { "x-forwarded-for": "192.0.2.1" },
    { "x-forwarded-host": "tunnel.example" },
    { forwarded: "for=192.0.2.1" },
  ];
  for (const headers of foreign) {
    const { status, text } = await rawGet("/demo-users.json", headers);
    assertEquals([status, text.includes("@demo.local")], [404, false], JSON.stringify(headers));
    const config = await rawGet("/config.json", headers);
    assertEquals([config.status, config.text.includes("demo")], [200, false], JSON.stringify(headers));
  }
});

Deno.test("deno task web: serves the pages for any project, and forwards to it", async () => {
  const serving = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tools/web/serve.ts", env.functionsUrl, "--port", "0"],
    cwd: new URL("../../", import.meta.url),
    env: { SUPABASE_PUBLISHABLE_KEY: env.publishableKey, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  try {
    let told = "";
    let base: string | undefined;
    for await (const text of serving.stdout.pipeThrough(new TextDecoderStream())) {
      told += text;
      base = /^ +(http:\S+)$/m.exec(told)?.[1];
      if (base !== undefined) break;
    }
    const get = async (path: string, init?: RequestInit) => {
      const answer = await fetch(base + path, init);
      return { status: answer.status, text: await answer.text() };
    };
    assertStringIncludes((await get("/")).text, '<div id="app">');
    const { publishable_key, demo_users_url } = JSON.parse((await get("/config.json")).text);
    assertEquals([publishable_key, demo_users_url], [env.publishableKey, undefined]);
    assertEquals((await get("/demo-users.json")).status, 404);
    assertEquals((await get("/rest/v1/profiles")).status, 404);
    assertEquals((await get("/auth/v1/admin/users")).status, 404);

    const { email, password } = await newUser();
    const signedIn = await get("/auth/v1/token?grant_type=password", {
      method: "POST",
      headers: { apikey: env.publishableKey, "content-type": "application/json" },
      body: JSON.stringify({ email, password }),
    });
    const headers = { authorization: `Bearer ${JSON.parse(signedIn.text).access_token}` };
    assertEquals(JSON.parse((await get("/functions/v1/profiles/v1/me", { headers })).text).email, email);
  } finally {
    serving.kill();
    await serving.status;
  }
});
