/**
 * The consent page, against the answers that Supabase's client library describes: the local Auth has no OAuth server, so the
 * test answers in its place.
 */
import type { BrowserContext } from "playwright-core";
import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { newOperation, newUser } from "../../supabase/functions/tests/support/harness.ts";
import { pageTest, requireSound } from "./support/pages.ts";

const asked = {
  authorization_id: "auth-1",
  redirect_uri: "https://assistant.example.com/callback",
  client: { id: "client-1", name: "Assistant <img src=x onerror=alert(1)>", uri: "https://assistant.example.com" },
  user: { id: "9b2c4d1e-6f70-4a85-b3c9-0d1e2f3a4b5c", email: "anna@example.com" },
  scope: "openid email",
};

/** Answers in place of the OAuth server, and in place of the client; returns what the page sent. */
async function answerFor(context: BrowserContext, first: unknown, redirect_url: string): Promise<string[]> {
  const sent: string[] = [];
  await context.route("**/auth/v1/oauth/authorizations/**", async (route) => {
    const request = route.request();
    assert(request.headers().authorization?.startsWith("Bearer "), "The page says who decides");
    sent.push(`${request.method()} ${new URL(request.url()).pathname} ${request.postData() ?? ""}`.trim());
    await route.fulfill({ json: request.method() === "GET" ? first : { redirect_url } });
  });
  await context.route("https://assistant.example.com/**", (route) => route.fulfill({ body: "Back in the client" }));
  return sent;
}

async function newOperator() {
  const { workplace_name } = await newOperation();
  const { email, password } = await newUser({ role: "operator", workplaces: [workplace_name ?? ""] });
  return { user: { email, password }, workplace: workplace_name ?? "" };
}

pageTest("consent: says who asks, for whom and what it means, and approves", async ({ open }) => {
  const { user, workplace } = await newOperator();
  const { page, context } = await open("consent.html", { user });
  const sent = await answerFor(context, asked, "https://assistant.example.com/callback?code=1&state=2");
  await page.goto(`${page.url()}?authorization_id=auth-1`);
  await page.getByText("asks to act for anna@example.com").waitFor();
  const text = await page.locator(".consent").innerText();
  assertStringIncludes(text, "Assistant <img src=x onerror=alert(1)>");
  assertStringIncludes(text, "assistant.example.com");
  assertStringIncludes(text, workplace);
  await requireSound(page, "consent");
  await page.getByRole("button", { name: "Let it in" }).click();
  await page.waitForURL("https://assistant.example.com/callback?code=1&state=2");
  assertEquals(sent.at(-1), `POST /auth/v1/oauth/authorizations/auth-1/consent {"action":"approve"}`);
});

pageTest("consent: denies", async ({ open }) => {
  const { user } = await newOperator();
  const { page, context } = await open("consent.html", { user });
  const sent = await answerFor(context, asked, "https://assistant.example.com/callback?error=access_denied");
  await page.goto(`${page.url()}?authorization_id=auth-1`);
  await page.getByRole("button", { name: "Say no" }).click();
  await page.waitForURL("https://assistant.example.com/callback?error=access_denied");
  assertEquals(sent.at(-1), `POST /auth/v1/oauth/authorizations/auth-1/consent {"action":"deny"}`);
});

pageTest("consent: goes back at once when the user let the client in before", async ({ open }) => {
  const { user } = await newOperator();
  const { page, context } = await open("consent.html", { user });
  const redirect_url = "https://assistant.example.com/callback?code=9";
  await answerFor(context, { redirect_url }, redirect_url);
  await page.goto(`${page.url()}?authorization_id=auth-1`);
  await page.waitForURL(redirect_url);
});

pageTest("consent: shows no website where the answer goes to a program", async ({ open }) => {
  const { user } = await newOperator();
  const { page, context } = await open("consent.html", { user });
  for (
    const [redirect_uri, shown] of [
      ["evil-app://assistant.example.com/callback", "evil-app://assistant.example.com"],
      ["http://assistant.example.com/callback", "http://assistant.example.com"],
      ["com.example.assistant:/callback", "com.example.assistant:"],
      ["https://assistant.example.com@evil.example/callback", "evil.example"],
    ]
  ) {
    await answerFor(context, { ...asked, redirect_uri }, "https://assistant.example.com/");
    await page.goto(`${page.url().split("?")[0]}?authorization_id=auth-1`);
    await page.getByText("asks to act for").waitFor();
    assertEquals(await page.locator(".consent dd").first().innerText(), shown);
    await context.unrouteAll();
  }
});

pageTest("consent: never goes to a script", async ({ open }) => {
  const { user } = await newOperator();
  const { page, context } = await open("consent.html", { user });
  await answerFor(context, asked, "javascript:alert(document.domain)");
  await page.goto(`${page.url()}?authorization_id=auth-1`);
  await page.getByRole("button", { name: "Let it in" }).click();
  await page.getByText("could not be read or answered").waitFor();
  assertStringIncludes(page.url(), "consent.html");
});

pageTest("consent: asks nobody without a request, and asks to sign in first", async ({ open }) => {
  const { user } = await newOperator();
  const { page } = await open("consent.html?authorization_id=..%2F..%2Fadmin", { user });
  await page.getByText("No client asks for anything here").waitFor();
  const { page: stranger } = await open("consent.html?authorization_id=auth-1");
  await stranger.getByRole("button", { name: "Sign in" }).waitFor();
});
