/** The limiter of an isolate alone, with a clock and a database of its own. */
import { assert, assertEquals } from "../support/assertions.ts";
import { clientNetwork } from "../../_shared/client_network.ts";
import { Budget, Limit } from "../../_shared/rate_budget.ts";
import { type CountedRate, RateLimiter, type SettledRate } from "../../_shared/rate_limiter.ts";
import { RefusedCredentials } from "../../_shared/refused_credentials.ts";

/** 10 units at once, one per second. */
const unitsPerMinute = 60;
const burst = 10;

function budgetOf(limit: Limit | null = new Limit("reads", unitsPerMinute, burst)): Budget {
  const budget = new Budget("user:a", "reads");
  budget.settle(limit, 0, 0);
  return budget;
}

Deno.test("Budget: allows the burst at once, then one unit for each that came back", () => {
  const budget = budgetOf();
  for (let unit = 0; unit < burst; unit++) assert(budget.take(1, 0).isAllowed);
  assertEquals(budget.take(1, 0), { isAllowed: false, retryAfterMs: 1_000 });
  assertEquals(budget.take(1, 999), { isAllowed: false, retryAfterMs: 1 });
  assert(budget.take(1, 1_000).isAllowed);
  assert(!budget.take(1, 1_000).isAllowed);
  assertEquals([budget.left(1_000), budget.left(6_000), budget.left(60_000)], [0, 5, burst]);
});

Deno.test("Budget: allows a request that costs more than the burst when the budget is full", () => {
  const budget = budgetOf();
  assert(budget.take(25, 0).isAllowed);
  assertEquals(budget.take(1, 0), { isAllowed: false, retryAfterMs: 16_000 });
});

Deno.test("Budget: lets a batch go into debt, which its caller waits for", () => {
  const budget = budgetOf();
  assert(budget.take(1, 0).isAllowed);
  budget.count(100, 0);
  assertEquals(budget.left(0), 0);
  assertEquals(budget.take(1, 0), { isAllowed: false, retryAfterMs: 92_000 });
});

Deno.test("Budget: limits nothing before the database has answered, and nothing without a limit", () => {
  for (const budget of [new Budget("user:a", "reads"), budgetOf(null)]) {
    for (let unit = 0; unit < 1_000; unit++) assert(budget.take(1, 0).isAllowed);
  }
});

Deno.test("Budget: adds what was counted meanwhile to what the database answers", () => {
  const budget = budgetOf();
  budget.count(3, 0);
  assertEquals(budget.beginSettling(), 3);
  budget.count(2, 0);
  // another isolate has used 4
  budget.settle(new Limit("reads", unitsPerMinute, burst), 7_000, 0);
  assertEquals([budget.left(0), budget.beginSettling()], [1, 2]);
});

/** Waits until a condition holds. */
async function until(holds: () => boolean): Promise<void> {
  for (const endMs = performance.now() + 5_000; !holds();) {
    assert(performance.now() < endMs, "The condition does not hold after 5 s");
    await new Promise((resume) => setTimeout(resume, 10));
  }
}

/** A database that counts, and isolates whose clocks are as they like. */
class Settling {
  readonly calls: CountedRate[][] = [];
  fails = false;
  fullAtMs = 0;
  nowMs = 0;

  settle = (counted: CountedRate[]): Promise<SettledRate[]> => {
    this.calls.push(counted);
    if (this.fails) return Promise.reject(new Error("The database is away"));
    return Promise.resolve(counted.map(({ caller, class: rateClass, units }) => {
      this.fullAtMs = Math.max(this.fullAtMs, this.nowMs) + units * 60_000 / unitsPerMinute;
      return {
        ...{ caller, class: rateClass, units_per_minute: unitsPerMinute, burst },
        ahead_ms: this.fullAtMs - this.nowMs,
      };
    }));
  };
}

Deno.test("RateLimiter: allows a burst once when three isolates with clocks hours apart take turns", async () => {
  const database = new Settling();
  const isolates = [0, 3.6e6, 7.2e6].map((skewMs) => new RateLimiter(database.settle, () => database.nowMs + skewMs));
  const take = async () => {
    let count = 0;
    for (let turn = 0; turn < 60; turn++) {
      const isolate = isolates[turn % isolates.length];
      if (isolate === undefined) continue;
      const budget = isolate.budget("user:a", "reads");
      if ((await isolate.admit(budget, 1)).isAllowed) count++;
      await isolate.known(budget);
    }
    return count;
  };
  // an isolate judges by what it heard last: each of the others may be one unit ahead of that
  const most = isolates.length - 1;
  const first = await take();
  assert(first >= burst && first <= burst + most, String(first));
  database.nowMs += 5_000;
  const both = first + await take();
  assert(both >= burst + 5 && both <= burst + 5 + most, String(both));
});

