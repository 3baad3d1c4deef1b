/** The terminal: what operators do there reaches the server once and in order, with a network or without. */
import type { JSHandle, Page } from "playwright-core";
import { ignoresBrowserTests, launchBrowser } from "../../supabase/functions/tests/support/browser.ts";
import {
  assert,
  assertEquals,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  server,
} from "../../supabase/functions/tests/support/harness.ts";
import { keyAdmin, newKey } from "../../supabase/functions/tests/support/api_keys.ts";
import { eventsOf, read, reportOne } from "../../supabase/functions/tests/support/floor.ts";
import { newPerson } from "../../supabase/functions/tests/support/terminals.ts";
import { isLocal, pageTest, requireAccessible, requireFitting, requireSound } from "./support/pages.ts";

/** What the browser itself says about requests without a network, and about refusals. */
const expectedOffline = /ERR_INTERNET_DISCONNECTED|Failed to load resource/;

/** Sets a shift up: a workplace, its operations, and an operator there. */
async function newShift(operations: Partial<Operation>[] = [{}]) {
  const workplace = newWorkplace();
  const made: Operation[] = [];
  for (const one of operations) made.push(await newOperation({ workplace_name: workplace, ...one }));
  const [first] = made;
  assert(first);
  const user = await newUser({ workplaces: [workplace], full_name: "Olga Operator" });
  return { workplace, operation: first, operations: made, user };
}

/** Opens the panel of an operation. */
async function choose(page: Page, { order_no }: Operation): Promise<void> {
  await page.locator(".entry").filter({ hasText: order_no }).click();
  await page.getByRole("heading", { level: 2, name: order_no }).waitFor();
}

/** Waits until the page shows the operation in a state. */
const isState = (page: Page, state: string) =>
  page.locator(".operation .state").getByText(state, { exact: true }).waitFor();

const press = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click();

/** Books pieces by the number pad. */
async function count(page: Page, good: number, scrap = 0): Promise<void> {
  await press(page, "Pieces");
  for (const digit of String(good)) await press(page, digit);
  if (scrap > 0) {
    await page.getByLabel("Scrap").focus();
    for (const digit of String(scrap)) await press(page, digit);
  }
  await press(page, "Book");
}

/** Waits until the server has everything. */
const allSent = (page: Page) => page.locator(".link").getByText("All sent").waitFor();
const waiting = (page: Page, number: number) =>
  page.locator(".link").getByText(`${number} waiting to be sent`).waitFor();

/** Waits until the page starts without a network. */
const isKept = (page: Page) =>
  page.waitForFunction(`navigator.serviceWorker.ready.then(() => caches.match("mes-terminal"))`);

/** Types as a reader does, 5 ms between two keys, however busy this machine is. */
async function scan(page: Page, text: string): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const begin = Date.now() / 1000;
  const keys = [...[...text].map((key) => ({ key, text: key })), { key: "Enter", text: "\r" }];
  await Promise.all(
    keys.map((key, index) =>
      session.send("Input.dispatchKeyEvent", { type: "keyDown", timestamp: begin + index * 0.005, ...key })
    ),
  );
  await session.detach();
}

pageTest("terminal: works an operation from START to FINISH", async ({ open }) => {
  const { operation, user } = await newShift([{ qty_desired: 20 }]);
  const { page } = await open("terminal.html", { user });
  await choose(page, operation);
  await press(page, "Set up");
  await isState(page, "Set-up");
  await press(page, "Start");
  await isState(page, "Running");
  await count(page, 12, 2);
  await page.locator(".figure-main").getByText("12").waitFor();
  await press(page, "Stop");
  await page.locator(".reasons button").filter({ hasText: "BREAK" }).click();
  await isState(page, "Paused");
  await press(page, "Start");
  await press(page, "Finish");
  await page.getByText("8 good pieces stay missing.").waitFor();
  await page.locator(".reasons button").filter({ hasText: "MATERIAL" }).click();
  await page.getByText("Nothing is planned here now.").waitFor();
  const events = await eventsOf(operation);
  assertEquals(
    events.map((
      { action_type, phase, qty_good, qty_scrap, reason_code },
    ) => [action_type, phase, qty_good, qty_scrap, reason_code]),
    [
      ["START", "SETUP", 0, 0, null],
      ["START", "PROCESSING", 0, 0, null],
      ["REPORT_QUANTITY", null, 12, 2, null],
      ["STOP", null, 0, 0, "BREAK"],
      ["START", "PROCESSING", 0, 0, null],
      ["FINISH", null, 0, 0, "MATERIAL"],
    ],
  );
  assertEquals((await read(operation)).status, "FINISHED");
});

