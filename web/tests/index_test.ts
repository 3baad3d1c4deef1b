/** The landing page. */
import { assert, assertEquals, assertMatch } from "../../supabase/functions/tests/support/assertions.ts";
import { env, newUser } from "../../supabase/functions/tests/support/harness.ts";
import { pageTest, requireSound } from "./support/pages.ts";

pageTest("index: signs a demo user in with one click, and shows what happens now", async ({ open }) => {
  const { page } = await open("");
  await requireSound(page, "index");
  await page.getByRole("button", { name: "Mona Manager" }).click();
  await page.getByRole("heading", { name: "Now" }).waitFor();
  assertEquals(await page.locator(".counts dd").count(), 4);
  await requireSound(page, "index-signed-in");
});

pageTest("index: says in words why a sign-in was refused, and signs in and out by the form", async ({ open }) => {
  const { email, password } = await newUser({ full_name: "<b>Ina</b> Index" });
  const { page } = await open("");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("E-mail address or password is wrong.").waitFor();

  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  // what people write is text
  await page.getByRole("button", { name: "<b>Ina</b> Index" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assertEquals(await page.evaluate(() => localStorage.getItem("mes.session")), null);
}, /40[03]/);

pageTest("index: takes language and colours from the browser, or from a choice that stays", async ({ open }) => {
  const { page } = await open("", { language: "de", colorScheme: "dark" });
  const html = page.locator("html");
  await page.getByRole("heading", { name: "Seiten" }).waitFor();
  assertEquals([await html.getAttribute("lang"), await html.getAttribute("data-theme")], ["de", "dark"]);
  await page.getByRole("button", { name: "Einstellungen" }).click();
  await page.getByLabel("Farben").selectOption("light");
  await page.getByLabel("Sprache").selectOption("nl");
  await page.getByRole("heading", { name: "Pagina's" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Pagina's" }).waitFor();
  assertEquals([await html.getAttribute("lang"), await html.getAttribute("data-theme")], ["nl", "light"]);
});

pageTest("index: has the key for a first request, and links that exist", async ({ open }) => {
  const { page } = await open("");
  await page.getByText(env.publishableKey).waitFor();
  const addresses = await page.locator(".links a").evaluateAll((links) =>
    links.map((link) => link.getAttribute("href"))
  );
  assertEquals(addresses.length, 3);
  for (const address of addresses) {
    assertMatch(address ?? "", /\/docs/);
    const answer = await fetch(address ?? "");
    await answer.body?.cancel();
    assert(answer.ok, `${address}: ${answer.status}`);
  }
});
