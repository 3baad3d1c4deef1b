/**
 * Badge codes, PINs and acting tokens. The database gets digests only, so that none of its logs can hold one.
 *
 * @module
 */
import { createHash, createHmac, randomBytes } from "node:crypto";

/** Fields of a request that no log and no table may hold. */
interface Secrets {
  badge_code?: string | null;
  pin?: string | null;
}

/** Returns the body with digests in place of badge code and PIN. Without PEOPLE_PEPPER the digests have no key. */
export function withDigests<Body extends Secrets>(body: Body): Body {
  const pepper = Deno.env.get("PEOPLE_PEPPER") ?? "";
  const digest = (kind: string, secret: string) =>
    createHmac("sha256", pepper).update(`${kind}\n${secret}`).digest("hex");
  const digested = { ...body };
  if (body.badge_code) digested.badge_code = digest("badge_code", body.badge_code);
  if (body.pin) digested.pin = digest("pin", body.pin);
  return digested;
}

/**
 * Returns the body for the fingerprint of an Idempotency-Key. A stored digest of a PIN could be reversed by trying all
 * PINs, so the database compares badge and PIN itself when the request is repeated, and whether they are given.
 */
export function withoutSecrets({ badge_code: _badge, pin: _pin, ...visible }: Secrets): unknown {
  return visible;
}

/** Returns a new acting token of 256 random bits. */
export function newActingToken(): string {
  return `act_${randomBytes(32).toString("base64url")}`;
}

/** Returns the digest by which the database recognizes an acting token. */
export function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
