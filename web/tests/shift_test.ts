/** The shift page. */
import type { Page } from "playwright-core";
import { assert, assertEquals, assertMatch } from "../../supabase/functions/tests/support/assertions.ts";
import { newUser, server, unique, type User } from "../../supabase/functions/tests/support/harness.ts";
import { reportOne } from "../../supabase/functions/tests/support/floor.ts";
import {
  happened,
  type Interval,
  newPlace,
  oee,
  on,
  scrap,
  shift,
  timeline,
} from "../../supabase/functions/tests/support/reports.ts";
import { aDowntimeReason, downtimesOf, opened } from "../../supabase/functions/tests/support/stops.ts";
import { type PageTest, pageTest, requireAccessible, requireSound } from "./support/pages.ts";

/** The plant is in Tokyo, nine hours ahead of the stories, which are in UTC; the browsers of the tests are not. */
const zone = "Asia/Tokyo";
const early = { shift_date: "2026-11-20", shift_code: "EARLY" };

interface Scene {
  group: string;
  place: string;
  supervisor: User;
  operation: Awaited<ReturnType<typeof happened>>;
}

/** A workplace in the shift from 06:00 to 14:00 UTC: set up, run, a break, a pause, a fault, and a gap at the end. */
async function scene(): Promise<Scene> {
  const group = unique("Group");
  const shifts = [
    shift("EARLY", "15:00", "23:00", { breaks: [{ start: "18:30", end: "19:00" }] }),
    shift("LATE", "23:00", "07:00"),
  ];
  const place = await newPlace(shifts, { workplace_group: group }, zone);
  const operation = await happened(place, {
    qty_desired: 400,
    t_target_processing_min: 320,
    planned_start_at: on("05:48"),
    planned_end_at: on("14:00"),
  }, [
    ["06:00", "START", { phase: "SETUP" }],
    ["06:40", "START"],
    ["09:30", "STOP", { reason_code: "BREAK" }],
    ["10:00", "START"],
    ["11:10", "STOP", { reason_code: "MACHINE" }],
    ["11:50", "START"],
    ["12:00", "REPORT_QUANTITY", { qty_good: 200, qty_scrap: 8, reason_code: "SURFACE" }],
    ["13:00", "REPORT_QUANTITY", { qty_good: 169, qty_scrap: 3, reason_code: "DIMENSION" }],
    ["13:40", "FINISH", { reason_code: "UNSPECIFIED" }],
  ]);
  await opened(place, { occurred_at: on("12:20"), ended_at: on("12:50") });
  const supervisor = await newUser({ role: "supervisor", workplaces: [place], full_name: "Sven Supervisor" });
  return { group, place, supervisor, operation };
}

/** Opens the shift of the scene, and waits until it is drawn. */
async function openShift(
  { open }: PageTest,
  { place, supervisor }: Pick<Scene, "place" | "supervisor">,
  more: Record<string, string> = {},
): Promise<Page> {
  const search = new URLSearchParams({ workplace_name: place, ...early, ...more });
  const { page } = await open(`shift.html?${search}`, { user: supervisor });
  await page.locator(".interval").first().waitFor();
  return page;
}

/** The intervals that the page draws of a workplace. */
const drawnOf = (page: Page, place: string) =>
  page.getByRole("region", { name: place }).locator(".interval").evaluateAll((buttons) =>
    buttons.map((button) => {
      const bar = button.parentElement?.getBoundingClientRect();
      const { left, width } = button.getBoundingClientRect();
      const { from, to, bucket, detail } = button.dataset;
      // minutes of a shift of eight hours; browsers place boxes by 64ths of a pixel
      const minutes = (pixels: number) => Math.round(pixels / (bar?.width ?? 0) * 4800) / 10;
      return { from, to, bucket, detail, begin: minutes(left - (bar?.left ?? 0)), length: minutes(width) };
    })
  );

const intervalsOf = async (place: string) => (await timeline({ workplace_name: place, ...early })).intervals;

/** What the page has to draw of the intervals. */
const expectedOf = (intervals: Interval[]) =>
  intervals.map(({ from, to, bucket, detail, minutes }) => ({
    from,
    to,
    bucket,
    detail,
    begin: (Date.parse(from) - Date.parse(on("06:00"))) / 60_000,
    length: minutes,
  }));

