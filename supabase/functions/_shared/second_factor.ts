/**
 * `REQUIRE_AAL2`: whether managers and admins need a second factor. The database enforces the rule, because it stores
 * the role and users can call it directly. Each process sends the setting once.
 *
 * @module
 */
import { rpcAsServer } from "./database.ts";

let sent: Promise<unknown> | undefined;

/**
 * Sends the setting to the database. Without the variable, the database keeps its setting.
 *
 * @throws {Problem} `unavailable` while the database does not answer: no request passes until then.
 */
export async function sendSecondFactorRule(): Promise<void> {
  const setting = Deno.env.get("REQUIRE_AAL2")?.trim().toLowerCase();
  if (!setting) return;
  // an unknown value must not disable the rule
  sent ??= rpcAsServer()("require_second_factor", { is_required: setting !== "false" });
  try {
    await sent;
  } catch (error) {
    sent = undefined;
    throw error;
  }
}
