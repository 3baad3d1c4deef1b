/**
 * Cursors are signed, so that the API accepts only cursors that it issued. Every secret key of the project verifies
 * them; after a key is removed, its cursors are invalid.
 *
 * @module
 */
import { resolveEnv } from "@supabase/server/core";
import { sign, verify } from "hono/jwt";

/** Longest cursor that a request may carry, in characters. */
export const maxCursorLength = 2_000;

/** Cursor of the examples. */
export const exampleCursor = "eyJhbGciOiJIUzI1NiJ9.eyJwb3MiOjQ3MTF9.c2lnbmF0dXJl";

function readSecrets(): string[] {
  const { data: env } = resolveEnv();
  return Object.values(env?.secretKeys ?? {}).map((key) => `cursor:${key}`);
}

/** Writes the payload as a cursor: opaque to clients, but not secret. */
export function writeCursor(payload: Record<string, unknown>): Promise<string> {
  return sign(payload, readSecrets()[0] ?? "cursor:", "HS256");
}

/** Reads a cursor; undefined when this API did not issue it. */
export async function readCursor(cursor: string): Promise<Record<string, unknown> | undefined> {
  for (const secret of readSecrets()) {
    const payload = await verify(cursor, secret, "HS256").catch(() => undefined);
    if (payload !== undefined) return payload;
  }
}