/** Waits until the page draws what the API answers now. */
async function untilDrawn(page: Page, place: string): Promise<void> {
  const intervals = await intervalsOf(place);
  for (const { from, to, bucket, detail } of intervals) {
    const is = { from, to, bucket, detail };
    await page.locator(".interval" + Object.entries(is).map(([name, value]) => `[data-${name}="${value}"]`).join(""))
      .waitFor();
  }
  assertEquals(await drawnOf(page, place), expectedOf(intervals));
}

pageTest(
  "shift: draws the intervals of the API on the clocks of the plant, for eyes, keys and readers",
  async (test) => {
    const { place, supervisor, group } = await scene();
    const { page } = await test.open(`shift.html?${new URLSearchParams({ workplace_group: group, ...early })}`, {
      user: supervisor,
    });
    await page.locator(".interval").first().waitFor();
    const intervals = await intervalsOf(place);
    assertEquals(await drawnOf(page, place), expectedOf(intervals));
    assertEquals(intervals.map(({ bucket }) => bucket).join(" "), "AUST APT PDOT APT ADET APT ADET APT ADOT");
    assertEquals((await page.locator(".axis span").allTextContents()).map((text) => text.trim()).slice(0, 2), [
      "15:00",
      "16:00",
    ]);
    // keys: one stop for the lane, arrows along it
    const buttons = page.locator(".interval");
    assertEquals(await page.locator('.interval[tabindex="0"]').count(), 1);
    await buttons.first().focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    const focused = page.locator(".interval:focus");
    assertMatch(await focused.getAttribute("aria-label") ?? "", /^21:20 – 21:50, 30 min, Fault, no reason/);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: place }).waitFor();
    await requireAccessible(page);
    await page.keyboard.press("Escape");
    // the dialog gives the focus back when it is closed
    await focused.waitFor();
    assertEquals(await focused.count(), 1);
    // the same as a table
    await page.getByText(`${place}: 9 intervals as a table`).click();
    const rows = page.locator("details tbody tr");
    await rows.first().waitFor();
    assertEquals(
      (await rows.locator("td:nth-child(-n+2)").allTextContents()).map((text) => text.trim()),
      intervals.flatMap(({ from_local, to_local }) => [from_local.slice(11, 16), to_local.slice(11, 16)]),
    );
    await page.getByText(`${place}: 9 intervals as a table`).click();
    await page.evaluate("scrollTo(0, 0)");
    await requireSound(page, "shift");
  },
);

pageTest("shift: shows figures, losses, scrap and variance of the API", async (test) => {
  const { place, supervisor, operation } = await scene();
  const page = await openShift(test, { place, supervisor });
  const { buckets: [figures] } = await oee({ workplace_name: place, ...early });
  const percent = (ratio: number) => `${(ratio * 100).toFixed(1).replace(/\.0$/, "")}%`;
  for (const name of ["oee", "availability", "effectiveness", "quality_ratio"] as const) {
    const shown = await page.locator(`[data-ratio=${name}]`).textContent();
    assertEquals(shown, percent(figures?.ratios[name] ?? NaN), name);
  }
  const cells = async (
    title: string,
  ) => (await page.getByRole("region", { name: title }).locator("tbody tr").evaluateAll((rows) =>
    rows.map((row) => [...row.querySelectorAll("td:not(.chart)")].map((cell) => cell.textContent?.trim()).join(" | "))
  ));
  assertEquals(
    await cells("Losses"),
    [
      "Paused, MACHINE | 40 min | 1 | 25%",
      "Setup | 40 min | 1 | 50%",
      "Fault, no reason | 30 min | 1 | 69%",
      "Break | 30 min | 1 | 88%",
      "Idle | 20 min | 1 | 100%",
    ],
  );
  const { buckets: [row] } = await scrap({ workplace_name: place, ...early });
  assertEquals(
    (await cells("Scrap")).map((text) => text.split(" | ").slice(0, 3)),
    row?.scrap.map(({ reason_code, sq, count }) => [reason_code, String(sq), String(count)]),
  );
  const variance = page.getByRole("region", { name: "Plan and reality" }).locator("tbody tr");
  assertEquals(await variance.count(), 1);
  const text = await variance.textContent() ?? "";
  assert(text.includes(`${operation.order_no} / 0010`), text);
  assert(text.includes("12 min late") && text.includes("20 min early"), text);
});