pageTest("terminal: passes the checks of every page in each of its views", async ({ open }) => {
  const { operation, user, workplace } = await newShift([{ activity_description: "Cut brackets" }, {}, {
    status: "PLANNED",
  }]);
  const anonymous = await open("terminal.html");
  await anonymous.page.getByRole("heading", { name: "Terminal" }).waitFor();
  await requireSound(anonymous.page, "terminal-sign-in");
  const { page } = await open("terminal.html", { user });
  await choose(page, operation);
  await press(page, "Start");
  await count(page, 15, 1);
  await page.locator(".figure-main").getByText("15").waitFor();
  await allSent(page);
  await requireSound(page, "terminal");
  // below, one size is enough
  await page.setViewportSize({ width: 390, height: 844 });
  await page.getByRole("button", { name: "Queue" }).click();
  await requireFitting(page);
  await requireAccessible(page);
  await page.getByRole("button", { name: "Report a standstill" }).click();
  await requireFitting(page);
  await requireAccessible(page);
  await press(page, "Cancel");
  await choose(page, operation);
  await press(page, "Complete");
  await requireFitting(page);
  await requireAccessible(page);
  await requireLargeTargets(page);
  await press(page, "Cancel");
  await requireLargeTargets(page);
  await page.locator(".place").click();
  await page.getByRole("button", { name: workplace }).waitFor();
  await requireFitting(page);
  await requireAccessible(page);
});

/** Requires that gloves hit the buttons of the work. */
async function requireLargeTargets(page: Page): Promise<void> {
  const small = await page.locator(
    ".actions button, dialog .pad button, dialog .choices button, dialog .reasons button",
  )
    .evaluateAll((buttons) =>
      buttons.map((button) => ({ text: button.textContent, box: button.getBoundingClientRect() }))
        .filter(({ box }) => box.height > 0 && (box.height < 64 || box.width < 64)).map(({ text }) => text)
    );
  assertEquals(small, []);
}

pageTest(
  "terminal: sends 50 actions of an offline shift once and in order, after a reload in between",
  async ({ open }) => {
    const { operation, user } = await newShift([{ qty_desired: 2000 }]);
    const { page, context } = await open("terminal.html", { user });
    await choose(page, operation);
    await isKept(page);
    await context.setOffline(true);
    await press(page, "Start");
    for (let good = 1; good <= 24; good++) await count(page, good);
    await waiting(page, 25);
    await page.reload();
    await waiting(page, 25);
    await choose(page, operation);
    for (let good = 25; good <= 47; good++) await count(page, good);
    await press(page, "Stop");
    await press(page, "Without a reason");
    await press(page, "Start");
    await waiting(page, 50);
    await isState(page, "Running");
    assertEquals((await eventsOf(operation)).length, 0);
    await context.setOffline(false);
    await allSent(page);
    const events = await eventsOf(operation);
    assertEquals(
      events.map(({ action_type, qty_good }) => action_type === "REPORT_QUANTITY" ? qty_good : action_type),
      ["START", ...Array.from({ length: 47 }, (_, index) => index + 1), "STOP", "START"],
    );
    assertEquals(new Set(events.map(({ id }) => id)).size, 50);
    const times = events.map(({ occurred_at }) => occurred_at);
    assertEquals(times.toSorted(), times);
    await page.locator(".figure-main").getByText("1,128").waitFor();
  },
  expectedOffline,
);

pageTest("terminal: sends an action once from two tabs", async ({ open }) => {
  const { operation, user } = await newShift();
  const { page, context } = await open("terminal.html", { user });
  await isKept(page);
  const other = await context.newPage();
  await other.goto(page.url());
  await choose(other, operation);
  await choose(page, operation);
  const sent: string[] = [];
  context.on("request", (request) => {
    if (!request.url().endsWith("/events/v1/batch")) return;
    sent.push(...request.postDataJSON().events.map(({ id }: { id: string }) => id));
  });
  await context.setOffline(true);
  await press(page, "Start");
  await count(page, 3);
  // both tabs know of it, and both send when the network is back
  await waiting(other, 2);
  await count(other, 4);
  await waiting(page, 3);
  await context.setOffline(false);
  await Promise.all([allSent(page), allSent(other)]);
  assertEquals((await eventsOf(operation)).map(({ id }) => id), sent);
  assertEquals(sent.length, 3);
}, expectedOffline);

