/** The board: what it shows, that it follows, and when it says that it does not. */
import type { Page } from "playwright-core";
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  newOperation,
  newUser,
  newWorkplace,
  report,
  server,
  unique,
} from "../../supabase/functions/tests/support/harness.ts";
import { newTicket } from "../../supabase/functions/tests/support/api_keys.ts";
import { minutesAgo, reported } from "../../supabase/functions/tests/support/floor.ts";
import { newCalendar, shift } from "../../supabase/functions/tests/support/reports.ts";
import { aDowntimeReason, opened } from "../../supabase/functions/tests/support/stops.ts";
import { pageTest, requireAccessible, requireFitting, requireSound } from "./support/pages.ts";

/** Creates a group of so many workplaces, with a shift that began three hours ago, and a supervisor of all. */
async function newGroup(count: number) {
  const group = unique("Hall");
  const clock = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
  const calendar_name = await newCalendar([shift("EARLY", clock(-3), clock(5))]);
  const names = Array.from({ length: count }, (_, n) => `${newWorkplace()} ${n + 1}`).sort();
  for (const name of names) {
    const made = await server.post("/workplaces/v1", { name, workplace_group: group, calendar_name });
    assertEquals(made.status, 201, made.text);
  }
  return { group, names, user: await newUser({ role: "supervisor", workplaces: names }) };
}

/** An operation with a plan: so many minutes from now until it starts, and an hour longer. */
const planned = (workplace_name: string, inMinutes: number, more = {}) =>
  newOperation({
    ...{ workplace_name, activity_description: "Cut sheet 3 mm", qty_desired: 100, t_target_processing_min: 60 },
    ...{ planned_start_at: minutesAgo(-inMinutes), planned_end_at: minutesAgo(-inMinutes - 60), ...more },
  });

/** Lets workplaces be in all states, by turns. */
async function letWork(names: readonly string[]): Promise<void> {
  const reason_code = await aDowntimeReason({ description: "Nozzle worn", category: "UNPLANNED" });
  await Promise.all(names.map(async (name, n) => {
    const operation = await planned(name, -50 - 30 * (n % 3));
    for (const later of [20, 90, 160]) await planned(name, later);
    const began = minutesAgo(40 + n % 7);
    if (n % 6 === 4) return;
    await reported(operation, ["START", { phase: n % 6 === 1 ? "SETUP" : "PROCESSING", occurred_at: began }]);
    if (n % 6 !== 1) {
      const scrap = n % 2 === 0 ? { qty_scrap: 2, reason_code: "SURFACE" } : {};
      await reported(operation, ["REPORT_QUANTITY", { qty_good: 40 + n, ...scrap, occurred_at: minutesAgo(10) }]);
    }
    if (n % 6 === 2) await opened(name, { occurred_at: minutesAgo(8) });
    if (n % 6 === 3) await reported(operation, ["STOP", { reason_code: "MATERIAL", occurred_at: minutesAgo(6) }]);
    if (n % 6 === 5) await opened(name, { occurred_at: minutesAgo(4), reason_code });
  }));
}

const card = (page: Page, name: string) => page.getByRole("article", { name, exact: true });

/** Waits until the card of a workplace says this of its state. */
const says = (page: Page, name: string, words: string | RegExp) =>
  card(page, name).locator(".now").getByText(words, { exact: true }).waitFor();

pageTest(
  "board: shows each workplace, what runs, what comes next, why it stands, OEE, and what is late",
  async ({ open }) => {
    const { group, names, user } = await newGroup(6);
    await letWork(names);
    const { page } = await open(`board.html?workplace_group=${encodeURIComponent(group)}`, { user });
    await page.getByRole("heading", { name: group, level: 1 }).waitFor();
    const textOf = async (n: number) => (await card(page, names[n] ?? "").innerText()).replace(/\s+/g, " ");
    const [running, setup, down, paused, idle, explained] = await Promise.all([0, 1, 2, 3, 4, 5].map(textOf));
    assertMatch(
      running ?? "",
      /OEE \d+% running 4\d min O-\w+ · 0010 Cut sheet 3 mm 40 of 100 2 scrap 4\d min of 1 h 00/,
    );
    assertMatch(running ?? "", /Next .* Availability \d+% Effectiveness \d+% Quality 9\d%/);
    assertMatch(setup ?? "", /setup 4\d min/);
    assertMatch(down ?? "", /down 8 min Unexplained stop/);
    assertMatch(paused ?? "", /paused 6 min MATERIAL Next .* paused .* MATERIAL \d+ min/);
    assertMatch(idle ?? "", /idle 3 h 0\d/);
    assertMatch(explained ?? "", /down 4 min Nozzle worn/);
    assertEquals(await card(page, names[0] ?? "").locator(".next li").count(), 3);
    const late = page.getByRole("region", { name: /late$/ });
    assertMatch(await late.innerText(), /^\d late/);
    await requireSound(page, "board");
  },
);

pageTest("board: shows fifty workplaces on one screen, and the rest of one on demand", async ({ open }) => {
  const { group, names, user } = await newGroup(50);
  await letWork(names);
  const { page } = await open(`board.html?workplace_group=${encodeURIComponent(group)}`, { user });
  await card(page, names[49] ?? "").waitFor();
  await requireSound(page, "board-many");
  await page.getByRole("button", { name: names[0], exact: true }).click();
  const dialog = page.getByRole("dialog", { name: names[0], exact: true });
  assertMatch(await dialog.innerText(), /Availability/);
  await requireAccessible(page);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});

