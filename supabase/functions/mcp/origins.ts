/**
 * Which pages in browsers may call the function. A page of another origin is refused, whatever its credential.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { Problem } from "../_shared/problems.ts";

/** Origins by the secret CORS_ORIGINS; undefined without it. */
const configured = Deno.env.get("CORS_ORIGINS")?.split(",").map((origin) => origin.trim());

const loopback: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Returns the origin that clients see, which is not the one of the function's own request. */
export function publicOrigin({ headers, url }: Request): string {
  const configured = Deno.env.get("SUPABASE_PUBLIC_URL");
  if (configured) return new URL(configured).origin;
  const own = new URL(url);
  const host = headers.get("X-Forwarded-Host") ?? own.hostname;
  const protocol = headers.get("X-Forwarded-Proto") ?? own.protocol.replace(":", "");
  const port = host.includes(":") ? "" : headers.get("X-Forwarded-Port") ?? own.port;
  return new URL(`${protocol}://${host}${port === "" ? "" : `:${port}`}`).origin;
}

/** Returns whether pages of the origin may call: those of CORS_ORIGINS, else the project's own and those of this machine. */
export function isAllowedOrigin(origin: string, own: string): boolean {
  if (configured !== undefined) return configured.includes("*") || configured.includes(origin);
  return origin === own || loopback.has(URL.parse(origin)?.hostname ?? "");
}

/** Rejects requests of pages that may not call. A client that is no browser sends no Origin. */
export const originCheck: MiddlewareHandler = async (c, next) => {
  const origin = c.req.header("Origin");
  if (origin !== undefined && !isAllowedOrigin(origin, publicOrigin(c.req.raw))) {
    throw new Problem("forbidden", `Pages of origin "${origin.slice(0, 100)}" may not call this function`);
  }
  await next();
};
