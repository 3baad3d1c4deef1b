/**
 * Support for the tests of the pages: a browser for each test file, pages of signed-in users, and the checks that every
 * page has to pass.
 *
 * @module
 */
import axe from "axe-core";
import type { Browser, BrowserContext, BrowserContextOptions, Page, Request } from "playwright-core";
import { assert, assertEquals } from "../../../supabase/functions/tests/support/assertions.ts";
import {
  ignoresBrowserTests,
  launchBrowser,
  type Misbehaviour,
  requireGoodBehaviour,
  watchedContext,
  watchedPage,
} from "../../../supabase/functions/tests/support/browser.ts";
import { env } from "../../../supabase/functions/tests/support/harness.ts";
import openApi from "../../../docs/openapi.json" with { type: "json" };

/** Whether the stack under test serves the pages: those of Supabase do not. */
export const isLocal = /^(127\.|localhost)/.test(new URL(env.supabaseUrl).hostname);

/** E-mail address and password of a user. */
export interface Credentials {
  email: string;
  password: string;
}

/** A page under test. */
export interface PageUnderTest {
  page: Page;
  context: BrowserContext;
}

/** How a page is opened. */
export interface OpenOptions extends BrowserContextOptions {
  /** Signed in before the page opens; nobody by default. */
  user?: Credentials;
  language?: "en" | "nl" | "de";
}

/** What a test gets. */
export interface PageTest {
  /** Opens a page such as `board.html?workplace_group=Laser` in a context of its own, as another person at another screen. */
  open(path: string, options?: OpenOptions): Promise<PageUnderTest>;
}

/** Sizes at which the pages are judged and pictured. */
export const sizes = [
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
] as const;

/** Weight of a page with all that it loads at its start, compressed. */
const maxPageBytes = 150 * 1024;

/** Time until something is seen. */
const maxFirstContentMs = 1000;

const screenshots = new URL("../screenshots/", import.meta.url);

/** One browser for all tests of a file; it ends with the process. */
let browser: Promise<Browser> | undefined;

/**
 * A test with pages. Afterwards no page may have written errors, broken its policy, asked for anything outside of the
 * origin, or called what the OpenAPI document does not have.
 *
 * @param expected Messages of the console that belong to the test, such as the browser's own about a 4xx.
 */
export function pageTest(name: string, run: (test: PageTest) => Promise<void>, expected?: RegExp): void {
  Deno.test({
    name: `${name} (browser)`,
    ignore: ignoresBrowserTests || !isLocal,
    // the browser outlives the test
    sanitizeResources: false,
    sanitizeOps: false,
    fn: async () => {
      browser ??= launchBrowser();
      const misbehaviour: Misbehaviour[] = [];
      const requests: Request[] = [];
      const contexts: BrowserContext[] = [];
      const open = async (path: string, { user, language = "en", ...options }: OpenOptions = {}) => {
        const context = await watchedContext(await launched(), misbehaviour, {
          viewport: sizes[1],
          locale: language,
          ...options,
        });
        contexts.push(context);
        context.on("request", (request) => requests.push(request));
        if (user) await signInBefore(context, user);
        const page = await watchedPage(context, misbehaviour);
        await page.goto(`${env.supabaseUrl}/${path}`);
        return { page, context };
      };
      try {
        await run({ open });
        requireGoodBehaviour(misbehaviour, expected);
        requireDocumented(requests);
      } finally {
        await Promise.all(contexts.map((context) => context.close()));
      }
    },
  });
}

async function launched(): Promise<Browser> {
  const running = await (browser ??= launchBrowser());
  addEventListener("unload", () => void running.close(), { once: true });
  return running;
}

