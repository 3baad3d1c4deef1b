/** The shared modules, in a browser. */
import { assert, assertEquals, assertLess } from "../../supabase/functions/tests/support/assertions.ts";
import {
  clientOf,
  env,
  newOperation,
  newUser,
  newWorkplace,
  report,
  server,
} from "../../supabase/functions/tests/support/harness.ts";
import { pageTest } from "./support/pages.ts";

/** A module of the pages, as the browser loads it. */
const modules = `${env.supabaseUrl}/shared`;

pageTest(
  "stream.js: tells of events within 2 s, resumes where it was, and ends when access is revoked",
  async ({ open }) => {
    const operation = await newOperation();
    const workplace = operation.workplace_name ?? "";
    const user = await newUser({ workplaces: [workplace] });
    const { page, context } = await open("", { user });

    const heard = await page.evaluateHandle(async ({ modules, workplace }) => {
      const { follow } = await import(`${modules}/stream.js`);
      const events: string[] = [];
      const starts: boolean[] = [];
      const stream = follow({
        filter: { workplace_name: [workplace] },
        onReady: ({ resumed }: { resumed: boolean }) => void starts.push(resumed),
        onMessage: ({ event }: { event: { action_type: string } }) => void events.push(event.action_type),
      });
      return { starts, events, state: stream.state };
    }, { modules, workplace });
    const now = () =>
      heard.evaluate(({ starts, events, state: { current: { phase, problem } } }) => (
        { starts, events, phase, problem: problem?.code }
      ));
    /** Waits until the page says so, for 20 seconds at most. */
    const until = async (condition: (state: Awaited<ReturnType<typeof now>>) => boolean) => {
      const deadline = performance.now() + 20_000;
      for (;;) {
        const state = await now();
        if (condition(state)) return state;
        assert(performance.now() < deadline, `The page stays at ${JSON.stringify(state)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };

    await until(({ phase }) => phase === "live");
    const started = performance.now();
    assertEquals((await report(server, operation, "START")).status, 201);
    await until(({ events }) => events.length === 1);
    assertLess(performance.now() - started, 2000);

    await context.setOffline(true);
    await until(({ phase }) => phase === "connecting");
    await report(server, operation, "REPORT_QUANTITY", { qty_good: 1 });
    await context.setOffline(false);
    await until(({ events }) => events.length === 2);
    assertEquals((await now()).starts, [false, true]);

    const revoked = performance.now();
    assertEquals((await server.patch(`/profiles/v1/${user.id}`, { workplace_access: [] })).status, 200);
    const ended = await until(({ phase }) => phase === "ended");
    assertLess(performance.now() - revoked, 10_000);
    assertEquals([ended.problem, ended.events], ["forbidden", ["START", "REPORT_QUANTITY"]]);
  },
  /403/,
);

pageTest("session.js: renews a token once for all pages of a browser", async ({ open }) => {
  const user = await newUser();
  const { page, context } = await open("", { user });
  let renewals = 0;
  context.on("request", (request) => renewals += Number(request.url().includes("grant_type=refresh_token")));
  const other = await context.newPage();
  await other.goto(page.url());
  // read once: a page that asks later may know the new token already, which nobody refused
  const refused: string = await page.evaluate("JSON.parse(localStorage.getItem('mes.session')).access_token");
  const tokens = await Promise.all([page, other].map((one) =>
    one.evaluate(async ([modules, refused]) => {
      const { accessToken } = await import(`${modules}/session.js`);
      return await accessToken(refused);
    }, [modules, refused])
  ));
  assertEquals(renewals, 1);
  assertEquals(new Set(tokens).size, 1);
  assertEquals((await clientOf(tokens[0]).get("/profiles/v1/me")).status, 200);
});

pageTest("session.js: a renewal does not undo a sign-out, nor the sign-in of another user", async ({ open }) => {
  const [user, other] = [await newUser(), await newUser()];
  const { page } = await open("", { user });
  /** Signs out, and in as somebody else, while the tokens are renewed. */
  const meanwhile = async (next: { email: string; password: string } | null) => {
    const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await page.route("**/token?grant_type=refresh_token", async (route) => {
      const response = await route.fetch();
      asked.resolve();
      await answered.promise;
      await route.fulfill({ response });
    }, { times: 1 });
    const renewing = page.evaluate(async (modules) => {
      const { accessToken, session } = await import(`${modules}/session.js`);
      return await accessToken(session.current.access_token) ?? null;
    }, modules);
    await asked.promise;
    await page.evaluate(async ({ modules, next }) => {
      const { signIn, signOut } = await import(`${modules}/session.js`);
      await signOut();
      if (next) await signIn(next.email, next.password);
    }, { modules, next });
    answered.resolve();
    const token = await renewing;
    const stored = await page.evaluate(() => JSON.parse(localStorage.getItem("mes.session") ?? "null"));
    return [token, stored?.user.email ?? null];
  };
  assertEquals(await meanwhile({ email: other.email, password: other.password }), [null, other.email]);
  assertEquals(await meanwhile(null), [null, null]);
});

pageTest("page.js: shows the page to a user who signs in while the profile of another is read", async ({ open }) => {
  const [user, other] = [await newUser({ role: "manager" }), await newUser({ role: "manager" })];
  const { page, context } = await open("icon.svg", { user });
  const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await context.route("**/profiles/v1/me", async (route) => {
    const response = await route.fetch();
    asked.resolve();
    await answered.promise;
    await route.fulfill({ response });
  }, { times: 1 });
  await page.goto(`${env.supabaseUrl}/plan.html`);
  await asked.promise;
  await page.evaluate(async ({ modules, email, password }) => {
    const { signIn } = await import(`${modules}/session.js`);
    await signIn(email, password);
  }, { modules, email: other.email, password: other.password });
  await page.locator("#main h1").waitFor();
  const late = page.waitForResponse("**/profiles/v1/me");
  answered.resolve();
  await (await late).finished();
  // the page draws before the second frame
  await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
  assertEquals(await page.locator("#main h1").count(), 1);
  assertEquals(await page.evaluate(() => JSON.parse(localStorage.getItem("mes.me") ?? "null").id), other.id);
});

pageTest("api.js: sends a command again, under its key, while the server is unavailable", async ({ open }) => {
  const user = await newUser({ role: "manager" });
  const { page } = await open("", { user });
  const keys: (string | undefined)[] = [];
  await page.route("**/workplaces/v1", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return await route.continue();
    const body = JSON.stringify({ code: "unavailable", status: 503 });
    await route.fulfill({
      status: 503,
      headers: { "retry-after": "1" },
      contentType: "application/problem+json",
      body,
    });
  });
  const name = newWorkplace();
  const created = await page.evaluate(async ({ modules, name }) => {
    const { post } = await import(`${modules}/api.js`);
    return await post("/workplaces/v1", { name });
  }, { modules, name });
  assertEquals([created.name, keys.length, new Set(keys).size], [name, 2, 1]);
}, /503/);

pageTest("api.js: sends nothing again for a user who has signed in meanwhile", async ({ open }) => {
  const [manager, other] = [await newUser({ role: "manager" }), await newUser({ role: "manager" })];
  const { page } = await open("", { user: manager });
  for (const status of [401, 503]) {
    const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let requests = 0;
    await page.route("**/workplaces/v1", async (route) => {
      if (requests++ > 0) return await route.continue();
      asked.resolve();
      await answered.promise;
      await route.fulfill({ status, headers: { "retry-after": "0" }, json: { code: "unavailable", status } });
    });
    const name = newWorkplace();
    const creating = page.evaluate(async ({ modules, name }) => {
      const { post } = await import(`${modules}/api.js`);
      return await post("/workplaces/v1", { name }).catch(({ code }: { code: string }) => code);
    }, { modules, name });
    await asked.promise;
    const next = status === 401 ? other : manager;
    await page.evaluate(async ({ modules, email, password }) => {
      const { signIn } = await import(`${modules}/session.js`);
      await signIn(email, password);
    }, { modules, email: next.email, password: next.password });
    answered.resolve();
    assertEquals([await creating, requests], ["unauthenticated", 1]);
    assertEquals((await server.get(`/workplaces/v1/${name}`)).status, 404);
    await page.unroute("**/workplaces/v1");
  }
}, /401|503/);

pageTest("api.js: throws a problem with the words of the page's language", async ({ open }) => {
  const user = await newUser();
  const { page } = await open("", { user, language: "nl" });
  await page.getByRole("heading", { name: "Pagina's" }).waitFor();
  const problem = await page.evaluate(async (modules) => {
    const [{ get, path }, { wordsOf }] = await Promise.all([
      import(`${modules}/api.js`),
      import(`${modules}/messages.js`),
    ]);
    try {
      return await get(path`/operations/v1/${"../a b"}/1/${"0010"}`);
    } catch (error) {
      const { code, status } = error as { code: string; status: number };
      return { code, status, words: wordsOf(error) };
    }
  }, modules);
  const words = "Dit bestaat niet meer, of je mag het niet zien.";
  assertEquals(problem, { code: "not_found", status: 404, words });
}, /404/);
