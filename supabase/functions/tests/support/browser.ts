/**
 * A headless Chromium for the tests of pages, which reaches nothing but the stack under test.
 *
 * @module
 */
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { env } from "./harness.ts";

const flags = [
  "--headless",
  "--no-sandbox", // root, as in CI, has no other choice
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const known = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/snap/bin/chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
  "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
];

/** Finds the browser: CHROMIUM, an installed one, or on Linux the one of an npm package when it runs here. */
async function findBrowser(): Promise<string | undefined> {
  for (const path of [Deno.env.get("CHROMIUM"), ...known]) {
    if (path && await Deno.stat(path).then(() => true, () => false)) return path;
  }
  if (Deno.build.os !== "linux") return undefined;
  try {
    const { default: packaged } = await import("@sparticuz/chromium");
    const path = await packaged.executablePath();
    // it needs libraries that not every system has
    await (await chromium.launch({ executablePath: path, args: flags })).close();
    return path;
  } catch {
    return undefined;
  }
}

const executablePath = await findBrowser();
if (executablePath === undefined) {
  console.warn(
    "The browser tests are ignored: install Chromium (`apt-get install chromium`) or Google Chrome, or set CHROMIUM to its path.",
  );
}

/** Why the tests of pages cannot run here; on its own domain Supabase shows no pages. */
export const ignoresBrowserTests = executablePath === undefined ||
  new URL(env.functionsUrl).hostname.endsWith(".supabase.co");

/** Starts a browser. */
export const launchBrowser = () => chromium.launch({ executablePath, args: flags });

/** Something that a page must not do. */
export interface Misbehaviour {
  kind: "console" | "exception" | "policy" | "foreign request";
  text: string;
}

/**
 * Fails when pages misbehaved.
 *
 * @param expected Messages of the console that belong to the test, such as the browser's own about a 4xx.
 */
export function requireGoodBehaviour(misbehaviour: readonly Misbehaviour[], expected?: RegExp): void {
  const faults = misbehaviour.filter(({ kind, text }) => kind !== "console" || !expected?.test(text));
  if (faults.length > 0) throw new Error(`The page misbehaved: ${JSON.stringify(faults, null, 2)}`);
}

/**
 * A test with a page of a fresh browser; afterwards the page must not have written errors, broken its policy or asked
 * for anything outside of the stack.
 *
 * @param expected Messages of the console that belong to the test, such as the browser's own about a 4xx.
 */
export function browserTest(
  name: string,
  run: (page: Page, test: Deno.TestContext) => Promise<void>,
  expected?: RegExp,
): void {
  Deno.test({
    name: `${name} (browser)`,
    ignore: ignoresBrowserTests,
    fn: async (test) => {
      const browser = await launchBrowser();
      try {
        const misbehaviour: Misbehaviour[] = [];
        const context = await watchedContext(browser, misbehaviour, { viewport: { width: 1400, height: 1000 } });
        await run(await watchedPage(context, misbehaviour), test);
        requireGoodBehaviour(misbehaviour, expected);
      } finally {
        await browser.close();
      }
    },
  });
}

/** Opens a context that reaches nothing but the stack. */
export async function watchedContext(
  browser: Browser,
  misbehaviour: Misbehaviour[],
  options: BrowserContextOptions,
): Promise<BrowserContext> {
  const { origin } = new URL(env.functionsUrl);
  const context = await browser.newContext(options);
  await context.route("**/*", async (route) => {
    const url = new URL(route.request().url());
    if (url.origin === origin || ["data:", "blob:"].includes(url.protocol)) return await route.continue();
    misbehaviour.push({ kind: "foreign request", text: url.href });
    await route.abort();
  });
  return context;
}

/** Opens a page whose errors are collected. */
export async function watchedPage(context: BrowserContext, misbehaviour: Misbehaviour[]): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => misbehaviour.push({ kind: "exception", text: String(error) }));
  page.on("console", (message) => {
    const text = message.text();
    const kind = /Content Security Policy/i.test(text) ? "policy" : "console";
    if (["error", "warning"].includes(message.type())) misbehaviour.push({ kind, text: text.slice(0, 500) });
  });
  return page;
}