/** Signs in as the page does, and leaves the session where the page looks for it. */
async function signInBefore(context: BrowserContext, { email, password }: Credentials): Promise<void> {
  const answer = await fetch(`${env.supabaseUrl}/auth/v1/token?grant_type=password`, {
    method: "POST",
    headers: { apikey: env.publishableKey, "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const { access_token, refresh_token, expires_in, user } = await answer.json();
  assertEquals(answer.status, 200, `sign-in of ${email}`);
  const session = { access_token, refresh_token, expires_at: Date.now() + expires_in * 1000, user };
  const state = { key: "mes.session", text: JSON.stringify(session) };
  // only once: the page may sign out, and renew the tokens
  await context.addInitScript(({ key, text }) => {
    if (!sessionStorage.getItem("signed in")) localStorage.setItem(key, text);
    sessionStorage.setItem("signed in", "yes");
  }, state);
}

const documented = Object.entries(openApi.paths).map(([path, methods]) => ({
  pattern: new RegExp(`^${path.replace(/\{[^}]+\}/g, "[^/]+")}$`),
  methods: Object.keys(methods),
}));

/** Requires that each call of the API is in the OpenAPI document, and that no address holds a credential. */
function requireDocumented(requests: readonly Request[]): void {
  const credentials = new Set(requests.flatMap((request) => {
    const { authorization, "x-acting-for": person } = request.headers();
    return [authorization?.replace(/^Bearer /, ""), person].filter((value) => value !== undefined);
  }));
  for (const request of requests) {
    const { pathname, href } = new URL(request.url());
    for (const credential of credentials) assert(!href.includes(credential), `A credential is in ${pathname}`);
    if (
      /^\/auth\/v1\/(token|logout|oauth\/authorizations\/.+)$/.test(pathname) ||
      !/^\/(functions|auth|rest)\//.test(pathname)
    ) continue;
    const path = pathname.replace(/^\/functions\/v1/, "");
    const method = request.method().toLowerCase();
    const isKnown = documented.some(({ pattern, methods }) => pattern.test(path) && methods.includes(method));
    assert(isKnown, `${method} ${pathname} is not in the OpenAPI document`);
  }
}

/** Requires that axe finds nothing against WCAG 2.2 AA. */
export async function requireAccessible(page: Page): Promise<void> {
  // evaluated by the driver, which the page's policy does not concern
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as typeof globalThis & { axe: { run(options: unknown): Promise<AxeResults> } };
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await axe.run({ runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => ({
      id,
      help,
      nodes: nodes.slice(0, 5).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`),
    }));
  });
  assertEquals(violations, []);
}

interface AxeResults {
  violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[];
}

/** Requires that nothing is wider than the screen. */
export async function requireFitting(page: Page): Promise<void> {
  const { wide, width } = await page.locator("html").evaluate((html) => ({
    wide: html.scrollWidth,
    width: html.clientWidth,
  }));
  assert(wide <= width, `The page is ${wide} pixels wide on a screen of ${width}`);
}

/** Requires that something is seen at once. The tests beside this one take their time, so the best of a few loads counts. */
async function requireFast(page: Page): Promise<void> {
  let best = await firstContentMs(page);
  for (let load = 1; load < 5 && best >= maxFirstContentMs; load++) {
    // another page, because the one under test may be in the middle of something
    const again = await page.context().newPage();
    await again.goto(page.url());
    best = Math.min(best, await firstContentMs(again));
    await again.close();
  }
  assert(best < maxFirstContentMs, `The first content appeared after ${Math.round(best)} ms`);
}

const firstContentMs = (page: Page) =>
  page.evaluate(() =>
    new Promise<number>((resolve) => {
      const observer = new PerformanceObserver((entries) => {
        const first = entries.getEntriesByName("first-contentful-paint")[0];
        if (first) resolve(first.startTime);
      });
      observer.observe({ type: "paint", buffered: true });
    })
  );

/** Requires that a page is light, and seen at once. */
export async function requireLight(page: Page): Promise<void> {
  await requireFast(page);
  const paths = await page.evaluate(() =>
    performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname)
  );
  const own = [new URL(page.url()).pathname, ...paths].filter((path) => !/^\/(functions|auth)\//.test(path));
  const weights = await Promise.all([...new Set(own)].map(async (path) => {
    const answer = await fetch(`${env.supabaseUrl}${path}`);
    const gzip = answer.body?.pipeThrough(new CompressionStream("gzip"));
    return { path, bytes: (await new Response(gzip).arrayBuffer()).byteLength };
  }));
  const sum = weights.reduce((total, { bytes }) => total + bytes, 0);
  assert(sum < maxPageBytes, `The page weighs ${sum} bytes: ${JSON.stringify(weights)}`);
}

/**
 * Checks a page as it is shown at each size, light and dark, and writes pictures of it into `web/tests/screenshots`.
 *
 * @param name Name of the pictures: `board` gives `board-390-dark.png` and five others.
 */
export async function requireSound(page: Page, name: string): Promise<void> {
  await requireLight(page);
  await Deno.mkdir(screenshots, { recursive: true });
  for (const theme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    for (const size of sizes) {
      await page.setViewportSize(size);
      await page.screenshot({ path: new URL(`${name}-${size.width}-${theme}.png`, screenshots).pathname });
      await requireFitting(page);
      await requireAccessible(page);
    }
  }
}
