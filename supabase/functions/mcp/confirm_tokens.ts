/**
 * Tokens by which a call executes what a dry run has shown. Nothing is stored: a token is an HMAC over the tool, its
 * arguments, the caller and what the dry run has seen, so that it fits that one call for ten minutes. See decision 0112.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { resolveEnv } from "@supabase/server/core";
import type { Idempotency } from "../_shared/commands.ts";
import { Problem } from "../_shared/problems.ts";

/** Time in which a token executes. */
const lifetimeMs = 600_000;

/** Longest text that can be a token. */
export const maxTokenLength = 120;

/** What a token is for. */
export interface Subject {
  tool: string;
  /** The validated arguments: equal values are the same call, in whatever order they were written. */
  args: unknown;
  caller: string;
}

/** What the dry run has seen: a write is refused when it is no longer so. */
export type Seen = { version: number; op_seq: number };

// keyed like cursors: every secret key of the project verifies, the first one signs
const secretsOf = () => Object.values(resolveEnv().data?.secretKeys ?? {}).map((key) => `confirm:${key}`);

function macOf(secret: string, { tool, args, caller }: Subject, stated: string): string {
  return createHmac("sha256", secret).update(JSON.stringify([tool, args, caller, stated])).digest("hex").slice(0, 32);
}

/** Writes the token of a dry run: short, because models copy it. */
export function writeToken(
  subject: Subject,
  { version, op_seq }: Seen,
  nowMs = Date.now(),
): { token: string; expiresAt: string } {
  const expiresMs = nowMs + lifetimeMs;
  const stated = [expiresMs, version, op_seq].map((number) => number.toString(36)).join(".");
  const [secret = "confirm:"] = secretsOf();
  return { token: `${stated}.${macOf(secret, subject, stated)}`, expiresAt: new Date(expiresMs).toISOString() };
}

/**
 * Reads the token of a call.
 *
 * @throws {Problem} `confirmation_invalid` when it is expired, or of another call.
 */
export function readToken(token: string, subject: Subject): Seen & { mac: string } {
  const [, stated = "", mac = ""] = /^([0-9a-z]+\.[0-9a-z]+\.[0-9a-z]+)\.([0-9a-f]{32})$/.exec(token) ?? [];
  const isOfCall = secretsOf().some((secret) =>
    timingSafeEqual(Buffer.from(macOf(secret, subject, stated)), Buffer.from(mac.padEnd(32, "-")))
  );
  if (!isOfCall) {
    throw new Problem(
      "confirmation_invalid",
      "The confirm_token is not the one of this call: the same tool, arguments and caller as in the dry run are needed",
      { reason: "other_call" },
    );
  }
  const [expiresMs = 0, version = 0, op_seq = 0] = stated.split(".").map((number) => parseInt(number, 36));
  if (expiresMs <= Date.now()) {
    throw new Problem("confirmation_invalid", "The confirm_token has expired: call the tool again without it", {
      reason: "expired",
    });
  }
  return { version, op_seq, mac };
}

/** Returns the key under which the database executes a token once and answers its repetitions with the first answer. */
export function idempotencyOf({ tool, args }: Subject, mac: string, requestId: string): Idempotency {
  return {
    key: mac,
    method: "POST",
    route: `/mcp/v1/${tool}`,
    fingerprint: createHash("sha256").update(`${tool}\n${JSON.stringify(args)}`).digest("hex"),
    request_id: requestId,
  };
}
