/** The plan page. */
import { assertEquals, assertMatch } from "../../supabase/functions/tests/support/assertions.ts";
import {
  newOperation,
  newUser,
  newWorkplace,
  operationPath,
  report,
  server,
  unique,
} from "../../supabase/functions/tests/support/harness.ts";
import { pageTest, requireFitting, requireSound, sizes } from "./support/pages.ts";

const hourMs = 3_600_000;
const at = (hours: number) => new Date(Date.now() + hours * hourMs).toISOString();

/** A workplace of a group of its own with operations in each status. */
async function newPlan() {
  const group = unique("Group");
  const workplace = newWorkplace();
  await server.post("/workplaces/v1", { name: workplace, workplace_group: group });
  const place = { workplace_name: workplace, workplace_group: group };
  const [running, late, next, planned] = await Promise.all([
    newOperation({ ...place, planned_start_at: at(-10), planned_end_at: at(2) }),
    newOperation({ ...place, planned_start_at: at(-8), planned_end_at: at(-5) }),
    newOperation({
      ...place,
      planned_start_at: at(3),
      planned_end_at: at(5),
      activity_description: "<img src=x onerror=alert(1)> & cut",
    }),
    newOperation({ ...place, planned_start_at: at(6), planned_end_at: at(9), status: "PLANNED" }),
  ]);
  await report(server, running, "START");
  return { group, workplace, running, late, next, planned };
}

const statusOf = async (operation: Parameters<typeof operationPath>[0]) =>
  (await server.get<{ status: string }>(operationPath(operation))).body.status;

pageTest("plan: shows planned and actual times by workplace, late ones first, and follows events", async ({ open }) => {
  const { group, running, late, next, planned } = await newPlan();
  const { page } = await open(`plan.html?workplace_group=${group}`, { user: await newUser({ role: "manager" }) });
  const rows = page.locator("li.operation");
  await rows.first().waitFor();
  const keys = await rows.evaluateAll((all) => all.map((row) => row.getAttribute("data-key")));
  assertEquals(
    keys,
    [late, running, next, planned].map((one) => `${one.order_no}/${one.asset_id}/${one.operation_no}`),
  );
  assertMatch(await rows.first().innerText(), /5 h 0\d late/);
  assertEquals(await rows.nth(1).locator(".bar.worked").count(), 1);
  assertEquals(await rows.locator(".bar.planned").count(), 4);
  await requireSound(page, "plan");

  await report(server, running, "STOP");
  await rows.getByText("On hold").waitFor();

  await page.getByRole("button", { name: "Planned", exact: true }).click();
  await rows.nth(3).waitFor({ state: "detached" });
  assertMatch(page.url(), /status=RELEASED/);
});

pageTest("plan: fits a phone in each language", async ({ open }) => {
  const { group } = await newPlan();
  const user = await newUser({ role: "manager" });
  for (const language of ["nl", "de"] as const) {
    const { page } = await open(`plan.html?workplace_group=${group}`, { user, language, viewport: sizes[0] });
    await page.locator("li.operation").first().waitFor();
    await requireFitting(page);
    assertEquals(await page.locator("html").getAttribute("lang"), language);
  }
});

pageTest("plan: holds an operation with a reason, and releases it", async ({ open }) => {
  const { group, next } = await newPlan();
  const { page } = await open(`plan.html?workplace_group=${group}`, { user: await newUser({ role: "manager" }) });
  const dialog = page.getByRole("dialog");
  // by keyboard alone
  await page.getByRole("button", { name: next.order_no }).focus();
  await page.keyboard.press("Enter");
  await dialog.getByRole("button", { name: "Hold" }).press("Enter");
  await dialog.getByLabel("Reason").selectOption("QUALITY");
  await dialog.getByLabel("Note").fill("<b>waits</b> for inspection");
  await dialog.getByRole("button", { name: "Hold" }).press("Enter");
  await page.getByText(`${next.order_no} ${next.operation_no} is on hold.`).waitFor();
  assertEquals(await statusOf(next), "ON_HOLD");
  await page.locator("li.operation").getByText("On hold").waitFor();

  await page.getByRole("button", { name: next.order_no }).click();
  await dialog.getByText("QUALITY").waitFor();
  // what people write is text
  await dialog.getByText("<img src=x onerror=alert(1)> & cut").waitFor();
  assertEquals(await page.locator("main img").count(), 0);
  await dialog.getByRole("button", { name: "Release" }).click();
  await page.getByText("is released.").waitFor();
  assertEquals(await statusOf(next), "RELEASED");
});

pageTest("plan: shows what a change of many would do before it does it", async ({ open }) => {
  const { group, running, late, next, planned } = await newPlan();
  const { page } = await open(`plan.html?workplace_group=${group}`, { user: await newUser({ role: "manager" }) });
  await page.locator("li.operation").first().waitFor();
  await page.getByRole("button", { name: "Change many" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Change").selectOption("RELEASE");
  await page.getByRole("button", { name: "Show what would happen" }).click();
  await page.getByText("Nothing has happened yet.").waitFor();
  assertEquals(await page.locator(".results tbody tr").count(), 4);
  assertEquals(await statusOf(planned), "PLANNED");
  await requireSound(page, "plan-bulk");

  await page.getByRole("button", { name: "Change 1 operation now" }).click();
  await page.getByText("1 changed").waitFor();
  assertEquals(await Promise.all([planned, next, late, running].map(statusOf)), [
    "RELEASED",
    "RELEASED",
    "RELEASED",
    "IN_PROGRESS",
  ]);
  await page.getByRole("button", { name: "Close" }).click();
  await page.locator("dialog").waitFor({ state: "detached" });
});

pageTest("plan: offers those who may not change the plan nothing to change", async ({ open }) => {
  const { group, workplace, next } = await newPlan();
  const user = await newUser({ role: "operator", workplaces: [workplace] });
  const { page } = await open(`plan.html?workplace_group=${group}`, { user });
  await page.getByRole("button", { name: next.order_no }).click();
  await page.getByText("You may not do this.").first().waitFor();
  for (const name of ["Release", "Hold", "Cancel operation"]) {
    assertEquals(await page.getByRole("dialog").getByRole("button", { name }).isDisabled(), true, name);
  }
  assertEquals(await page.getByRole("button", { name: "Change many" }).count(), 0);
});
