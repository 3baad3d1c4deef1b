/**
 * Serves the pages of `web/`: for the gateway of the local stack, and for `deno task web`.
 *
 * @module
 */
import { extname, join } from "node:path";
import { inProject } from "../system/paths.ts";

/** Where the pages find the project; the type of `config.json`. */
export interface PagesConfig {
  functions_url: string;
  auth_url: string;
  publishable_key: string;
  /** Where the demo users are; undefined where there are none, or not for this reader. */
  demo_users_url?: string | undefined;
}

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

/** Names that a path may consist of: no `..`, no hidden file, nothing encoded. */
const segment = /^[A-Za-z0-9_][A-Za-z0-9_@.-]*$/;

/** Folders and files of `web/` that are no part of the pages. */
const isOfDevelopment = (path: string) => /^(tests\/|jsconfig\.json$)/.test(path);

/** Headers of every answer. Each page has the same policy in a <meta>, for hosts that send none. */
const headers: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

interface PageFile {
  bytes: Uint8Array<ArrayBuffer>;
  etag: string;
  modified: number | undefined;
}

/** Reads the files of a folder, again when they change. */
export class Pages {
  readonly #folder: string;
  readonly #files = new Map<string, PageFile>();

  constructor(folder: string = inProject("web")) {
    this.#folder = folder;
  }

  /** Answers a request for a page or one of its files; undefined when there is no such file. */
  async answer(request: Request, config: PagesConfig): Promise<Response | undefined> {
    if (!["GET", "HEAD"].includes(request.method)) return undefined;
    const { pathname } = new URL(request.url);
    const path = pathname === "/" ? "index.html" : pathname.slice(1);
    if (path === "config.json") return answerJson(config);
    const contentType = contentTypes[extname(path)];
    if (contentType === undefined || isOfDevelopment(path)) return undefined;
    if (!path.split("/").every((part) => segment.test(part))) return undefined;
    const file = await this.#read(path);
    if (file === undefined) return undefined;
    const isVersioned = path.startsWith("assets/");
    const answer = new Response(request.method === "HEAD" ? null : file.bytes, {
      headers: {
        ...headers,
        "content-type": contentType,
        "cache-control": isVersioned ? "public, max-age=31536000, immutable" : "no-cache",
        etag: file.etag,
      },
    });
    // a compressed answer has the weak form of the tag
    const known = request.headers.get("if-none-match")?.split(/\s*,\s*/).map((tag) => tag.replace(/^W\//, ""));
    if (!known?.includes(file.etag)) return answer;
    return new Response(null, { status: 304, headers: answer.headers });
  }

  async #read(path: string): Promise<PageFile | undefined> {
    try {
      const place = join(this.#folder, path);
      const info = await Deno.lstat(place);
      if (!info.isFile) return undefined;
      const modified = info.mtime?.getTime();
      const known = this.#files.get(path);
      if (known && known.modified === modified && known.bytes.length === info.size) return known;
      const bytes = await Deno.readFile(place);
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const file = { bytes, modified, etag: `"${digest.slice(0, 16).toHex()}"` };
      this.#files.set(path, file);
      return file;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
      throw error;
    }
  }
}

/** Answers JSON that only pages of this origin may read. */
export function answerJson(body: unknown): Response {
  return Response.json(body, { headers: { ...headers, "cache-control": "no-store" } });
}