pageTest("shift: says in words why a ratio is missing", async (test) => {
  const place = await newPlace([shift("EARLY", "15:00", "23:00")], {}, zone);
  const supervisor = await newUser({ role: "supervisor", workplaces: [place] });
  const page = await openShift(test, { place, supervisor });
  assertEquals(await page.locator("[data-ratio=oee]").textContent(), "0%");
  assertEquals(await page.locator("[data-ratio=quality_ratio]").textContent(), "–");
  await page.getByText("No pieces were reported.").waitFor();
});

pageTest("shift: makes a downtime with a reason of a gap", async (test) => {
  const { place, supervisor } = await scene();
  const reason = await aDowntimeReason({ description: "Waiting for the crane", category: "UNPLANNED" });
  const page = await openShift(test, { place, supervisor });
  // without the stream, too
  await page.route("**/stream/v1/**", (route) => route.abort());
  await page.reload();
  await page.locator('.interval[data-detail="idle"]').click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").selectOption(reason);
  assertEquals(await dialog.getByLabel("From").inputValue(), "2026-11-20T22:40");
  await dialog.getByLabel("From").fill("2026-11-20T22:45:30");
  await dialog.getByLabel("Note").fill("The crane was in hall 2");
  await requireAccessible(page);
  await dialog.getByRole("button", { name: "Save the reason" }).click();
  await dialog.waitFor({ state: "detached" });
  await untilDrawn(page, place);
  const last = (await downtimesOf(place)).at(-1);
  assertEquals([last?.started_at, last?.ended_at, last?.reason_code, last?.note, last?.user_id], [
    on("13:45:30"),
    on("14:00"),
    reason,
    "The crane was in hall 2",
    supervisor.id,
  ]);
}, /Failed to load resource/);

pageTest("shift: explains a stop, splits it, and takes it back", async (test) => {
  const { place, supervisor } = await scene();
  const [first, second] = [await aDowntimeReason(), await aDowntimeReason()];
  const page = await openShift(test, { place, supervisor });
  const dialog = page.getByRole("dialog");
  const done = async (action: string) => {
    await dialog.getByRole("button", { name: action }).click();
    await dialog.waitFor({ state: "detached" });
    await untilDrawn(page, place);
  };
  await page.locator('.interval[data-detail="fault"]').click();
  await dialog.getByLabel("Reason").selectOption(first);
  await done("Save the reason");
  await page.locator('.interval[data-detail="fault"]').click();
  await dialog.getByRole("button", { name: "Split" }).click();
  await dialog.getByLabel("The second cause begins").fill("2026-11-20T21:32:00");
  await dialog.getByLabel("Reason of the second part").selectOption(second);
  await requireAccessible(page);
  await done("Split here");
  assertEquals(
    (await downtimesOf(place)).map(({ started_at, ended_at, reason_code }) => [started_at, ended_at, reason_code]),
    [[on("12:20"), on("12:32"), first], [on("12:32"), on("12:50"), second]],
  );
  await page.locator('.interval[data-detail="fault"]').last().click();
  await dialog.getByRole("button", { name: "It was no stop" }).click();
  await dialog.getByLabel("Why it was none").fill("The door was open");
  await done("Take the stop back");
  assertEquals((await downtimesOf(place)).map(({ reason_code }) => reason_code), [first]);
});

pageTest("shift: corrects a start only after its outcome was seen", async (test) => {
  const { place, supervisor, operation } = await scene();
  const page = await openShift(test, { place, supervisor });
  const startNow = async () =>
    (await server.get<{ actual_start_at: string }>(`/operations/v1/${operation.order_no}/1/0010`)).body.actual_start_at;
  await page.locator('.interval[data-bucket="AUST"]').click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("First start").fill("2026-11-20T15:15:00");
  await dialog.getByLabel("Note").fill("The terminal was late");
  await dialog.getByRole("button", { name: "See what would change" }).click();
  const changes = dialog.locator("[data-change]");
  await changes.first().waitFor();
  assertEquals(
    await changes.evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent?.trim()))),
    [
      ["First start", "Fri, Nov 20, 15:00:00", "Fri, Nov 20, 15:15:00"],
      ["Setup", "40 min", "25 min"],
      ["Lead time", "7 h 40", "7 h 25"],
    ],
  );
  await requireAccessible(page);
  assertEquals(await startNow(), on("06:00"));
  // another time is another outcome
  await dialog.getByLabel("First start").fill("2026-11-20T15:10:00");
  assertEquals(await changes.count(), 0);
  await dialog.getByRole("button", { name: "See what would change" }).click();
  await changes.first().waitFor();
  await dialog.getByRole("button", { name: "Correct it" }).click();
  await dialog.waitFor({ state: "detached" });
  assertEquals(await startNow(), on("06:10"));
  await untilDrawn(page, place);
  // a time that the rules refuse is told in words, and nothing changes
  await page.getByRole("button", { name: `Correct: ${operation.order_no} / 0010` }).click();
  await dialog.getByLabel("First start").fill("2026-11-20T23:59:00");
  await dialog.getByRole("button", { name: "See what would change" }).click();
  await dialog.getByRole("alert").getByText(/./).first().waitFor();
  assertEquals(await startNow(), on("06:10"));
}, /status of (409|422)/);