Deno.test("RateLimiter: allows the burst and no more when 50 requests of a new caller come at once", async () => {
  const database = new Settling();
  const limiter = new RateLimiter(database.settle, () => database.nowMs);
  const verdicts = await Promise.all(
    Array.from({ length: 50 }, () => limiter.admit(limiter.budget("user:a", "reads"), 1)),
  );
  assertEquals(verdicts.filter(({ isAllowed }) => isAllowed).length, burst);
});

Deno.test("RateLimiter: refuses nothing while the database is away, and counts nothing of that time", async () => {
  const database = new Settling();
  const limiter = new RateLimiter(database.settle, () => database.nowMs);
  const budget = limiter.budget("user:a", "reads");
  limiter.take(budget, burst);
  await limiter.known(budget);
  assert(!limiter.take(budget, 1).isAllowed);
  database.fails = true;
  database.nowMs += 1_000;
  assert(limiter.take(budget, 1).isAllowed);
  await new Promise((resume) => setTimeout(resume, 0));
  assert(limiter.isBlind);
  for (let unit = 0; unit < 100; unit++) assert(limiter.take(budget, 1).isAllowed);
  database.fails = false;
  await until(() => !limiter.isBlind);
  // of the 101 units of that time, none was told to the database
  assertEquals(database.calls.at(-1)?.map(({ units }) => units), [100]);
});

Deno.test("RateLimiter: keeps 10,000 budgets at most, those that were used last", () => {
  const limiter = new RateLimiter(() => new Promise(() => {}));
  for (let caller = 0; caller < 20_000; caller++) {
    limiter.budget("user:first", "reads");
    limiter.count(limiter.budget(`user:${caller}`, "reads"), 1);
  }
  assertEquals(limiter.size, 10_000);
  assert(limiter.peek("user:first", "reads") !== undefined);
  assert(limiter.peek("user:19999", "reads") !== undefined);
  assert(limiter.peek("user:0", "reads") === undefined);
});

Deno.test("RateLimiter: asks the database in one call for many callers, each once", async () => {
  const database = new Settling();
  const limiter = new RateLimiter(database.settle, () => database.nowMs);
  const budgets = Array.from({ length: 50 }, (_, caller) => limiter.budget(`user:${caller}`, "reads"));
  for (const budget of budgets) for (let unit = 0; unit < 20; unit++) limiter.take(budget, 1);
  await Promise.all(budgets.map((budget) => limiter.known(budget)));
  assertEquals(database.calls.length, 2, JSON.stringify(database.calls.map((call) => call.length)));
  const [first = [], second = []] = database.calls;
  assertEquals([...first, ...second].reduce((sum, { units }) => sum + units, 0), 1_000);
});

Deno.test("RefusedCredentials: counts a repeated credential for itself, and forgets the oldest of 1,000", () => {
  const refused = new RefusedCredentials(() => 0);
  const request = (token: string) => new Request("http://a", { headers: { authorization: `Bearer ${token}` } });
  assert(refused.note(request("a")));
  for (let time = 1; time < 60; time++) assert(!refused.note(request("a")));
  assert(refused.overBudget(request("a")) !== undefined);
  assert(refused.overBudget(request("b")) === undefined);
  for (let token = 0; token < 1_000; token++) refused.note(request(String(token)));
  assert(refused.overBudget(request("a")) === undefined);
});

Deno.test("clientNetwork: takes an IPv4 address as it is, and an IPv6 address by its first 64 bits", () => {
  const cases = {
    "192.0.2.7": "192.0.2.7",
    "::ffff:192.0.2.7": "192.0.2.7",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:0DB8:0001:0002::1": "2001:db8:1:2::/64",
    "2001:db8::1": "2001:db8::/64",
    "2001:db8:0:0:1::1": "2001:db8::/64",
    "::1": "::/64",
    "fe80::1%eth0": "fe80::/64",
    "unknown": "unknown",
  };
  for (const [address, network] of Object.entries(cases)) assertEquals(clientNetwork(address), network);
});
