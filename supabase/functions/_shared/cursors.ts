/**
 * Cursors are signed, so that one can only be what this API handed out. Any secret of the project serves; one that is
 * rotated out takes its cursors along.
 *
 * @module
 */
import { resolveEnv } from "@supabase/server/core";
import { sign, verify } from "hono/jwt";

function secrets(): string[] {
  const { data: env } = resolveEnv();
  return Object.values(env?.secretKeys ?? {}).map((key) => `cursor:${key}`);
}

/** The payload as a cursor: opaque to clients, though not secret. */
export function writeCursor(payload: Record<string, unknown>): Promise<string> {
  return sign(payload, secrets()[0] ?? "cursor:", "HS256");
}

/** What a cursor says; undefined when it is none of ours. */
export async function readCursor(cursor: string): Promise<Record<string, unknown> | undefined> {
  for (const secret of secrets()) {
    const payload = await verify(cursor, secret, "HS256").catch(() => undefined);
    if (payload !== undefined) return payload;
  }
}