pageTest("board: a supervisor gives a television a link that shows no names, and takes it back", async ({ open }) => {
  const { group, names, user } = await newGroup(2);
  const [one = ""] = names;
  const { page } = await open(`board.html?workplace_group=${encodeURIComponent(group)}`, { user });
  await page.getByRole("button", { name: "Television" }).click();
  await page.getByLabel("Where it hangs").fill("Gate 2");
  await page.getByRole("button", { name: "Make a link" }).click();
  const link = await page.getByLabel("Link for the television").inputValue();
  await requireAccessible(page);
  await requireFitting(page);

  const { page: television } = await open(new URL(link).pathname.slice(1) + new URL(link).hash);
  await card(television, one).waitFor();
  // the address says nothing any more, and the television needs no link after a power cut
  assertEquals(new URL(television.url()).hash, "");
  await television.reload();
  await card(television, one).waitFor();
  assertEquals(await television.getByRole("button").count(), 0);
  await requireSound(television, "board-television");

  const started = await report(user.client, await planned(one, 0), "START", { note: "Anna began" });
  assertEquals(started.status, 201, started.text);
  await says(television, one, "running");
  for (const words of ["Anna", user.email]) assert(!(await television.content()).includes(words));

  await page.getByRole("button", { name: "Revoke Gate 2" }).click();
  const beganMs = performance.now();
  await television.getByRole("heading", { name: "This board has ended" }).waitFor();
  assertLess(performance.now() - beganMs, 10_000);
  assertEquals(await television.getByRole("article").count(), 0);
  await requireAccessible(television);
  await television.reload();
  // the link is forgotten: the page asks who is there
  await television.getByRole("heading", { name: "Sign in" }).waitFor();
}, /401 \(Unauthorized\)/);

pageTest("board: ends within 10 s when the person may not see the group any more", async ({ open }) => {
  const { group, names, user } = await newGroup(2);
  const { page } = await open(`board.html?workplace_group=${encodeURIComponent(group)}`, { user });
  await card(page, names[0] ?? "").waitFor();
  const patched = await server.patch(`/profiles/v1/${user.id}`, { workplace_access: [newWorkplace()] });
  assertEquals(patched.status, 200, patched.text);
  const beganMs = performance.now();
  await page.getByRole("heading", { name: "This board has ended" }).waitFor();
  assertLess(performance.now() - beganMs, 10_000);
  assertEquals(await page.getByRole("article").count(), 0);
}, /40[34] \(/);

pageTest("board: follows an event within 2 s, again and again", async ({ open }) => {
  const { group, names } = await newGroup(2);
  const [one = ""] = names;
  const operation = await planned(one, 0);
  const { ticket } = await newTicket(group);
  const { page } = await open(`board.html#ticket=${ticket}`);
  await says(page, one, "idle");
  for (const [action, state] of [["START", "running"], ["STOP", "paused"], ["START", "running"]] as const) {
    const sentMs = performance.now();
    await reported(operation, [action]);
    await says(page, one, state);
    assertLess(performance.now() - sentMs, 2_000, state);
  }
});

/** A zone in which it is about noon now: an instant of another day would have its weekday. */
function noonZone(): string {
  const aheadH = 12 - new Date().getUTCHours();
  // the names of these zones count the other way
  return `Etc/GMT${aheadH > 0 ? "-" : "+"}${Math.abs(aheadH)}`;
}

pageTest("board: says when nothing was heard for 30 s, lets no duration go on, and lives again", async ({ open }) => {
  const { group, names } = await newGroup(2);
  const [one = ""] = names;
  await reported(await planned(one, -10), ["START", { occurred_at: minutesAgo(5) }]);
  const { ticket } = await newTicket(group);
  const { page, context } = await open("icon.svg", { timezoneId: noonZone() });
  // a browser that is offline keeps the connections that it has: without a stream it has none
  await context.route("**/stream/v1/events*", (route) => route.abort());
  await page.clock.install();
  await page.goto(`${new URL(page.url()).origin}/board.html#ticket=${ticket}`);
  await says(page, one, "5 min");
  await context.setOffline(true);
  await page.clock.fastForward(31_000);
  await page.getByRole("alert").getByText(/^Nothing heard for 3\d s$/).waitFor();
  const frozen = (await card(page, one).locator(".now, .facts").allInnerTexts()).join(" ").replace(/\s+/g, " ");
  assertMatch(frozen, /^running since \d\d:\d\d 0 of 100 ready \d\d:\d\d$/);
  await requireAccessible(page);
  await context.setOffline(false);
  await page.clock.fastForward(30_000);
  await says(page, one, /^\d min$/);
  assertEquals(await page.locator(".board [role=alert]").textContent(), "");
}, /ERR_INTERNET_DISCONNECTED|ERR_FAILED/);

pageTest("board: asks which group when there is none in the address", async ({ open }) => {
  const { group, names, user } = await newGroup(3);
  const { page } = await open("board.html", { user });
  await page.getByRole("link", { name: new RegExp(`${group} 3 workplaces`) }).click();
  await card(page, names[2] ?? "").waitFor();
  const { page: choice } = await open("board.html", { user, language: "de" });
  await choice.getByRole("heading", { name: "Welche Tafel?" }).waitFor();
  await requireAccessible(choice);
});