pageTest("shift: saves the CSV that the API answers", async (test) => {
  const { place, group } = await scene();
  const other = await newPlace([shift("EARLY", "15:00", "23:00")], { workplace_group: group }, zone);
  const supervisor = await newUser({ role: "supervisor", workplaces: [place, other] });
  const { page } = await test.open(`shift.html?${new URLSearchParams({ workplace_group: group, ...early })}`, {
    user: supervisor,
  });
  await page.locator(".interval").first().waitFor();
  const query = { ...early, time_zone: zone, format: "csv", bom: "true", header: "true" };
  const answered = async (name: string, more: Record<string, string>) =>
    (await supervisor.client.get(`/reports/v1/${name}`, { query: { ...query, ...more } })).text.replace(/^\uFEFF/, "");
  const files = {
    "Where the time went": [
      "timeline",
      await answered("timeline", { workplace_name: [place, other].sort()[0] ?? "" }) +
      await answered("timeline", { workplace_name: [place, other].sort()[1] ?? "", header: "false" }),
    ],
    "Overall equipment effectiveness (OEE)": [
      "oee",
      await answered("oee", { workplace_group: group, by: "workplace" }),
    ],
    Losses: ["losses", await answered("losses", { workplace_group: group })],
    Scrap: ["scrap", await answered("scrap", { workplace_group: group })],
    "Plan and reality": ["operations", await answered("operations", { workplace_group: group })],
  };
  for (const [title, [name, text]] of Object.entries(files)) {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: `CSV: ${title}` }).click(),
    ]);
    assertEquals(download.suggestedFilename(), `${name}-2026-11-20-EARLY.csv`);
    const bytes = await Deno.readFile(await download.path());
    // the mark by which Excel knows UTF-8
    assertEquals([...bytes.slice(0, 3)], [0xef, 0xbb, 0xbf], name);
    assertEquals(new TextDecoder().decode(bytes), text, name);
  }
});

pageTest("shift: shows a supervisor their own workplaces only", async (test) => {
  const { place, supervisor, group } = await scene();
  const other = await newPlace([shift("EARLY", "15:00", "23:00")], { workplace_group: group }, zone);
  const { page } = await test.open(`shift.html?${new URLSearchParams({ workplace_group: group, ...early })}`, {
    user: supervisor,
  });
  await page.locator(".interval").first().waitFor();
  assertEquals(await page.locator(".lane h3").allTextContents(), [place]);
  assertEquals(await page.locator(`option[value="place ${other}"]`).count(), 0);
  // nor by an address that somebody sends
  await page.goto(page.url().replace(/\?.*/, `?${new URLSearchParams({ workplace_name: other, ...early })}`));
  await page.getByText("you may not see it").waitFor();
  assertEquals(await page.locator(".interval").count(), 0);
});

pageTest("shift: shows nothing more of a workplace that was taken from the supervisor", async (test) => {
  const { place, group } = await scene();
  const other = await newPlace([shift("EARLY", "15:00", "23:00")], { workplace_group: group }, zone);
  const supervisor = await newUser({ role: "supervisor", workplaces: [place, other] });
  const { page } = await test.open(`shift.html?${new URLSearchParams({ workplace_group: group, ...early })}`, {
    user: supervisor,
  });
  await page.locator('[data-live="live"]').waitFor();
  assertEquals(await page.locator(".lane h3").allTextContents(), [place, other].sort());
  const give = async (...workplace_access: string[]) => {
    const { status, text } = await server.patch(`/profiles/v1/${supervisor.id}`, { workplace_access });
    assertEquals(status, 200, text);
  };
  await give(other);
  await page.getByRole("region", { name: place }).waitFor({ state: "detached" });
  assertEquals(await page.locator(".lane h3").allTextContents(), [other]);
  await give();
  await page.locator(".lane").waitFor({ state: "detached" });
  await page.locator(".banner.stop").waitFor();
}, /Failed to load resource/);

