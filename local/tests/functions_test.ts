import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { holdsWithin } from "../system/poll.ts";
import { call, withStack } from "./testing.ts";
import { project, signUp } from "./testing_project.ts";

Deno.test("functions", async (t) => {
  await withStack(project, async (stack) => {
    const user = await signUp(stack);

    await t.step(
      "path, forwarded headers and environment are Supabase's, nothing else leaks in",
      async () => {
        const { json } = await call(`${stack.url}/functions/v1/echo/v1/a%2Fb?x=1`, { headers: { "x-own": "1" } });
        assertEquals(json?.path, "/echo/v1/a%2Fb");
        const headers = Object(json?.headers);
        assertEquals([headers["x-own"], headers["x-forwarded-host"]], ["1", "127.0.0.1"]);
        assertEquals(headers["x-forwarded-port"], new URL(stack.url).port);
        const env = Object(json?.env);
        assertEquals(env.SUPABASE_URL, stack.url);
        assertEquals(JSON.parse(env.SUPABASE_PUBLISHABLE_KEYS), { default: stack.keys.publishableKey });
        assertEquals(JSON.parse(env.SUPABASE_SECRET_KEYS), { default: stack.keys.secretKey });
        assertEquals(JSON.parse(env.SUPABASE_JWKS).keys[0].kid, "local");
        assertEquals(env.SUPABASE_DB_URL, stack.databaseUrl);
        const machine = ["PATH", "HOME", "TMPDIR", "DENO_DIR"];
        const others = Object.keys(env).filter((name) => !name.startsWith("SUPABASE_") && !machine.includes(name));
        assertEquals(others.sort(), ["RATE_LIMITS", "WEBHOOKS_ALLOW_LOOPBACK"]);
      },
    );

    await t.step("one that is unknown, shared code or disabled is 404", async () => {
      for (const name of ["nothing", "_shared", "off"]) {
        const { status, json } = await call(`${stack.url}/functions/v1/${name}`);
        assertEquals([status, json?.code], [404, "NOT_FOUND"], name);
      }
    });

    await t.step("one that cannot be imported is 503, named in the log, the others work", async () => {
      const { status, json } = await call(`${stack.url}/functions/v1/unimportable`);
      assertEquals([status, json?.code], [503, "BOOT_ERROR"]);
      assertStringIncludes(stack.functionLog.join("\n"), 'Function "unimportable" cannot be started');
      assertEquals((await call(`${stack.url}/functions/v1/echo`)).status, 200);
    });

    await t.step("verify_jwt, the default, wants a valid token", async () => {
      const url = `${stack.url}/functions/v1/guarded`;
      assertEquals((await call(url)).status, 401);
      assertEquals((await call(url, { headers: { authorization: "Bearer a.b.c" } })).status, 401);
      assertEquals((await call(url, { headers: user.headers })).text, "let in");
    });

    await t.step("whatever one of them throws, the stack goes on", async () => {
      const status = async (path: string) => (await call(`${stack.url}/functions/v1/faulty/${path}`)).status;
      assertEquals(await status("throw"), 500);
      assertEquals(await status("later"), 200);
      assertEquals(await status("reject"), 200);
      for (const message of ["thrown later", "rejected"]) {
        assert(await holdsWithin(1000, () => stack.functionLog.some((line) => line.includes(message))), message);
      }
      assertEquals(await status("exit"), 502);
      assertEquals(await status("fine"), 200);
    });

    await t.step(
      "a stream arrives as it is sent, and ends in the function when the client goes",
      async () => {
        const response = await fetch(`${stack.url}/functions/v1/stream`);
        assertEquals(response.headers.get("content-type"), "text/event-stream");
        const reader = response.body?.getReader();
        for (let chunk = 0; chunk < 3; chunk++) {
          const { value } = await reader?.read() ?? {};
          assertMatch(new TextDecoder().decode(value), /^data: tick/);
        }
        await reader?.cancel();
        assert(await holdsWithin(2000, () => stack.functionLog.includes("the client has gone")));
      },
    );

    await t.step("a WebSocket reaches the function and back", async () => {
      const socket = new WebSocket(`${stack.url.replace("http", "ws")}/functions/v1/stream`);
      const answer = Promise.withResolvers<string>();
      socket.onopen = () => socket.send("hello");
      socket.onmessage = ({ data }) => answer.resolve(data);
      socket.onerror = () => answer.reject(new Error("the socket failed"));
      assertEquals(await answer.promise, "heard hello");
      const closed = Promise.withResolvers<void>();
      socket.onclose = () => closed.resolve();
      socket.close(1000);
      await closed.promise;
    });

    await t.step("a changed file is served without a restart", async () => {
      const file = join(stack.supabaseDir, "functions", "echo", "index.ts");
      await Deno.writeTextFile(file, `export default { fetch: () => new Response("changed") };`);
      const text = async () => (await call(`${stack.url}/functions/v1/echo`)).text;
      assert(await holdsWithin(10_000, async () => await text() === "changed"));
    });
  }, { watch: true });
});
