import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { AuthLimiter } from "../platform/auth_limits.ts";
import { parseConfig } from "../platform/config.ts";
import { inProject } from "../system/paths.ts";
import { call, withStack } from "./testing.ts";
import { project, signUp } from "./testing_project.ts";

const { authLimits } = parseConfig("[auth.rate_limit]\nsign_in_sign_ups = 3\ntoken_refresh = 2\n");

Deno.test("auth: the limits of config.toml are read, Supabase's defaults stand for missing ones", async () => {
  assertEquals(authLimits, { signInSignUps: 3, tokenRefresh: 2, tokenVerifications: 30 });
  const own = parseConfig(await Deno.readTextFile(inProject("supabase", "config.toml"))).authLimits;
  assertEquals(own, { signInSignUps: 30, tokenRefresh: 150, tokenVerifications: 30 });
});

Deno.test("auth: sign-ins are answered 429 as by Supabase Auth when one address tried too often", async (t) => {
  await withStack(project, async (stack) => {
    const headers = { apikey: stack.keys.publishableKey };
    const send = (path: string, body: unknown) => call(`${stack.url}/auth/v1/${path}`, { headers, body });
    const guess = () => send("token?grant_type=password", { email: "a@example.com", password: crypto.randomUUID() });
    const user = await signUp(stack);

    await t.step("wrong passwords are counted together with sign-ups", async () => {
      assertEquals([(await guess()).status, (await guess()).status], [400, 400]);
      const { status, json, headers } = await guess();
      assertEquals(status, 429);
      assertEquals(json, { code: 429, error_code: "over_request_rate_limit", msg: "Request rate limit reached" });
      assert(Number(headers.get("retry-after")) > 200 && Number(headers.get("retry-after")) <= 300);
      assertEquals((await send("signup", { email: "b@example.com", password: "long-enough" })).status, 429);
    });
    await t.step("other spellings of the path and the grant do not evade it", async () => {
      for (const path of ["%74oken?grant_type=password", "token?grant_type=refresh_token&grant_type=password"]) {
        assertEquals((await send(path, { email: "a@example.com", password: "x" })).status, 429, path);
      }
    });
    await t.step("a session is refreshed until the limit of its own", async () => {
      const refresh = () => send("token?grant_type=refresh_token", { refresh_token: user.refreshToken });
      assertEquals((await refresh()).status, 200);
      await refresh();
      assertEquals((await refresh()).status, 429);
    });
    await t.step("a signed-in user continues", async () => {
      assertEquals((await call(`${stack.url}/auth/v1/user`, { headers: user.headers })).status, 200);
    });
  }, { authLimits });
});

Deno.test("auth: each address is counted by itself", async () => {
  const limiter = new AuthLimiter({ ...authLimits, signInSignUps: 1 });
  const attempt = new Request("http://127.0.0.1/auth/v1/signup", { method: "POST" });
  assertEquals(await limiter.secondsToWait(attempt, "10.0.0.1"), undefined);
  assertEquals(await limiter.secondsToWait(attempt, "10.0.0.1"), 300);
  assertEquals(await limiter.secondsToWait(attempt, "10.0.0.2"), undefined);
});
