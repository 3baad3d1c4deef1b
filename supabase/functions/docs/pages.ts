/**
 * The pages of Swagger UI and ReDoc.
 *
 * @module
 */
import type { Context } from "hono";

/** Where this function is, on every deployment. */
export const base = "/functions/v1/docs";

/**
 * Only what comes from here. Both viewers write styles into the page, and have icons, ReDoc also a font, in data URLs.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Text as it stands in HTML. */
export const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);

/** An HTML page. */
export const htmlPage = ({ title, head = "", body }: { title: string; head?: string; body: string }) =>
  `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <link rel="icon" type="image/svg+xml" href="${base}/assets/icon.svg">
    ${head}<link rel="stylesheet" href="${base}/assets/pages.css">
  </head>
  <body>
    <header class="docs">
      <a class="name" href="${base}">MES Operations API</a>
      <nav>
        <a href="${base}">Swagger UI</a>
        <a href="${base}/redoc">ReDoc</a>
        <a href="${base}/errors">Errors</a>
        <a href="${base}/openapi.json">openapi.json</a>
      </nav>
    </header>
${body}
  </body>
</html>
`;

export const swaggerPage = () =>
  htmlPage({
    title: "MES Operations API",
    head: `<link rel="stylesheet" href="${base}/assets/swagger-ui-5.35.0.css">\n    `,
    body: `    <div id="swagger-ui"></div>
    <script src="${base}/assets/swagger-ui-5.35.0.js"></script>
    <script src="${base}/assets/swagger.js"></script>`,
  });

export const redocPage = () =>
  htmlPage({
    title: "MES Operations API: reference",
    body: `    <div id="redoc"></div>
    <script type="module" src="${base}/assets/redoc.js"></script>`,
  });

/** What the pages' URLs answer where pages are not shown. */
export function withoutPages(c: Context): string {
  const origin = `https://${c.req.header("X-Forwarded-Host") ?? new URL(c.req.url).host}`;
  return `MES Operations API

Supabase shows pages on custom domains only. To read this documentation, run in a checkout:

  npx -y deno@2.9.6 task docs ${origin}/functions/v1

The OpenAPI document:  ${origin}${base}/openapi.json
The errors:            ${origin}${base}/errors
`;
}
