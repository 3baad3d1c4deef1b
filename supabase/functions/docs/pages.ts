/**
 * The pages of Swagger UI and ReDoc.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { SwaggerUI } from "@hono/swagger-ui";
import type { Context } from "hono";
import { packages } from "./packages.ts";

/** Path of this function, the same on every deployment. */
export const base = "/functions/v1/docs";

const [swaggerUiDist] = packages;

/** Swagger UI with our copies of its files. The browser keeps the access token over reloads, until the user logs out. */
const swaggerUI = SwaggerUI({
  baseUrl: `${base}/assets`,
  version: swaggerUiDist.version,
  url: `${base}/openapi.json`,
  layout: "BaseLayout",
  deepLinking: true,
  // closed groups: of more than 150 rows, the viewer holds those in view alone, and links to others lead nowhere
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: true,
  // no badge of an external validator
  validatorUrl: "none",
});

/** Hash of the inline script that starts Swagger UI, for the Content-Security-Policy. */
const inlineScript = /<script>(.*?)<\/script>/s.exec(swaggerUI)?.[1] ?? "";
const inlineScriptHash = `'sha256-${createHash("sha256").update(inlineScript).digest("base64")}'`;

/**
 * Permits only content of this origin. Both viewers write styles into the page and load icons, ReDoc also a font, from
 * data URLs.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `script-src 'self' ${inlineScriptHash}`,
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Escapes a text for HTML. */
export const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);

/** Writes an HTML page. */
export const htmlPage = ({ title, body }: { title: string; body: string }) =>
  `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <link rel="icon" type="image/svg+xml" href="${base}/assets/icon.svg">
    <link rel="stylesheet" href="${base}/assets/pages.css">
  </head>
  <body>
    <header class="docs">
      <a class="name" href="${base}/start">MES Operations API</a>
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

/** Returns the publishable key, which is public, or "" where the functions have none. */
function publishableKey(): string {
  const keys: Record<string, string> = JSON.parse(Deno.env.get("SUPABASE_PUBLISHABLE_KEYS") ?? "{}");
  // `deno task docs` has the one of its terminal
  return keys.default ?? Object.values(keys)[0] ?? Deno.env.get("SUPABASE_PUBLISHABLE_KEY") ?? "";
}

/** Writes the form that fetches an access token. */
const signInForm = () =>
  `    <form id="sign-in" class="docs">
      <label>E-mail <input name="email" type="email" autocomplete="username" required></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
      <label>Publishable key <input name="apikey" value="${
    escapeHtml(publishableKey())
  }" spellcheck="false" required></label>
      <button>Sign in</button>
      <output id="sign-in-state"></output>
    </form>`;

export const swaggerPage = () =>
  htmlPage({
    title: "MES Operations API",
    body: `${signInForm()}${swaggerUI}
    <script type="module" src="${base}/assets/swagger.js"></script>`,
  });

export const redocPage = () =>
  htmlPage({
    title: "MES Operations API: reference",
    body: `    <div id="redoc"></div>
    <script type="module" src="${base}/assets/redoc.js"></script>`,
  });

/** Writes the answer of the pages' URLs where browsers do not show pages. */
export function withoutPages(c: Context): string {
  const origin = `https://${c.req.header("X-Forwarded-Host") ?? new URL(c.req.url).host}`;
  return `MES Operations API

Supabase shows pages on custom domains only. To read this documentation, run in a checkout:

  npx -y deno@2.9.6 task docs ${origin}/functions/v1

The OpenAPI document:  ${origin}${base}/openapi.json
The errors:            ${origin}${base}/errors
`;
}