pageTest(
  "terminal: shows a refused action with its reason, and what needs it; sends them corrected",
  async ({ open }) => {
    const { operation, user } = await newShift([{ qty_desired: 10 }]);
    const { page, context } = await open("terminal.html", { user });
    await choose(page, operation);
    await press(page, "Start");
    await isState(page, "Running");
    await allSent(page);
    await context.setOffline(true);
    await count(page, 8);
    // meanwhile somebody else counts, so that only 4 are left
    await reportOne(operation, "REPORT_QUANTITY", { qty_good: 6 });
    await press(page, "Stop");
    await press(page, "Without a reason");
    await context.setOffline(false);
    await page.getByText("1 action was refused.").waitFor();
    // the stop behind it was sent
    assertEquals((await read(operation)).hold_kind, "PAUSED");
    await press(page, "Look");
    await page.getByText("At most 4 good pieces are left to make.").waitFor();
    await requireAccessible(page);
    await press(page, "Correct");
    await page.getByLabel("Good").focus();
    await press(page, "4");
    await press(page, "Send corrected");
    await press(page, "Close");
    await allSent(page);
    assertEquals((await read(operation)).qty_good, 10);
  },
  expectedOffline,
);

pageTest("terminal: discards a refused action with what needs it", async ({ open }) => {
  const { operation, user } = await newShift();
  const { page, context } = await open("terminal.html", { user });
  await choose(page, operation);
  await context.setOffline(true);
  await press(page, "Start");
  await press(page, "Stop");
  await press(page, "Without a reason");
  await server.post(`/operations/v1/${operation.order_no}/1/0010/transitions`, {
    action: "HOLD",
    reason_code: "QUALITY",
  });
  await context.setOffline(false);
  await page.getByText("2 actions were refused.").waitFor();
  await press(page, "Look");
  await page.getByText("The operation is blocked. A supervisor has to release it.").waitFor();
  await page.getByText("1 later action needs this one, and goes with it.").waitFor();
  await press(page, "Discard");
  await press(page, "Really discard 2?");
  await press(page, "Close");
  await allSent(page);
  await page.getByText("Blocked by a supervisor, who has to release it.").first().waitFor();
  assertEquals((await eventsOf(operation)).map(({ action_type }) => action_type), ["HOLD"]);
}, expectedOffline);

pageTest("terminal: waits for the disk with each action, and says so when the disk is full", async ({ open }) => {
  const { operation, user } = await newShift();
  const { page } = await open("terminal.html", { user });
  await choose(page, operation);
  await allSent(page);
  // text, because the types of a browser are not those of a test
  const durabilities: JSHandle<string[]> = await page.evaluateHandle(`(() => {
    const found = [];
    const { transaction } = IDBDatabase.prototype;
    IDBDatabase.prototype.transaction = function (stores, mode, options) {
      if (stores === "actions" && mode === "readwrite") found.push(options?.durability);
      return transaction.call(this, stores, mode, options);
    };
    return found;
  })()`);
  await press(page, "Start");
  await isState(page, "Running");
  assertEquals(new Set(await durabilities.jsonValue()), new Set(["strict"]));
  await page.evaluate(`IDBObjectStore.prototype.put = () => {
    throw new DOMException("The disk is full", "QuotaExceededError");
  }`);
  await press(page, "Stop");
  await press(page, "Without a reason");
  await page.getByText("This could not be stored, and was not reported.").waitFor();
  await isState(page, "Running");
  assertEquals((await read(operation)).hold_kind, null);
});

pageTest("terminal: goes on with what it reads when the disk has no room for it", async ({ open }) => {
  const { operation, user } = await newShift();
  const { page } = await open("terminal.html", { user });
  await choose(page, operation);
  await page.evaluate(`(() => {
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...values) {
      if (this.name === "kept") throw new DOMException("The disk is full", "QuotaExceededError");
      return put.apply(this, values);
    };
  })()`);
  await press(page, "Start");
  await isState(page, "Running");
  // the server has it before the next one
  await allSent(page);
  await reportOne(operation, "HOLD", { reason_code: "UNSPECIFIED" });
  await isState(page, "Blocked");
  await allSent(page);
});

