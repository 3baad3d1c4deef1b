/** docs/examples/live.html does what it says. */
import { assertEquals } from "../support/assertions.ts";
import { browserTest } from "../support/browser.ts";
import { env, newOperation, newUser, report, server, unique } from "../support/harness.ts";

browserTest("docs/examples/live.html: shows operations of a workplace as they change", async (page) => {
  const operation = await newOperation();
  const workplace = operation.workplace_name ?? "";
  const { email, password } = await newUser({ workplaces: [workplace] });
  const url = `${env.supabaseUrl}/live.html`;
  const body = await Deno.readTextFile(new URL("../../../../docs/examples/live.html", import.meta.url));
  await page.route(url, (route) => route.fulfill({ body, contentType: "text/html" }));
  await page.route("**/favicon.ico", (route) => route.fulfill({ status: 204 }));
  await page.goto(url);
  const fields = { project: env.supabaseUrl, key: env.publishableKey, email, password, workplace };
  for (const [id, value] of Object.entries(fields)) await page.fill(`#${id}`, value);
  // a mistyped workplace, and one of others, can be corrected
  const others = await newOperation();
  for (const name of [unique("No such workplace"), others.workplace_name ?? ""]) {
    await page.fill("#workplace", name);
    await page.click("button");
    await page.locator("#state").getByText(name).waitFor();
  }
  await page.fill("#workplace", workplace);
  await page.click("button");
  const row = page.locator(`tr[data-key="${operation.order_no}/1/0010"]`);
  await row.getByText("RELEASED").waitFor();

  assertEquals((await report(server, operation, "START")).status, 201);
  await row.getByText("IN_PROGRESS").waitFor();
  await report(server, operation, "REPORT_QUANTITY", { qty_good: 7, qty_scrap: 2 });
  await row.getByText("REPORT_QUANTITY").waitFor();
  assertEquals((await row.locator("td").allInnerTexts()).slice(2, 5), ["IN_PROGRESS", "7", "2"]);

  // one that is new to the page
  const second = await newOperation({ workplace_name: workplace });
  await report(server, second, "START");
  await page.locator(`tr[data-key="${second.order_no}/1/0010"]`).getByText("IN_PROGRESS").waitFor();
  // what changed last is on top
  assertEquals(await page.locator("tbody tr").first().getAttribute("data-key"), `${second.order_no}/1/0010`);
  assertEquals(await page.locator("#state").innerText(), "live");
  await page.setViewportSize({ width: 390, height: 800 });
  assertEquals(await page.locator("table").evaluate((table) => table.ownerDocument.documentElement.scrollWidth), 390);
});
