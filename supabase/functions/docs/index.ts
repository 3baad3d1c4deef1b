/** Docs: the OpenAPI document, Swagger UI, ReDoc, and a page for each problem. They need no credential. */
import { type Context, Hono } from "hono";
import { accepts } from "hono/accepts";
import { etag } from "hono/etag";
import type { RequestIdVariables } from "hono/request-id";
import { useFrame } from "../_shared/frame.ts";
import { isProblemCode, Problem } from "../_shared/problems.ts";
import { readAsset } from "./assets.ts";
import { errorMarkdown, errorPage, errorsMarkdown, errorsPage } from "./errors.ts";
import { contentSecurityPolicy, redocPage, swaggerPage, withoutPages } from "./pages.ts";
import { startJson, startPage } from "./start.ts";

export const app = new Hono<{ Variables: RequestIdVariables }>({ strict: false });

useFrame(app, {
  cors: { origin: "*", allowMethods: ["GET", "HEAD", "OPTIONS"] },
  // the next deployment may change an answer: clients ask again, and get 304 when it has not changed
  cacheControl: () => "no-cache",
});
app.use(etag());

app.get("/docs", (c) => isShown(c) ? page(c, swaggerPage()) : c.text(withoutPages(c), 200));
app.get("/docs/redoc", (c) => isShown(c) ? page(c, redocPage()) : c.text(withoutPages(c), 200));

app.get(
  "/docs/start",
  async (c) =>
    wantsHtml(c, "application/json") && isShown(c) ? page(c, await startPage()) : c.json(await startJson(), 200),
);

app.get("/docs/openapi.json", async (c) => {
  const { openApiText, openApiEtag } = await import("./document.ts");
  return c.body(openApiText, 200, { "Content-Type": "application/json", ETag: openApiEtag });
});

app.get("/docs/errors", (c) => isShown(c) && wantsHtml(c) ? page(c, errorsPage()) : c.text(errorsMarkdown(), 200));
app.get("/docs/errors/:code", (c) => {
  const { code } = c.req.param();
  if (!isProblemCode(code)) throw new Problem("not_found", `There is no error code "${code.slice(0, 64)}"`);
  return isShown(c) && wantsHtml(c) ? page(c, errorPage(code)) : c.text(errorMarkdown(code), 200);
});

app.get("/docs/assets/:file{.+}", async (c) => {
  const { file } = c.req.param();
  const asset = await readAsset(file);
  if (asset === undefined) throw new Problem("not_found", `There is no asset "${file.slice(0, 64)}"`);
  if (asset.isVersioned) c.header("Cache-Control", "public, max-age=31536000, immutable");
  return c.body(asset.bytes, 200, { "Content-Type": asset.contentType });
});

app.get("/docs/health", (c) => c.json({ status: "ok" }, 200));

export default { fetch: app.fetch };

/** Returns whether browsers show a page: on its own domain, Supabase turns text/html into text/plain. */
function isShown(c: Context): boolean {
  const host = c.req.header("X-Forwarded-Host") ?? new URL(c.req.url).hostname;
  return !/\.supabase\.co$/.test(host);
}

function wantsHtml(c: Context, otherwise = "text/plain"): boolean {
  c.header("Vary", "Accept", { append: true });
  return accepts(c, { header: "Accept", supports: [otherwise, "text/html"], default: otherwise }) === "text/html";
}

function page(c: Context, html: string): Response {
  return c.html(html, 200, { "Content-Security-Policy": contentSecurityPolicy, "Referrer-Policy": "same-origin" });
}