pageTest("terminal: reports a standstill, explains and ends it", async ({ open }) => {
  const { operation, user, workplace } = await newShift();
  const { page } = await open("terminal.html", { user });
  await choose(page, operation);
  await press(page, "Start");
  await press(page, "Report a standstill");
  await press(page, "Without a reason");
  await page.locator(".standing").getByText("no reason yet").waitFor();
  // what ran was stopped with it
  await isState(page, "Paused");
  await page.locator(".standing").getByRole("button", { name: "Reason" }).click();
  await page.locator(".reasons button").first().click();
  await page.locator(".standing").getByText("no reason yet").waitFor({ state: "detached" });
  await press(page, "It runs again");
  await page.locator(".standing").waitFor({ state: "detached" });
  await allSent(page);
  const { body } = await server.get<{ ended_at: string | null; reason_code: string | null }[]>("/downtimes/v1", {
    query: { workplace_name: workplace },
  });
  assertEquals(body.map(({ ended_at, reason_code }) => [ended_at !== null, reason_code !== null]), [[true, true]]);
  assertEquals((await read(operation)).hold_kind, "PAUSED");
});

/** Opens the terminal with an API key of its own. */
async function openShared(open: Parameters<Parameters<typeof pageTest>[1]>[0]["open"], workplace: string) {
  const key = await newKey({
    role: "machine",
    workplaces: [workplace],
    scopes: ["people:act", "events:report", "events:read", "operations:read", "downtimes:report"],
  });
  const { page, context } = await open("terminal.html");
  await page.getByText("Use this device as a shared terminal").click();
  await page.getByLabel("API key").fill(key.key);
  await press(page, "Use this key");
  await page.locator(".bar").waitFor();
  return { page, context, key };
}

pageTest("terminal: signs a person in by badge and PIN, and finds an operation by its barcode", async ({ open }) => {
  const { workplace, operations } = await newShift([{}, {}]);
  const [, second] = operations;
  assert(second);
  const anna = await newPerson([workplace]);
  const { page } = await openShared(open, workplace);
  await scan(page, anna.badge_code);
  await page.getByText("The badge was read.").waitFor();
  await requireAccessible(page);
  for (const digit of anna.pin) await press(page, digit);
  await page.getByRole("dialog").getByRole("button", { name: "Sign in" }).click();
  await page.locator(".person").getByText(anna.display_name).waitFor();
  await scan(page, `${second.order_no}-${second.operation_no}`);
  await page.getByRole("heading", { level: 2, name: second.order_no }).waitFor();
  await press(page, "Start");
  await isState(page, "Running");
  await allSent(page);
  assertEquals((await eventsOf(second)).map(({ action_type, person }) => [action_type, person?.id]), [[
    "START",
    anna.id,
  ]]);
  await page.locator(".person").click();
  await page.getByRole("button", { name: "Sign in a person" }).waitFor();
  await press(page, "Stop");
  await press(page, "Without a reason");
  await isState(page, "Paused");
  await allSent(page);
  assertEquals((await eventsOf(second)).map(({ person }) => person?.id), [anna.id, undefined]);
  // the badge is in no field and in no storage
  assertEquals(
    await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })).then((text) =>
      text.includes("act_")
    ),
    false,
  );
});

