/**
 * Whether the database runs `app.before_request` first in each request. Without it, the call of an API key would have
 * the rights of the service role, so that no key is accepted then.
 *
 * @module
 */
import { Problem } from "./problems.ts";

let isActive = false;

/** Stores what the database's health says. */
export function noteRequestHook(active = false): void {
  isActive = active;
}

/** Returns whether the hook has run in the last check of the database. */
export const hasRequestHook = (): boolean => isActive;

/** @throws {Problem} `unavailable` unless the database runs the hook. */
export function requireRequestHook(): void {
  if (isActive) return;
  throw new Problem(
    "unavailable",
    "The database's request hook is not active: API keys cannot be used. See docs/operating.md",
    { retry_after_s: 2 },
  );
}
