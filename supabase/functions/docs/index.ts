/** Docs: the OpenAPI document, Swagger UI, ReDoc, and a page for each error. Everybody may read them. */
import { type Context, Hono } from "hono";
import { accepts } from "hono/accepts";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { requestId, type RequestIdVariables } from "hono/request-id";
import { drained } from "../_shared/body.ts";
import { logged } from "../_shared/log.ts";
import { isProblemCode, Problem, problemResponse } from "../_shared/problems.ts";
import { routed } from "../_shared/routing.ts";
import { readAsset } from "./assets.ts";
import { errorMarkdown, errorPage, errorsMarkdown, errorsPage } from "./errors.ts";
import { contentSecurityPolicy, redocPage, swaggerPage, withoutPages } from "./pages.ts";

type Env = { Variables: RequestIdVariables };

export const app = new Hono<Env>({ strict: false });

app.use(requestId({ limitLength: 128 }));
app.use(logged);
app.use(cors({ origin: "*", allowMethods: ["GET", "HEAD", "OPTIONS"] }));
app.use(async (c, next) => {
  await next();
  c.header("X-Content-Type-Options", "nosniff");
  // what may change with the next deployment is asked for again, and answered by 304 when it has not changed
  if (!c.res.headers.has("Cache-Control")) c.header("Cache-Control", "no-cache");
});
app.use(drained, routed(app));
app.use(etag());

app.get("/docs", (c) => isShown(c) ? page(c, swaggerPage()) : c.text(withoutPages(c), 200));
app.get("/docs/redoc", (c) => isShown(c) ? page(c, redocPage()) : c.text(withoutPages(c), 200));

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

app.get("/docs/assets/:file", async (c) => {
  const { file } = c.req.param();
  const asset = await readAsset(file);
  if (asset === undefined) throw new Problem("not_found", `There is no asset "${file.slice(0, 64)}"`);
  if (asset.isVersioned) c.header("Cache-Control", "public, max-age=31536000, immutable");
  return c.body(asset.bytes, 200, { "Content-Type": asset.contentType });
});

app.get("/docs/health", (c) => c.json({ status: "ok" }, 200));

app.notFound((c) => problemResponse(c, new Problem("unknown_route", `There is no ${c.req.path}`)));
app.onError((error, c) => {
  if (error instanceof Problem) return problemResponse(c, error);
  console.error(JSON.stringify({ id: c.get("requestId"), error: String(error), stack: error.stack }));
  return problemResponse(c, new Problem("internal_error", "The request could not be carried out"));
});

export default { fetch: app.fetch };

/** Whether a page arrives as a page: on its own domain Supabase turns text/html into text/plain. */
function isShown(c: Context): boolean {
  const host = c.req.header("X-Forwarded-Host") ?? new URL(c.req.url).hostname;
  return !/\.supabase\.co$/.test(host);
}

function wantsHtml(c: Context): boolean {
  c.header("Vary", "Accept", { append: true });
  return accepts(c, { header: "Accept", supports: ["text/plain", "text/html"], default: "text/plain" }) === "text/html";
}

function page(c: Context, html: string): Response {
  return c.html(html, 200, { "Content-Security-Policy": contentSecurityPolicy, "Referrer-Policy": "same-origin" });
}