pageTest("shift: goes to the shift before and after, and to a window", async (test) => {
  const { place, supervisor } = await scene();
  const page = await openShift(test, { place, supervisor });
  await page.getByRole("button", { name: "Next shift" }).click();
  await page.getByText("Fri, Nov 20 · LATE · 23:00 – 07:00").waitFor();
  await page.getByRole("button", { name: "Previous shift" }).click();
  await page.getByRole("button", { name: "Previous shift" }).click();
  await page.getByText("Thu, Nov 19 · LATE · 23:00 – 07:00").waitFor();
  await page.goBack();
  await page.getByText("Fri, Nov 20 · EARLY · 15:00 – 23:00").waitFor();
  await untilDrawn(page, place);
  await page.getByRole("button", { name: "From – to" }).click();
  await page.getByLabel("From").fill("2026-11-20T15:00:00");
  await page.getByLabel("To", { exact: true }).fill("2026-11-20T16:00:00");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("Fri, Nov 20 · 15:00 – 16:00").waitFor();
  await page.locator(".interval").first().waitFor();
  assertEquals(await page.locator(".interval").count(), 2);
  const { searchParams } = new URL(page.url());
  assertEquals([searchParams.get("from"), searchParams.get("to")], [on("06:00"), on("07:00")]);
  // a day without a shift is no error
  await page.goto(`${page.url().split("?")[0]}?${new URLSearchParams({ workplace_name: place, ...early })}`);
  await page.getByLabel("Date").fill("2024-06-03");
  await page.getByText("These workplaces have no shift EARLY on 2024-06-03.").waitFor();
  assertEquals(await page.locator(".interval").count(), 0);
}, /status of 422/);

pageTest("shift: understands times of the plant in nights when clocks change", async ({ open }) => {
  const { page } = await open("shift.html");
  const instants = await page.evaluate(`import("/shift/zone.js").then(({ instantOf, localText }) => [
    instantOf("2026-10-25T02:30:00", "Europe/Amsterdam", Date.parse("2026-10-25T00:00:00Z")),
    instantOf("2026-10-25T02:30:00", "Europe/Amsterdam", Date.parse("2026-10-25T02:00:00Z")),
    instantOf("2026-03-29T02:30:00", "Europe/Amsterdam", 0) ?? "none",
    instantOf("2026-03-29T03:30", "Europe/Amsterdam", 0),
    instantOf("2026-11-20T00:00:00", "Asia/Kolkata", 0),
    localText("2026-11-20T18:30:00Z", "Asia/Kolkata"),
  ])`);
  assertEquals(instants, [
    "2026-10-25T00:30:00.000Z",
    "2026-10-25T01:30:00.000Z",
    "none",
    "2026-03-29T01:30:00.000Z",
    "2026-11-19T18:30:00.000Z",
    "2026-11-21T00:00:00",
  ]);
});

pageTest("shift: follows what happens, and says so when it cannot", async (test) => {
  const { place, supervisor } = await scene();
  const search = new URLSearchParams({ workplace_name: place, ...early });
  const { page, context } = await test.open(`shift.html?${search}`, { user: supervisor });
  await page.locator('[data-live="live"]').waitFor();
  const later = await happened(place, { qty_desired: 10 }, [["13:44", "START"]]);
  await reportOne(later, "FINISH", { occurred_at: on("13:52"), reason_code: "UNSPECIFIED" });
  await untilDrawn(page, place);
  await context.setOffline(true);
  await page.locator('[data-live="not_live"]').waitFor();
  await page.getByText(/Not live: what you see is as of \d\d:\d\d:\d\d/).waitFor();
  await context.setOffline(false);
  await page.locator('[data-live="live"]').waitFor();
}, /ERR_INTERNET_DISCONNECTED|Failed to load resource/);