pageTest("terminal: signs a person out after the reads that are under way in their name", async ({ open }) => {
  const { workplace } = await newShift();
  const anna = await newPerson([workplace]);
  const { page, context } = await openShared(open, workplace);
  await signInByBadge(page, anna);
  const reading = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  await context.route("**/queue?*", async (route) => {
    if (route.request().headers()["x-acting-for"] === undefined) return await route.continue();
    reading.resolve();
    await goOn.promise;
    await route.continue();
  });
  await page.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`);
  await reading.promise;
  const order: string[] = [];
  const read = page.waitForResponse(/\/queue\?/).then((answer) => order.push(`read: ${answer.status()}`));
  const ended = page.waitForRequest(/\/people\/v1\/sign-out$/).then(() => order.push("signed out"));
  await page.locator(".person").click();
  await page.getByRole("button", { name: "Sign in a person" }).waitFor();
  goOn.resolve();
  await Promise.all([read, ended]);
  assertEquals(order, ["read: 200", "signed out"]);
});

pageTest("terminal: shows its sign-in at once, so that nothing moves under a finger", async ({ open }) => {
  const { page, context } = await open("terminal.html");
  const goOn = Promise.withResolvers<void>();
  await context.route("**/demo-users.json", async (route) => {
    await goOn.promise;
    await route.continue();
  });
  await page.reload();
  await page.getByRole("heading", { level: 1 }).waitFor();
  const summary = page.getByText("Use this device as a shared terminal");
  assertEquals(await summary.count(), 0);
  goOn.resolve();
  await summary.waitFor();
  assert(await page.getByRole("heading", { name: "Try it as" }).isVisible());
});

pageTest("terminal: keeps what a person did until they sign in again", async ({ open }) => {
  const { workplace, operation } = await newShift();
  const anna = await newPerson([workplace]);
  const { page, context } = await openShared(open, workplace);
  await isKept(page);
  await signInByBadge(page, anna);
  await choose(page, operation);
  await context.setOffline(true);
  await press(page, "Start");
  await waiting(page, 1);
  // the token is in memory alone
  await page.reload();
  await waiting(page, 1);
  await context.setOffline(false);
  await page.getByText(`${anna.display_name} has to sign in again: 1 action waits for that.`).waitFor();
  assertEquals((await eventsOf(operation)).length, 0);
  await signInByBadge(page, anna);
  await allSent(page);
  assertEquals((await eventsOf(operation)).map(({ person }) => person?.id), [anna.id]);
}, expectedOffline);

pageTest(
  "terminal: a person who left is signed out, also when the clock of the device was set back",
  async ({ open }) => {
    const { workplace } = await newShift();
    const anna = await newPerson([workplace]);
    const { page } = await openShared(open, workplace);
    await page.clock.install();
    await page.reload();
    await page.getByRole("button", { name: "Sign in a person" }).waitFor();
    // not by the reader, whose keys are told by this clock
    await page.evaluate(async ({ badge_code, pin }) => {
      const { signInPerson } = await import(`${location.origin}/terminal/people.js`);
      await signInPerson({ badge_code, pin });
    }, anna);
    await page.locator(".person").getByText(anna.display_name).waitFor();
    await page.clock.setSystemTime(Date.now() - 2 * 3_600_000);
    await page.clock.fastForward("29:00");
    assertEquals(await page.locator(".person").getByText(anna.display_name).count(), 1);
    await page.clock.fastForward("02:00");
    await page.getByRole("button", { name: "Sign in a person" }).waitFor();
  },
);

async function signInByBadge(
  page: Page,
  { badge_code, pin, display_name }: { badge_code: string; pin: string; display_name: string },
) {
  await scan(page, badge_code);
  await page.getByText("The badge was read.").waitFor();
  for (const digit of pin) await press(page, digit);
  await page.getByRole("dialog").getByRole("button", { name: "Sign in" }).click();
  await page.locator(".person").getByText(display_name).waitFor();
}

pageTest("terminal: says so when access to the workplace is revoked, and when its key is", async ({ open }) => {
  const { workplace, user } = await newShift();
  const { page } = await open("terminal.html", { user });
  await page.locator(".entry").first().waitFor();
  assertEquals((await server.patch(`/profiles/v1/${user.id}`, { workplace_access: [] })).status, 200);
  await page.getByText(`You have no access to ${workplace} any more.`).waitFor();
  assertEquals(await page.locator(".entry").count(), 0);

  const shared = await openShared(open, workplace);
  await shared.page.locator(".entry").first().waitFor();
  const { client } = await keyAdmin();
  const revoked = await client.delete(`/keys/v1/${shared.key.id}`);
  assertEquals(revoked.status, 204, revoked.text);
  await shared.page.getByText("The key of this terminal is not accepted any more.").waitFor();
  assertEquals(await shared.page.locator(".entry").count(), 0);
}, /Failed to load resource/);

pageTest("terminal: asks before it leaves unsent actions, and keeps them for their user", async ({ open }) => {
  const { operation, user } = await newShift();
  const { page, context } = await open("terminal.html", { user });
  await choose(page, operation);
  await context.setOffline(true);
  await press(page, "Start");
  await waiting(page, 1);
  await page.getByRole("button", { name: "Settings" }).click();
  await press(page, "Sign out");
  await page.getByText("1 action is not sent yet.").waitFor();
  await requireAccessible(page);
  await press(page, "Sign out, keep them on this device");
  await page.getByText("1 action is kept here.").waitFor();
  await context.setOffline(false);
  await nothingKept(page);
  await page.getByLabel("E-mail address").fill(user.email);
  await page.getByLabel("Password").fill(user.password);
  await press(page, "Sign in");
  await allSent(page);
  assertEquals((await eventsOf(operation)).map(({ action_type }) => action_type), ["START"]);
}, expectedOffline);

pageTest("terminal: never sends what one user did as the user who signed in meanwhile", async ({ open }) => {
  const { workplace, operation, user } = await newShift();
  const colleague = await newUser({ workplaces: [workplace] });
  const { page } = await open("terminal.html", { user });
  await choose(page, operation);
  const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await page.route("**/events/v1/batch", async (route) => {
    asked.resolve();
    await answered.promise;
    // the token has ended on the way
    await route.fulfill({ status: 401, json: { code: "unauthenticated", status: 401 } });
  }, { times: 1 });
  await press(page, "Start");
  await asked.promise;
  /** Signs in through the module of the page, as its form does. */
  const signIn = ({ email, password }: { email: string; password: string }) =>
    page.evaluate(async ([email, password]) => {
      const { signIn } = await import(`${location.origin}/shared/session.js`);
      await signIn(email, password);
    }, [email, password]);
  await signIn(colleague);
  // read by the colleague: whatever the terminal had to send before is sent
  const read = page.waitForResponse(/\/queue\?/);
  answered.resolve();
  await read;
  assertEquals(await eventsOf(operation), []);
  await signIn(user);
  await allSent(page);
  assertEquals((await eventsOf(operation)).map(({ action_type, user_id }) => [action_type, user_id]), [
    ["START", user.id],
  ]);
}, /401/);

/** Waits until the browser has forgotten the plant, which it does after the sign-out is shown. */
async function nothingKept(page: Page): Promise<void> {
  const end = performance.now() + 5_000;
  for (let keys = await keptKeys(page); keys.length > 0; keys = await keptKeys(page)) {
    assert(performance.now() < end, `The browser still has ${keys.join(", ")}`);
  }
}

/** What the browser keeps of the plant. */
const keptKeys = (page: Page): Promise<string[]> =>
  page.evaluate(`new Promise((resolve, reject) => {
    const opening = indexedDB.open("mes-terminal");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const keys = opening.result.transaction("kept").objectStore("kept").getAllKeys();
      keys.onsuccess = () => resolve(keys.result);
    };
  })`);

Deno.test({
  name: "terminal: starts while a proxy answers for a server that is away (browser)",
  ignore: ignoresBrowserTests || !isLocal,
  fn: async () => {
    let isAway = false;
    const config = { functions_url: "/functions/v1", auth_url: "/auth/v1", publishable_key: env.publishableKey };
    await using proxy = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const { pathname, search } = new URL(request.url);
      if (isAway) return new Response("Bad gateway", { status: 502 });
      return pathname === "/config.json" ? Response.json(config) : fetch(env.supabaseUrl + pathname + search);
    });
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${proxy.addr.port}/terminal.html`);
      await page.getByRole("heading", { name: "Terminal" }).waitFor();
      await isKept(page);
      isAway = true;
      await page.reload();
      assertEquals(await page.getByText("Bad gateway").count(), 0);
      await page.getByRole("heading", { name: "Terminal" }).waitFor();
    } finally {
      await browser.close();
    }
  },
});

pageTest("terminal: keeps all files that it loads for the time without a network", async ({ open }) => {
  const { user } = await newShift();
  const { page } = await open("terminal.html", { user });
  await page.locator(".entry").first().waitFor();
  await isKept(page);
  const { loaded, kept } = await page.evaluate(async () => {
    const name = await (await (await caches.open("mes-terminal")).match("mes-terminal"))?.text() ?? "";
    const requests = await (await caches.open(name)).keys();
    const paths = (urls: string[]) => [...new Set(urls.map((url) => new URL(url).pathname))].sort();
    return {
      loaded: paths(performance.getEntriesByType("resource").map((entry) => entry.name)),
      kept: paths(requests.map(({ url }) => url)),
    };
  });
  assertEquals(loaded.filter((path) => !/^\/(functions|auth)\//.test(path) && !kept.includes(path)), []);
  const languages = Array.from(Deno.readDirSync(new URL("../messages", import.meta.url)), ({ name }) => name);
  assertEquals(languages.filter((name) => !kept.includes(`/messages/${name}/terminal.json`)), []);
  // neither answers of the API nor anything else
  assertEquals(kept.filter((path) => !/^\/(terminal|shared|styles|messages|assets|icon|config)/.test(path)), []);
});
